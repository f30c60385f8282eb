/**
 * The one reconcile loop of Drover: level-triggered, keyed, bounded, with back-off per key.
 *
 * A kick says "look at this key", not what changed; kicks of a key that already waits are one kick, and a key
 * is never reconciled twice at the same time. A failing key is tried again with growing delays and does not
 * hold up the others. Between so many calls, timers and sockets of the process have their turn.
 */
import { Backoff, type BackoffOptions } from './backoff.ts'
import { type CancelTimer, type Clock, systemClock } from './clock.ts'
import { atMost, withDeadline } from './deadline.ts'
import type { Logger } from './log.ts'

/** `requeueAfter` asks for another look after so many milliseconds, kicks or not. */
export type ReconcileResult = { readonly requeueAfter: number } | undefined

export interface ReconcileLoopOptions<Key extends string> {
  readonly name: string
  /** Brings the object of `key` to its desired state. Idempotent. Throwing means: try again later. */
  readonly reconcile: (key: Key, signal: AbortSignal) => Promise<ReconcileResult>
  readonly log: Logger
  /** How many keys are reconciled side by side. Default 4. */
  readonly concurrency?: number
  /** Longest time one call may take, in milliseconds. Default 60 000. */
  readonly deadline?: number
  readonly backoff?: BackoffOptions
  readonly clock?: Clock
}

const DEFAULT_BACKOFF: BackoffOptions = { initial: 100, maximum: 30_000 }

/** Calls that wait for nothing could follow each other for ever, if they kick each other, and starve the whole process. */
const CALLS_PER_TURN = 256

export class ReconcileLoop<Key extends string = string> {
  readonly #options: ReconcileLoopOptions<Key>
  readonly #clock: Clock
  readonly #ready = new Set<Key>()
  readonly #running = new Set<Key>()
  readonly #kickedWhileRunning = new Set<Key>()
  readonly #timers = new Map<Key, { cancel: CancelTimer; at: number }>()
  readonly #failures = new Map<Key, Backoff>()
  readonly #abort = new AbortController()
  #idleWaiters: (() => void)[] = []
  #started = false
  /** Since timers and sockets were looked at. */
  #calls = 0

  constructor(options: ReconcileLoopOptions<Key>) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** Asks for `key` to be looked at as soon as possible. */
  kick(key: Key): void {
    if (this.#abort.signal.aborted) return
    this.#cancelTimer(key)
    if (this.#running.has(key)) this.#kickedWhileRunning.add(key)
    else this.#ready.add(key)
    this.#dispatch()
  }

  /** Asks for `key` to be looked at in `milliseconds`, or earlier when something else kicks it. */
  kickAfter(key: Key, milliseconds: number): void {
    if (this.#abort.signal.aborted || this.#ready.has(key)) return
    const at = this.#clock.monotonic() + milliseconds
    const present = this.#timers.get(key)
    if (present !== undefined && present.at <= at) return
    present?.cancel()
    const cancel = this.#clock.after(milliseconds, () => {
      this.#timers.delete(key)
      this.kick(key)
    })
    this.#timers.set(key, { cancel, at })
  }

  /** Starts working; keys kicked before wait until then. */
  start(): void {
    this.#started = true
    this.#dispatch()
  }

  /** Ends the loop: nothing new starts, running calls get their signal aborted and are waited for. */
  async stop(): Promise<void> {
    this.#abort.abort(new Error(`reconcile loop ${this.#options.name} stopped`))
    for (const { cancel } of this.#timers.values()) cancel()
    this.#timers.clear()
    this.#ready.clear()
    this.#kickedWhileRunning.clear()
    await this.idle()
  }

  /** Resolves when nothing is ready or running. Delayed keys do not count. */
  idle(): Promise<void> {
    if (this.#ready.size === 0 && this.#running.size === 0) return Promise.resolve()
    return new Promise(resolve => this.#idleWaiters.push(resolve))
  }

  /** How often `key` failed in a row. */
  failures(key: Key): number {
    return this.#failures.get(key)?.attempts ?? 0
  }

  #dispatch(): void {
    if (!this.#started) return
    const concurrency = this.#options.concurrency ?? 4
    for (const key of this.#ready) {
      if (this.#running.size >= concurrency || !this.#takeTurn()) return
      this.#ready.delete(key)
      this.#running.add(key)
      void this.#run(key)
    }
  }

  /** Whether there may be another call before everything else in this process has had its turn. */
  #takeTurn(): boolean {
    if (this.#calls === 0) {
      setImmediate(() => {
        this.#calls = 0
        this.#dispatch()
      })
    }
    if (this.#calls >= CALLS_PER_TURN) return false
    this.#calls += 1
    return true
  }

  async #run(key: Key): Promise<void> {
    const { name, reconcile, log, deadline = 60_000 } = this.#options
    let work: Promise<unknown> = Promise.resolve()
    try {
      const result = await withDeadline(
        deadline,
        `${name} ${key}`,
        signal => {
          const call = reconcile(key, signal)
          work = call
          return call
        },
        this.#abort.signal,
      )
      this.#failures.delete(key)
      if (result !== undefined) this.#kickAfterRun(key, result.requeueAfter)
    } catch (error) {
      if (!this.#abort.signal.aborted) {
        const backoff = this.#failures.get(key) ?? new Backoff(this.#options.backoff ?? DEFAULT_BACKOFF)
        this.#failures.set(key, backoff)
        const delay = backoff.next()
        log.warn(
          { err: error, loop: name, object: key, attempt: backoff.attempts, retryIn: delay },
          'reconcile failed',
        )
        this.#kickAfterRun(key, delay)
      }
    } finally {
      // Past its deadline the call may still be unwinding; a second one beside it could undo its work.
      await atMost(deadline, `${name} ${key}`, work).catch(() => undefined)
      this.#running.delete(key)
      if (this.#kickedWhileRunning.delete(key) && !this.#abort.signal.aborted) {
        this.#cancelTimer(key)
        this.#ready.add(key)
      }
      this.#dispatch()
      if (this.#ready.size === 0 && this.#running.size === 0) {
        for (const resolve of this.#idleWaiters.splice(0)) resolve()
      }
    }
  }

  #kickAfterRun(key: Key, milliseconds: number): void {
    if (!this.#kickedWhileRunning.has(key)) this.kickAfter(key, milliseconds)
  }

  #cancelTimer(key: Key): void {
    this.#timers.get(key)?.cancel()
    this.#timers.delete(key)
  }
}
