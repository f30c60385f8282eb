/** Who watches what in one space: a change reaches the watches of its kind without a look at any other. */
import type { ChangeEvent, ObjectKey } from './contract.ts'
import { eventSize } from './recent-events.ts'

/** Events that go to several watches; shared, so nobody changes them. */
export interface EventBatch {
  /** At least one, in order of revision. */
  readonly events: readonly ChangeEvent[]
  readonly bytes: number
}

export interface WatchFilter {
  readonly kind?: string | undefined
  readonly namespace?: string | undefined
}

export interface EventListener {
  readonly filter: WatchFilter
  receive(batch: EventBatch): void
}

/** The key of the object that an event is about. */
export function eventKey(event: ChangeEvent): ObjectKey {
  return event.type === 'deleted' ? event.previous.key : event.object.key
}

export function matches({ kind, namespace }: WatchFilter, key: ObjectKey): boolean {
  return (kind === undefined || kind === key.kind) && (namespace === undefined || namespace === key.namespace)
}

export function batchOf(events: readonly ChangeEvent[]): EventBatch {
  return { events, bytes: events.reduce((sum, event) => sum + eventSize(event), 0) }
}

/** Listeners of one kind, or of all kinds. */
class ListenerGroup {
  readonly everywhere = new Set<EventListener>()
  readonly byNamespace = new Map<string, Set<EventListener>>()

  get isEmpty(): boolean {
    return this.everywhere.size === 0 && this.byNamespace.size === 0
  }

  add(listener: EventListener): void {
    const { namespace } = listener.filter
    if (namespace === undefined) {
      this.everywhere.add(listener)
      return
    }
    const present = this.byNamespace.get(namespace)
    if (present === undefined) this.byNamespace.set(namespace, new Set([listener]))
    else present.add(listener)
  }

  remove(listener: EventListener): void {
    const { namespace } = listener.filter
    if (namespace === undefined) {
      this.everywhere.delete(listener)
      return
    }
    const present = this.byNamespace.get(namespace)
    present?.delete(listener)
    if (present?.size === 0) this.byNamespace.delete(namespace)
  }

  dispatch(events: readonly ChangeEvent[]): void {
    if (this.everywhere.size > 0) {
      const batch = batchOf(events)
      for (const listener of this.everywhere) listener.receive(batch)
    }
    if (this.byNamespace.size === 0) return
    for (const [namespace, ofNamespace] of Map.groupBy(events, event => eventKey(event).namespace)) {
      const listeners = this.byNamespace.get(namespace)
      if (listeners === undefined) continue
      const batch = batchOf(ofNamespace)
      for (const listener of listeners) listener.receive(batch)
    }
  }
}

export class WatchHub {
  readonly #allKinds = new ListenerGroup()
  readonly #byKind = new Map<string, ListenerGroup>()

  add(listener: EventListener): void {
    this.#group(listener.filter.kind).add(listener)
  }

  remove(listener: EventListener): void {
    const { kind } = listener.filter
    const group = this.#group(kind)
    group.remove(listener)
    if (kind !== undefined && group.isEmpty) this.#byKind.delete(kind)
  }

  /** Hands events, in order of revision, to everyone whom they concern. */
  dispatch(events: readonly ChangeEvent[]): void {
    if (!this.#allKinds.isEmpty) this.#allKinds.dispatch(events)
    if (this.#byKind.size === 0) return
    for (const [kind, ofKind] of Map.groupBy(events, event => eventKey(event).kind)) {
      this.#byKind.get(kind)?.dispatch(ofKind)
    }
  }

  #group(kind: string | undefined): ListenerGroup {
    if (kind === undefined) return this.#allKinds
    const present = this.#byKind.get(kind)
    if (present !== undefined) return present
    const group = new ListenerGroup()
    this.#byKind.set(kind, group)
    return group
  }
}
