/**
 * Follows single objects for the pods that use them, each by a list and a watch of its own that names it: a host may read no
 * more than that. Pods share the watch of an object; it ends when none of them uses it any more.
 */
import type { Daemon, Logger } from '../../kit/index.ts'
import { Informer, type KubernetesClient, type KubernetesObject } from '../../protocol/kubernetes/index.ts'

/** An object of a namespace. */
export interface ObjectPlace {
  readonly kind: 'configmaps' | 'secrets'
  readonly namespace: string
  readonly name: string
}

export interface ObjectWatchesOptions {
  readonly client: Pick<KubernetesClient, 'list' | 'watch'>
  /** What is there now, undefined for nothing; it may be what was there before. */
  readonly onObject: (place: ObjectPlace, object: KubernetesObject | undefined) => void
  /** A pod uses what has changed. */
  readonly onChange: (uid: string) => void
  readonly log: Logger
  /** Objects that are followed at one time: each takes a connection of the server's. */
  readonly limit?: number
}

const LIMIT = 64

interface Watch {
  readonly informer: Informer<KubernetesObject>
  readonly users: Set<string>
}

function versionOf({
  metadata: { namespace = '', name, resourceVersion = '' },
}: KubernetesObject): KubernetesObject {
  return { metadata: { namespace, name, resourceVersion } }
}

const keyOf = ({ kind, namespace, name }: ObjectPlace) => `${kind}/${namespace}/${name}`

export class ObjectWatches implements Daemon {
  readonly name = 'watches of objects'
  readonly #options: ObjectWatchesOptions
  readonly #watches = new Map<string, Watch>()
  /** What each pod uses, by key. */
  readonly #used = new Map<string, ReadonlySet<string>>()
  readonly #ending = new Set<Promise<void>>()
  #stopped = false

  constructor(options: ObjectWatchesOptions) {
    this.#options = options
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const uid of [...this.#used.keys()]) this.follow(uid, [])
    await Promise.all(this.#ending)
  }

  /**
   * Says what a pod uses, all of it: what it used before and does not any more is let go. Beyond the limit nothing is followed;
   * it is when the pod says so again and there is room.
   */
  follow(uid: string, places: readonly ObjectPlace[]): void {
    const before = this.#used.get(uid)
    const now = new Set<string>()
    for (const place of this.#stopped ? [] : places) {
      const key = keyOf(place)
      const watch = this.#watches.get(key) ?? this.#begin(key, place)
      if (watch === undefined) continue
      watch.users.add(uid)
      now.add(key)
    }
    if (now.size === 0) this.#used.delete(uid)
    else this.#used.set(uid, now)
    for (const key of before ?? []) if (!now.has(key)) this.#release(uid, key)
  }

  /** Whether the last that was said about an object is what holds, as far as anybody can know. */
  isFollowed(place: ObjectPlace): boolean {
    return this.#watches.get(keyOf(place))?.informer.synchronized === true
  }

  #begin(key: string, place: ObjectPlace): Watch | undefined {
    const { client, log, onObject, limit = LIMIT } = this.#options
    if (this.#watches.size >= limit) return undefined
    const users = new Set<string>()
    const tell = (object: KubernetesObject | undefined) => {
      // What is on its way when the watch ends is nobody's any more.
      if (this.#watches.get(key)?.informer !== informer) return
      onObject(place, object)
      for (const uid of users) this.#options.onChange(uid)
    }
    let present = false
    const informer: Informer<KubernetesObject> = new Informer({
      client,
      path: `/api/v1/namespaces/${encodeURIComponent(place.namespace)}/${place.kind}`,
      query: { fieldSelector: `metadata.name=${place.name}` },
      log,
      // Whom it is told keeps it.
      keep: versionOf,
      onChange: object => {
        present = object !== undefined
        tell(object)
      },
      onSynchronized: () => {
        if (!present) tell(undefined)
      },
    })
    const watch = { informer, users }
    this.#watches.set(key, watch)
    void informer.start()
    return watch
  }

  #release(uid: string, key: string): void {
    const watch = this.#watches.get(key)
    if (watch === undefined) return
    watch.users.delete(uid)
    if (watch.users.size > 0) return
    this.#watches.delete(key)
    const end = watch.informer.stop().finally(() => this.#ending.delete(end))
    this.#ending.add(end)
  }
}
