/** Pods that this node has given up, on disk: they never run again here, also after a restart. */
import path from 'node:path'
import {
  explainError,
  type Logger,
  makePrivateDirectory,
  readJsonFile,
  type Static,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'

const schema = Type.Object({
  /** In Kubernetes' words: `Evicted`. */
  reason: Type.String({ maxLength: 128 }),
  message: Type.String({ maxLength: 4_096 }),
})

/** Why a pod was given up. */
export type PodFailure = Readonly<Static<typeof schema>>

const validator = validatorOf(schema)

export class PodFailures {
  readonly #directoryOf: (uid: string) => string
  readonly #log: Logger
  readonly #failures = new Map<string, PodFailure>()

  /** @param directoryOf what is kept of a pod */
  constructor(directoryOf: (uid: string) => string, log: Logger) {
    this.#directoryOf = directoryOf
    this.#log = log
  }

  /** Reads what was kept of these pods. */
  async load(uids: readonly string[]): Promise<void> {
    for (const uid of uids) {
      try {
        const failure = await readJsonFile(this.#file(uid), validator)
        if (failure !== undefined) this.#failures.set(uid, failure)
      } catch (error) {
        this.#log.error(
          { err: error, pod: uid },
          `why a pod was given up is not known: ${explainError(error)}`,
        )
      }
    }
  }

  get(uid: string): PodFailure | undefined {
    return this.#failures.get(uid)
  }

  /** Counts at once; it is on disk when this resolves. */
  async set(uid: string, failure: PodFailure): Promise<void> {
    this.#failures.set(uid, failure)
    await makePrivateDirectory(this.#directoryOf(uid))
    await writeFileDurably(this.#file(uid), JSON.stringify(failure))
  }

  /** The pod is not known any more; its directory goes by itself. */
  forget(uid: string): void {
    this.#failures.delete(uid)
  }

  #file(uid: string): string {
    return path.join(this.#directoryOf(uid), 'failed.json')
  }
}
