/** Starts the parts of a daemon in order and stops them in reverse. */
import { atMost } from './deadline.ts'
import { explainError } from './errors.ts'
import type { Logger } from './log.ts'

/** A long-lived part of a process. `start` resolves when it is ready to serve; `stop` when nothing of it runs. */
export interface Daemon {
  readonly name: string
  start(): Promise<void>
  stop(): Promise<void>
}

/** Milliseconds one part may take to stop before the others go on without it. */
const STOP_DEADLINE = 10_000

export class Supervisor {
  readonly #log: Logger
  readonly #running: Daemon[] = []

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * Starts one part and remembers it.
   *
   * @throws what its `start` throws, after stopping everything started before it
   */
  async start(daemon: Daemon): Promise<void> {
    const begin = performance.now()
    try {
      await daemon.start()
    } catch (error) {
      this.#log.error({ err: error, part: daemon.name }, 'did not start')
      await this.stop()
      throw error
    }
    this.#running.push(daemon)
    this.#log.debug({ part: daemon.name, milliseconds: Math.round(performance.now() - begin) }, 'started')
  }

  /** Stops everything, last started first. A part that fails to stop is logged and does not hold up the rest. */
  async stop(): Promise<void> {
    for (let daemon = this.#running.pop(); daemon !== undefined; daemon = this.#running.pop()) {
      try {
        await atMost(STOP_DEADLINE, daemon.name, daemon.stop())
      } catch (error) {
        this.#log.warn({ part: daemon.name, reason: explainError(error) }, 'did not stop cleanly')
      }
    }
  }
}
