/** Brings images to the host, a few at a time, and remembers what went wrong. */
import { ensureImage, localImage } from '../../images/index.ts'
import { Backoff, type Clock, type Logger, systemClock } from '../../kit/index.ts'
import type { DockerEngine, RegistryLogin } from '../docker/index.ts'

/** How it stands with the image of one start of a container. */
export type ImageState =
  | { readonly kind: 'ready' }
  | { readonly kind: 'pulling' }
  | { readonly kind: 'failed'; readonly message: string; readonly failures: number; readonly retryIn: number }

export type PullPolicy = 'Always' | 'IfNotPresent' | 'Never'

interface Pull {
  state: 'waiting' | 'pulling' | 'done' | 'failed'
  message: string
  retryAt: number
  readonly backoff: Backoff
}

const CONCURRENT_PULLS = 3

type Engine = Pick<DockerEngine, 'hasImage' | 'imageFacts' | 'pull' | 'importImage'>

/** Takes note of images that were brought to the host, and of their use. */
export interface PullNotes {
  pulled(reference: string, before: string | undefined, id: string, now: number): Promise<void>
  used(references: Iterable<string>, now: number): Promise<void>
}

export class ImagePuller {
  readonly #engine: Engine
  readonly #notes: PullNotes
  readonly #log: Logger
  readonly #clock: Clock
  readonly #pulls = new Map<string, Pull>()
  readonly #queue: {
    key: string
    image: string
    done: () => void
    logins: readonly RegistryLogin[]
  }[] = []
  #running = 0

  constructor(engine: Engine, notes: PullNotes, log: Logger, clock: Clock = systemClock) {
    this.#engine = engine
    this.#notes = notes
    this.#log = log
    this.#clock = clock
  }

  /**
   * Asks for an image.
   *
   * @param key names the start of a container that needs it; `forget` it once that has happened
   * @param logins tried one after the other; nobody in particular asks when there is none
   * @param done called when the state has changed, so that it is worth asking again
   */
  async require(
    key: string,
    image: string,
    policy: PullPolicy,
    done: () => void,
    logins: readonly RegistryLogin[] = [],
  ): Promise<ImageState> {
    const pull = this.#pulls.get(key)
    if (pull === undefined) {
      if (policy !== 'Always' && (await this.#engine.hasImage(image))) {
        await this.#notes.used([image], this.#clock.now())
        return { kind: 'ready' }
      }
      if (policy === 'Never') {
        return {
          kind: 'failed',
          message: 'the image is not on this host and may not be pulled',
          failures: 1,
          retryIn: 30_000,
        }
      }
      this.#enqueue(key, image, done, logins)
      return { kind: 'pulling' }
    }
    switch (pull.state) {
      case 'done':
        return { kind: 'ready' }
      case 'failed': {
        const retryIn = pull.retryAt - this.#clock.monotonic()
        if (retryIn > 0)
          return { kind: 'failed', message: pull.message, failures: pull.backoff.attempts, retryIn }
        this.#enqueue(key, image, done, logins)
        return { kind: 'failed', message: pull.message, failures: pull.backoff.attempts, retryIn: 0 }
      }
      default:
        return pull.backoff.attempts === 0
          ? { kind: 'pulling' }
          : { kind: 'failed', message: pull.message, failures: pull.backoff.attempts, retryIn: 0 }
    }
  }

  /** The container was started, or is not wanted any more. */
  forget(key: string): void {
    this.#pulls.delete(key)
  }

  #enqueue(key: string, image: string, done: () => void, logins: readonly RegistryLogin[]): void {
    const backoff =
      this.#pulls.get(key)?.backoff ?? new Backoff({ initial: 2_000, maximum: 300_000, jitter: 0.2 })
    const message = this.#pulls.get(key)?.message ?? ''
    this.#pulls.set(key, { state: 'waiting', message, retryAt: 0, backoff })
    this.#queue.push({ key, image, done, logins })
    this.#advance()
  }

  #advance(): void {
    while (this.#running < CONCURRENT_PULLS) {
      const next = this.#queue.shift()
      if (next === undefined) return
      const pull = this.#pulls.get(next.key)
      if (pull === undefined) continue
      this.#running += 1
      pull.state = 'pulling'
      void this.#pull(pull, next.image, next.logins).then(() => {
        this.#running -= 1
        next.done()
        this.#advance()
      })
    }
  }

  async #pull(pull: Pull, image: string, logins: readonly RegistryLogin[]): Promise<void> {
    try {
      const own = localImage(image)
      if (own === undefined) await this.#pullNoted(image, logins)
      else await ensureImage(this.#engine, own)
      pull.state = 'done'
    } catch (error) {
      pull.state = 'failed'
      pull.message = error instanceof Error ? error.message : String(error)
      pull.retryAt = this.#clock.monotonic() + pull.backoff.next()
      this.#log.warn({ err: error, image }, 'an image was not pulled')
    }
  }

  async #pullNoted(image: string, logins: readonly RegistryLogin[]): Promise<void> {
    const before = await this.#engine.imageFacts(image)
    await this.#pullAs(image, logins)
    const after = await this.#engine.imageFacts(image)
    if (after !== undefined) await this.#notes.pulled(image, before?.id, after.id, this.#clock.now())
  }

  /** The first login that the registry takes counts. */
  async #pullAs(image: string, logins: readonly RegistryLogin[]): Promise<void> {
    const [first, ...others] = logins
    try {
      await this.#engine.pull(image, first)
    } catch (error) {
      if (others.length === 0) throw error
      await this.#pullAs(image, others)
    }
  }
}
