/**
 * Runs the pods that files of a directory describe, with a server or without.
 *
 * The directory is looked at as a whole, when it changes and every so often: what a file says runs; when it says something else,
 * its pod is ended and then another one begins; when the file is gone, its pod ends. A file that makes no sense is told about,
 * and what it said before runs on.
 */
import { constants, type FSWatcher, watch } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import path from 'node:path'
import {
  type Daemon,
  explainError,
  type Logger,
  makePrivateDirectory,
  ReconcileLoop,
  type ReconcileResult,
} from '../../kit/index.ts'
import { isStatic, type Pod } from '../../protocol/kubernetes/index.ts'
import { staticPodErrors } from './errors.ts'
import { FILE_ANNOTATION, readManifest } from './manifest.ts'

/** Where pods that should run here are kept. */
export interface KeptPods {
  get(uid: string): Pod | undefined
  uids(): readonly string[]
  put(pod: Pod): Promise<void>
  delete(uid: string): void
}

export interface StaticPodsOptions {
  readonly directory: string
  readonly nodeName: string
  readonly store: KeptPods
  /** A pod was added to the store, changed in it, or taken away. */
  readonly onChange: (pod: Pod) => void
  /** A file does not make a pod. Told once for each content. */
  readonly onProblem: (file: string, message: string) => void
  readonly log: Logger
}

/** Milliseconds between two looks without a reason: not all file systems tell of changes. */
const LOOK_AGAIN = 20_000

/** Milliseconds after a change: an editor makes several. */
const SETTLED = 100

/** Files, and bytes of each, that are read. */
const FILES = 110
const LARGEST = 256 * 1024

export class StaticPods implements Daemon {
  readonly name = 'static pods'
  readonly #options: StaticPodsOptions
  readonly #loop: ReconcileLoop<'directory'>
  /** What was told about each file. */
  readonly #told = new Map<string, string>()
  #watcher: FSWatcher | undefined

  constructor(options: StaticPodsOptions) {
    this.#options = options
    this.#loop = new ReconcileLoop<'directory'>({
      name: 'static pods',
      log: options.log,
      concurrency: 1,
      backoff: { initial: 500, maximum: LOOK_AGAIN },
      reconcile: () => this.#look(),
    })
  }

  async start(): Promise<void> {
    await makePrivateDirectory(this.#options.directory)
    this.#loop.kick('directory')
    this.#loop.start()
  }

  async stop(): Promise<void> {
    this.#watcher?.close()
    await this.#loop.stop()
  }

  /** Those that run, and those that are being ended. */
  pods(): readonly Pod[] {
    const { store } = this.#options
    return store.uids().flatMap(uid => {
      const pod = store.get(uid)
      return pod !== undefined && isStatic(pod) ? [pod] : []
    })
  }

  /** Nothing of a pod that was being ended is left. */
  ended(pod: Pod): void {
    const { store, onChange } = this.#options
    store.delete(pod.metadata.uid ?? '')
    onChange(pod)
    // Another one may have waited for its name.
    this.#loop.kick('directory')
  }

  async #look(): Promise<ReconcileResult> {
    this.#follow()
    const files = await this.#files()
    const wanted = new Map<string, Pod>()
    const unclear = new Set<string>()
    for (const file of files) {
      try {
        const pod = await this.#read(file)
        const twin = [...wanted.values()].find(other => nameOf(other) === nameOf(pod))
        if (twin !== undefined) {
          const other = twin.metadata.annotations?.[FILE_ANNOTATION]
          throw staticPodErrors.InvalidManifest({ object: file, message: `is of the same name as ${other}` })
        }
        wanted.set(pod.metadata.uid ?? '', pod)
        this.#told.delete(file)
      } catch (error) {
        unclear.add(file)
        this.#tell(file, explainError(error))
      }
    }
    for (const file of this.#told.keys()) if (!files.includes(file)) this.#told.delete(file)
    await this.#endOthers(wanted, unclear)
    await this.#begin(wanted)
    return { requeueAfter: LOOK_AGAIN }
  }

  #follow(): void {
    if (this.#watcher !== undefined) return
    try {
      const watcher = watch(this.#options.directory, { persistent: false }, () =>
        this.#loop.kickAfter('directory', SETTLED),
      )
      const end = () => {
        watcher.close()
        if (this.#watcher === watcher) this.#watcher = undefined
      }
      watcher.on('error', end)
      this.#watcher = watcher
    } catch (error) {
      this.#options.log.debug(
        { reason: explainError(error) },
        'the directory of static pods is looked at from time to time',
      )
    }
  }

  async #files(): Promise<readonly string[]> {
    const { directory } = this.#options
    // It may have been taken away, by which its pods end.
    await makePrivateDirectory(directory)
    const entries = await readdir(directory, { withFileTypes: true })
    const files = entries
      .filter(entry => (entry.isFile() || entry.isSymbolicLink()) && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .toSorted()
    for (const file of files.slice(FILES)) this.#tell(file, `only the first ${FILES} files are read`)
    return files.slice(0, FILES)
  }

  async #read(file: string): Promise<Pod> {
    const { directory, nodeName } = this.#options
    const content = await readBounded(path.join(directory, file), file)
    return await readManifest(content, { file, nodeName, now: `${new Date().toISOString().slice(0, 19)}Z` })
  }

  #tell(file: string, message: string): void {
    if (this.#told.get(file) === message) return
    this.#told.set(file, message)
    this.#options.log.error({ file, reason: message }, 'the file of a static pod was not understood')
    this.#options.onProblem(file, message)
  }

  /** @param unclear files of which nobody knows what they say: their pods stay */
  async #endOthers(wanted: ReadonlyMap<string, Pod>, unclear: ReadonlySet<string>): Promise<void> {
    const { store, onChange } = this.#options
    for (const pod of this.pods()) {
      const { uid = '', annotations, deletionTimestamp } = pod.metadata
      const stays = wanted.has(uid) || unclear.has(annotations?.[FILE_ANNOTATION] ?? '')
      if (stays || deletionTimestamp !== undefined) continue
      const { terminationGracePeriodSeconds: deletionGracePeriodSeconds = 30 } = pod.spec
      const end = { deletionTimestamp: new Date().toISOString(), deletionGracePeriodSeconds }
      await store.put({ ...pod, metadata: { ...pod.metadata, ...end } })
      onChange(pod)
    }
  }

  async #begin(wanted: ReadonlyMap<string, Pod>): Promise<void> {
    const { store, onChange } = this.#options
    for (const pod of wanted.values()) {
      // Two of one name would fight for what only one can have; its turn comes when the other has ended.
      if (this.pods().some(other => nameOf(other) === nameOf(pod))) continue
      await store.put(pod)
      onChange(pod)
    }
  }
}

function nameOf({ metadata }: Pod): string {
  return `${metadata.namespace}/${metadata.name}`
}

/** @throws `InvalidManifest` for what is too large, or no file */
async function readBounded(place: string, file: string): Promise<string> {
  // To open a pipe would take until somebody writes to it.
  const handle = await open(place, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const facts = await handle.stat()
    if (!facts.isFile())
      throw staticPodErrors.InvalidManifest({ object: file, message: 'is no regular file' })
    if (facts.size > LARGEST) {
      throw staticPodErrors.InvalidManifest({ object: file, message: `is larger than ${LARGEST} bytes` })
    }
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}
