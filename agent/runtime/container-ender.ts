/** Ends containers: runs the hook before the end, asks, waits, insists. */
import { explainError, type Logger } from '../../kit/index.ts'
import type { ContainerInventory, DockerEngine } from '../docker/index.ts'
import type { Outcome } from './handlers.ts'
import type { ContainerView } from './pod-view.ts'

interface Ending {
  /** Monotonic milliseconds at which it is killed. */
  killAt: number
  /** Its hook took its time; what it has now is its own. */
  extended: boolean
}

/** What a container has left for its own end when its hook took all the time (as the kubelet gives it). */
const LEAST_GRACE = 2_000

/** Milliseconds until a killed container is looked at again. */
const LOOK_AGAIN = 100

export class ContainerEnder {
  readonly #engine: DockerEngine
  readonly #inventory: ContainerInventory
  readonly #log: Logger
  /** By Docker's id. */
  readonly #endings = new Map<string, Ending>()

  constructor(engine: DockerEngine, inventory: ContainerInventory, log: Logger) {
    this.#engine = engine
    this.#inventory = inventory
    this.#log = log
  }

  /**
   * Begins the end of a container, or goes on with it. The time that it has can be shortened while it passes, never lengthened.
   *
   * @param grace milliseconds
   * @param hook what is done before it is asked to end; given at most that time
   * @returns milliseconds until it is worth another look
   */
  async end(
    { details }: ContainerView,
    grace: number,
    hook: ((milliseconds: number) => Promise<Outcome>) | undefined,
  ): Promise<number> {
    const now = performance.now()
    let ending = this.#endings.get(details.id)
    if (ending === undefined) {
      ending = { killAt: now + grace, extended: false }
      this.#endings.set(details.id, ending)
      if (hook === undefined || grace === 0) await this.#engine.kill(details.id, 'SIGTERM')
      else void this.#endAfter(details.id, ending, hook(grace))
    } else if (!ending.extended) ending.killAt = Math.min(ending.killAt, now + grace)
    const left = ending.killAt - now
    if (left > 0) return left
    await this.#engine.kill(details.id, 'SIGKILL')
    await this.#inventory.refresh(details.id)
    return LOOK_AGAIN
  }

  /** Whether its end has begun. */
  isEnding(dockerId: string): boolean {
    return this.#endings.has(dockerId)
  }

  /** A container that does not run any more. */
  forget(dockerId: string): void {
    this.#endings.delete(dockerId)
  }

  async #endAfter(dockerId: string, ending: Ending, hook: Promise<Outcome>): Promise<void> {
    const { successful, message } = await hook
    if (!successful)
      this.#log.warn(
        { container: dockerId.slice(0, 12), message },
        'the hook before the end of a container failed',
      )
    ending.extended = true
    ending.killAt = Math.max(ending.killAt, performance.now() + LEAST_GRACE)
    try {
      await this.#engine.kill(dockerId, 'SIGTERM')
    } catch (error) {
      // It is killed when its time is over.
      this.#log.warn(
        { container: dockerId.slice(0, 12), reason: explainError(error) },
        'it was not asked to end',
      )
    }
  }
}
