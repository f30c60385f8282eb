/** What a space is supposed to be, in a few lines: the oracle of the property tests. */
import type { ChangeEvent, ObjectKey, StoredObject, WatchOptions } from '../../../../server/store/index.ts'

export type Operation =
  | { readonly type: 'create'; readonly key: ObjectKey; readonly text: string }
  | {
      readonly type: 'update'
      readonly key: ObjectKey
      readonly text: string
      readonly at?: number | undefined
    }
  | { readonly type: 'delete'; readonly key: ObjectKey; readonly at?: number | undefined }
  /** A create whose encoder throws. */
  | { readonly type: 'mistake'; readonly key: ObjectKey }

/** The revision of a write, or the code of its refusal. */
export type Outcome = number | string

const textOf = ({ kind, namespace, name }: ObjectKey) => `${kind}\n${namespace}\n${name}`

export class SpaceModel {
  readonly #objects = new Map<string, StoredObject>()
  readonly events: ChangeEvent[] = []
  compactedRevision = 0

  get revision(): number {
    return this.events.length
  }

  get(key: ObjectKey): StoredObject | undefined {
    return this.#objects.get(textOf(key))
  }

  apply(operation: Operation): Outcome {
    const { key } = operation
    const current = this.get(key)
    const creates = operation.type === 'create' || operation.type === 'mistake'
    if (creates && current !== undefined) return 'AlreadyExists'
    if (operation.type === 'mistake') return 'Mistake'
    if (operation.type === 'update' || operation.type === 'delete') {
      if (current === undefined) return 'NotFound'
      if (operation.at !== undefined && operation.at !== current.revision) return 'Conflict'
    }
    const revision = this.revision + 1
    if (operation.type === 'delete') {
      this.#objects.delete(textOf(key))
      if (current !== undefined) this.events.push({ type: 'deleted', revision, previous: current })
      return revision
    }
    const json = JSON.stringify({ revision, text: operation.text })
    const object = { key, revision, createdRevision: current?.createdRevision ?? revision, json }
    this.#objects.set(textOf(key), object)
    this.events.push(
      current === undefined
        ? { type: 'created', revision, object }
        : { type: 'updated', revision, object, previous: current },
    )
    return revision
  }

  list(kind: string, namespace?: string): StoredObject[] {
    return [...this.#objects.values()]
      .filter(({ key }) => key.kind === kind && (namespace === undefined || key.namespace === namespace))
      .sort((a, b) => (textOf(a.key) < textOf(b.key) ? -1 : 1))
  }

  eventsFor({ kind, namespace, after }: WatchOptions): ChangeEvent[] {
    return this.events.slice(after).filter(event => {
      const { key } = event.type === 'deleted' ? event.previous : event.object
      return (
        (kind === undefined || key.kind === kind) && (namespace === undefined || key.namespace === namespace)
      )
    })
  }
}
