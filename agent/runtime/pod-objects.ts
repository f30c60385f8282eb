/**
 * Reads the objects that pods refer to, and remembers them: with no server a pod goes on with what it had.
 *
 * Secrets are kept in memory and on a file system in memory alone: after a reboot they have to be asked for again.
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import {
  type Daemon,
  explainError,
  isDroverError,
  type Logger,
  makePrivateDirectory,
  writeFileDurably,
} from '../../kit/index.ts'
import {
  type ConfigMap,
  type KubernetesClient,
  type KubernetesObject,
  type PersistentVolumeClaim,
  type Pod,
  podReferences,
  type Secret,
} from '../../protocol/kubernetes/index.ts'
import { ObjectWatches } from './object-watches.ts'
import { type InputKind, inputKey, PodInputs } from './pod-inputs.ts'

export interface PodObjectsOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'list' | 'watch'>
  /** The directory of a pod on disk, and on a file system in memory. */
  readonly diskOf: (uid: string) => string
  readonly memoryOf: (uid: string) => string
  /** What volumes of a pod are made of has changed. */
  readonly onChange: (uid: string) => void
  readonly log: Logger
}

interface Known {
  /** Undefined: it does not exist. */
  readonly object: KubernetesObject | undefined
  /** When it was asked for, or a watch told of it, in monotonic milliseconds. */
  readonly at: number
}

/** Milliseconds for which what was read for one container is good enough for the next. */
const FRESH = 2_000

/** And for volumes that are brought up to date: pods that share an object share the question. */
const FRESH_FOR_VOLUMES = 20_000

/** Every pod has it, and it changes once in years: not worth a watch. */
const AUTHORITY = 'kube-root-ca.crt'

/** Objects that are remembered at one time; pods beyond them ask again. */
const CAPACITY = 5_000

const FILE = 'objects.json'

function pathOf(kind: InputKind, namespace: string, name: string): `/api/v1/${string}` {
  const place = kind === 'persistentvolumes' ? '' : `namespaces/${encodeURIComponent(namespace)}/`
  return `/api/v1/${place}${kind}/${encodeURIComponent(name)}`
}

/** Null for what does not exist: that, too, is known. */
type Kept = Readonly<Record<string, KubernetesObject | null>>

export class PodObjects implements Daemon {
  readonly name = 'objects of pods'
  readonly #options: PodObjectsOptions
  readonly #watches: ObjectWatches
  readonly #known = new Map<string, Known>()
  /** When each pod was first asked about, in monotonic milliseconds: what was changed before it was made, it has to see. */
  readonly #seen = new Map<string, number>()
  /** What is on disk of each pod, as text. */
  readonly #written = new Map<string, string>()

