/** Listening on an address that may not be there yet. */
import { Backoff, type Daemon, type Logger, sleep, systemErrorCode } from '../../kit/index.ts'

export interface LateListenerOptions {
  /** What listens; its `start` may be called again after it failed. */
  readonly daemon: Daemon
  readonly log: Logger
}

/**
 * Starts a daemon as soon as the address that it listens on exists: the metadata address is there only after the host's
 * network was built, and nothing else of an agent should wait for that.
 */
export class LateListener implements Daemon {
  readonly name: string
  readonly #options: LateListenerOptions
  readonly #abort = new AbortController()
  readonly #ready = Promise.withResolvers<void>()
  #starting: Promise<void> = Promise.resolve()
  #listening = false

  constructor(options: LateListenerOptions) {
    this.name = options.daemon.name
    this.#options = options
  }

  /** Resolves when it listens; never, if it is stopped before. */
  get listening(): Promise<void> {
    return this.#ready.promise
  }

  /** @throws what the daemon's `start` throws, unless it is that the address does not exist */
  async start(): Promise<void> {
    if (await this.#tryOnce()) return
    this.#options.log.info({ part: this.name }, 'listens as soon as its address exists')
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

  /** @returns false when the address does not exist */
  async #tryOnce(): Promise<boolean> {
    try {
      await this.#options.daemon.start()
    } catch (error) {
      if (systemErrorCode(error) === 'EADDRNOTAVAIL') return false
      throw error
    }
    this.#listening = true
    this.#ready.resolve()
    return true
  }
}
