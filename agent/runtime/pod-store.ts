/** The pods that this host should run, on disk: they are run also when no server can be asked. */
import { rmSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import {
  explainError,
  type Logger,
  makePrivateDirectory,
  readJsonFile,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import type { Pod, PodStatus } from '../../protocol/kubernetes/index.ts'

const stored = validatorOf(
  Type.Object({
    metadata: Type.Object({ name: Type.String(), namespace: Type.String(), uid: Type.String() }),
    spec: Type.Object({ containers: Type.Array(Type.Object({ name: Type.String(), image: Type.String() })) }),
  }),
)

/** What makes a pod what it is. Its status and the version of its last change are not part of that. */
function essence(pod: Pod): string {
  const { metadata, spec } = pod
  const { resourceVersion: _version, ...rest } = metadata
  return JSON.stringify({ metadata: { ...rest, managedFields: undefined }, spec })
}

export class PodStore {
  readonly #directory: string
  readonly #log: Logger
  readonly #pods = new Map<string, Pod>()
  readonly #written = new Map<string, string>()
  readonly #remains: string[] = []

  /** @param directory one directory per pod is kept in it, also for the files that its containers see */
  constructor(directory: string, log: Logger) {
    this.#directory = directory
    this.#log = log
  }

  /** Reads what was kept. A file that cannot be read is left out: the server will say what should run. */
  async load(): Promise<void> {
    await makePrivateDirectory(this.#directory)
    for (const uid of await readdir(this.#directory)) {
      try {
        const pod = (await readJsonFile(this.#file(uid), stored)) as Pod | undefined
        if (pod === undefined) {
          this.#remains.push(uid)
          continue
        }
        this.#pods.set(uid, pod)
        this.#written.set(uid, essence(pod))
      } catch (error) {
        this.#log.error({ err: error, pod: uid }, `a kept pod was not understood: ${explainError(error)}`)
      }
    }
  }

  get(uid: string): Pod | undefined {
    return this.#pods.get(uid)
  }

  uids(): readonly string[] {
    return [...this.#pods.keys()]
  }

  /** The directory for the files of one pod. */
  directoryOf(uid: string): string {
    return path.join(this.#directory, uid)
  }

  /** Shows the pod at once; it is on disk when this resolves. */
  async put(pod: Pod): Promise<void> {
    const uid = pod.metadata.uid ?? ''
    this.#pods.set(uid, pod)
    const text = essence(pod)
    if (this.#written.get(uid) === text) return
    this.#written.set(uid, text)
    await makePrivateDirectory(this.directoryOf(uid))
    await writeFileDurably(this.#file(uid), text)
  }

  /** What became of a pod: no part of what it is. */
  noteStatus(uid: string, status: PodStatus): void {
    const pod = this.#pods.get(uid)
    if (pod !== undefined) this.#pods.set(uid, { ...pod, status })
  }

  /** Pods of which only files were left at the start. */
  remains(): readonly string[] {
    return this.#remains
  }

  /** The pod is not wanted any more, also after a crash. Its other files stay until `clear`. */
  delete(uid: string): void {
    this.#pods.delete(uid)
    this.#written.delete(uid)
    rmSync(this.#file(uid), { force: true })
  }

  /** Removes everything kept of a pod. */
  async clear(uid: string): Promise<void> {
    this.#pods.delete(uid)
    this.#written.delete(uid)
    await rm(this.directoryOf(uid), { recursive: true, force: true })
  }

  #file(uid: string): string {
    return path.join(this.directoryOf(uid), 'pod.json')
  }
}
