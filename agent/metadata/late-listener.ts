/** Listening on an address that may not be there yet, or not be free. */
import {
  Backoff,
  type Daemon,
  explainError,
  isDroverError,
  type Logger,
  sleep,
  systemErrorCode,
} from '../../kit/index.ts'

export interface LateListenerOptions {
  /** What listens; its `start` may be called again after it failed. */
  readonly daemon: Daemon
  readonly log: Logger
}

/**
 * Starts a daemon as soon as the address that it listens on exists and is free: the metadata address is there only after
 * the host's network was built, another process (an agent that is ending, another system's metadata service) may have
 * its ports, and nothing else of an agent should wait for that.
 */
export class LateListener implements Daemon {
  readonly name: string
  readonly #options: LateListenerOptions
  readonly #abort = new AbortController()
  readonly #ready = Promise.withResolvers<void>()
  #starting: Promise<void> = Promise.resolve()
  #listening = false
  /** Why it does not listen, as it was last told. */
  #obstacle = ''

  constructor(options: LateListenerOptions) {
    this.name = options.daemon.name
    this.#options = options
  }

  /** Resolves when it listens; never, if it is stopped before. */
  get listening(): Promise<void> {
    return this.#ready.promise
  }

  /** @throws what the daemon's `start` throws, unless it is that the address does not exist or is in use */
  async start(): Promise<void> {
    if (await this.#tryOnce()) return
    this.#starting = this.#keepTrying()
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#starting
    if (this.#listening) await this.#options.daemon.stop()
  }

  async #keepTrying(): Promise<void> {
    const backoff = new Backoff({ initial: 100, maximum: 2_000 })
    const { signal } = this.#abort
    while (!signal.aborted) {
      try {
        await sleep(backoff.next(), signal)
        if (await this.#tryOnce()) return
      } catch (error) {
        if (!signal.aborted)
          this.#options.log.error({ err: error, part: this.name }, 'cannot listen; tries again')
      }
    }
  }

  /** @returns false when the address does not exist or is in use */
  async #tryOnce(): Promise<boolean> {
    try {
      await this.#options.daemon.start()
    } catch (error) {
      const missing = systemErrorCode(error) === 'EADDRNOTAVAIL'
      if (!missing && !isDroverError(error, 'AddressInUse')) throw error
      this.#tell(missing ? 'its address does not exist yet' : explainError(error), missing)
      return false
    }
    this.#listening = true
    this.#ready.resolve()
    return true
  }

  /** Each reason once. */
  #tell(obstacle: string, expected: boolean): void {
    if (obstacle === this.#obstacle) return
    this.#obstacle = obstacle
    const { log } = this.#options
    const fields = { part: this.name, reason: obstacle }
    if (expected) log.info(fields, 'listens as soon as it can')
    else log.warn(fields, 'cannot listen; goes on trying')
  }
}
