/** Events of a watch as bytes, made once for all who watch in the same form. */
import type { ChangeEvent, StoredObject } from '../../../store/index.ts'
import { apiVersionOf, type Resource } from '../catalog/index.ts'
import type { Cluster } from '../cluster/index.ts'
import { isJsonObject, type JsonObject } from '../json.ts'
import type { Presenter } from '../presentation/index.ts'
import type { Selection } from '../selection/index.ts'
import { type StatusError, statusObject } from '../status.ts'
import { withRevision } from '../storage/index.ts'

/** What a change is to somebody who sees only selected objects. */
export type Delivery =
  | { readonly type: 'ADDED' | 'MODIFIED'; readonly object: StoredObject }
  /** The last version that was selected. */
  | { readonly type: 'DELETED'; readonly object: StoredObject }

/** @returns undefined when the change is none of this selection's business */
export function deliveryOf(event: ChangeEvent, selection: Selection, cluster: Cluster): Delivery | undefined {
  const selected = (stored: StoredObject) => selection.matches(stored, object => cluster.read(object))
  switch (event.type) {
    case 'created':
      return selected(event.object) ? { type: 'ADDED', object: event.object } : undefined
    case 'deleted':
      return selected(event.previous) ? { type: 'DELETED', object: event.previous } : undefined
    case 'updated': {
      const before = selected(event.previous)
      if (selected(event.object)) return { type: before ? 'MODIFIED' : 'ADDED', object: event.object }
      return before ? { type: 'DELETED', object: event.previous } : undefined
    }
  }
}

function frame(type: string, object: string): Buffer {
  return Buffer.from(`{"type":"${type}","object":${object}}\n`)
}

/** What no kept text says any more: an object in another version, under another revision. */
function underRevision(json: string, revision: number): string {
  const object = JSON.parse(json) as JsonObject
  if (!isJsonObject(object.metadata)) return json
  object.metadata.resourceVersion = String(revision)
  return JSON.stringify(object)
}

export class Frames {
  readonly #presenter: Presenter
  readonly #resource: Resource
  readonly #shared: SharedFrames
  readonly #form: string

  constructor(resource: Resource, presenter: Presenter, shared: SharedFrames) {
    this.#resource = resource
    this.#presenter = presenter
    this.#shared = shared
    this.#form = presenter.form
  }

  /** Whether objects have to be prepared before frames are made of them. */
  get converts(): boolean {
    return this.#presenter.converts
  }

  /** @throws why objects cannot be brought into the client's version */
  async prepare(objects: readonly StoredObject[]): Promise<void> {
    await this.#presenter.prepare(objects)
  }

  change(event: ChangeEvent, delivery: Delivery): Buffer {
    const made = this.#change(event, delivery)
    this.#presenter.forget(delivery.object)
    return made
  }

  #change(event: ChangeEvent, { type, object }: Delivery): Buffer {
    return this.#shared.get(event, `${type} ${this.#form}`, () => {
      if (type !== 'DELETED') return frame(type, this.#presenter.object(object))
      // A deletion is a revision of its own; a client that resumes from it must not see it again.
      if (this.converts) return frame(type, underRevision(this.#presenter.object(object), event.revision))
      const json = withRevision(this.#resource.kept, object.json, event.revision)
      return frame(type, this.#presenter.object({ ...object, revision: event.revision, json }))
    })
  }

  /** An object that was there before the watch began. */
  initial(stored: StoredObject): Buffer {
    const made = frame('ADDED', this.#presenter.object(stored))
    this.#presenter.forget(stored)
    return made
  }

  /** "You have seen everything up to here." @param initialEnd whether this ends the initial state */
  bookmark(revision: number, initialEnd: boolean): Buffer {
    const { kind } = this.#resource
    const named = { kind, apiVersion: apiVersionOf(this.#resource) }
    const annotations = initialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}
    return frame(
      'BOOKMARK',
      JSON.stringify({ ...named, metadata: { resourceVersion: String(revision), ...annotations } }),
    )
  }
}

/** The frame that tells a watcher why its watch is over. */
export function errorFrame(error: StatusError): Buffer {
  return frame('ERROR', JSON.stringify(statusObject(error)))
}

/** Frames by change and form, as long as somebody may still need the change. */
export class SharedFrames {
  readonly #frames = new WeakMap<ChangeEvent, Map<string, Buffer>>()

  get(event: ChangeEvent, form: string, make: () => Buffer): Buffer {
    let forms = this.#frames.get(event)
    if (forms === undefined) {
      forms = new Map()
      this.#frames.set(event, forms)
    }
    let made = forms.get(form)
    if (made === undefined) {
      made = make()
      forms.set(form, made)
    }
    return made
  }
}