  constructor(options: PodObjectsOptions) {
    this.#options = options
    this.#watches = new ObjectWatches({
      ...options,
      onObject: (place, object) => this.#note(pathOf(place.kind, place.namespace, place.name), object),
    })
  }

  start(): Promise<void> {
    return this.#watches.start()
  }

  stop(): Promise<void> {
    return this.#watches.stop()
  }

  /** From now on changes of what the pod's volumes are made of are heard of. */
  follow({ metadata: { namespace = '', uid = '' }, spec: { volumes = [] } }: Pod): void {
    const places = podReferences({ containers: [], volumes }).flatMap(({ kind, name }) =>
      kind === 'persistentvolumeclaims' || name === AUTHORITY || this.#isImmutable(kind, namespace, name)
        ? []
        : [{ kind, namespace, name }],
    )
    this.#watches.follow(uid, places)
  }

  unfollow(uid: string): void {
    this.#watches.follow(uid, [])
  }

  /**
   * Everything that the pod refers to, as it is now; as it was where no server says it.
   *
   * @param use a container that is made, or volumes that are brought up to date
   * @throws `ApiUnreachable` when something was never read and cannot be
   */
  async of(pod: Pod, use: 'container' | 'volumes'): Promise<PodInputs> {
    const { uid = '' } = pod.metadata
    if (!this.#seen.has(uid)) this.#seen.set(uid, performance.now())
    const known = new Map<string, KubernetesObject | null>()
    const objects = new Map<string, KubernetesObject>()
    const note = (kind: InputKind, name: string, object: KubernetesObject | null) => {
      known.set(inputKey(kind, name), object)
      if (object !== null) objects.set(inputKey(kind, name), object)
    }
    let kept: Kept | undefined
    const read = async (kind: InputKind, name: string) => {
      try {
        note(kind, name, (await this.#read(kind, name, pod, use)) ?? null)
      } catch (error) {
        kept ??= await this.#load(uid)
        const before = kept[inputKey(kind, name)]
        if (before === undefined) throw error
        note(kind, name, before)
        this.#options.log.debug(
          { pod: pod.metadata.name, kind, name, reason: explainError(error) },
          'a pod goes on with an object as it was',
        )
      }
    }
    for (const { kind, name } of podReferences(pod.spec)) {
      await read(kind, name)
      const claim = objects.get(inputKey(kind, name)) as PersistentVolumeClaim | undefined
      const volume = kind === 'persistentvolumeclaims' ? claim?.spec?.volumeName : undefined
      if (volume !== undefined && volume !== '') await read('persistentvolumes', volume)
    }
    await this.#save(uid, known)
    return new PodInputs(pod, objects)
  }

  /** The pod is gone. */
  forget(uid: string): void {
    this.#written.delete(uid)
    this.#seen.delete(uid)
  }

  async #read(
    kind: InputKind,
    name: string,
    { metadata: { namespace = '', uid = '' } }: Pod,
    use: 'container' | 'volumes',
  ): Promise<KubernetesObject | undefined> {
    const target = pathOf(kind, namespace, name)
    const known = this.#known.get(target)
    if (known !== undefined) {
      const followed =
        (kind === 'configmaps' || kind === 'secrets') && this.#watches.isFollowed({ kind, namespace, name })
      if (use === 'volumes' && followed) return known.object
      const since = name === AUTHORITY ? 0 : (this.#seen.get(uid) ?? 0)
      const age = performance.now() - known.at
      if (known.at >= since && age < (use === 'volumes' ? FRESH_FOR_VOLUMES : FRESH)) return known.object
    }
    const begin = performance.now()
    const object = await this.#ask(target)
    // What a watch said meanwhile is newer than this answer may be.
    const newer = this.#known.get(target)
    if (newer !== undefined && newer.at > begin) return newer.object
    this.#note(target, object, begin)
    return object
  }

  #note(target: string, object: KubernetesObject | undefined, at = performance.now()): void {
    this.#known.delete(target)
    if (this.#known.size >= CAPACITY) {
      const [oldest] = this.#known.keys()
      if (oldest !== undefined) this.#known.delete(oldest)
    }
    this.#known.set(target, { object, at })
  }

  #isImmutable(kind: InputKind, namespace: string, name: string): boolean {
    const object: (ConfigMap | Secret) | undefined = this.#known.get(pathOf(kind, namespace, name))?.object
    return object?.immutable === true
  }

  async #ask(target: `/api/v1/${string}`): Promise<KubernetesObject | undefined> {
    try {
      return await this.#options.client.get<KubernetesObject>(target)
    } catch (error) {
      if (isDroverError(error, 'NotFound')) return undefined
      throw error
    }
  }

  async #save(uid: string, objects: ReadonlyMap<string, KubernetesObject | null>): Promise<void> {
    const secret = (key: string) => key.startsWith('secrets/')
    const text = (wanted: (key: string) => boolean) =>
      JSON.stringify(Object.fromEntries([...objects].filter(([key]) => wanted(key))))
    const [open, secrets] = [text(key => !secret(key)), text(secret)]
    if (this.#written.get(uid) === open + secrets) return
    for (const [directory, content] of [
      [this.#options.diskOf(uid), open],
      [this.#options.memoryOf(uid), secrets],
    ] as const) {
      // Nothing was there before and nothing is to be: most pods refer to nothing.
      if (content === '{}' && !this.#written.has(uid)) continue
      await makePrivateDirectory(directory)
      await writeFileDurably(path.join(directory, FILE), content)
    }
    this.#written.set(uid, open + secrets)
  }

  async #load(uid: string): Promise<Kept> {
    const kept: Record<string, KubernetesObject | null> = {}
    for (const directory of [this.#options.diskOf(uid), this.#options.memoryOf(uid)]) {
      try {
        Object.assign(kept, JSON.parse(await readFile(path.join(directory, FILE), 'utf8')))
      } catch (error) {
        this.#options.log.debug({ pod: uid, reason: explainError(error) }, 'no objects of a pod are kept')
      }
    }
    return kept
  }
}
