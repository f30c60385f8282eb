/**
 * Pods that wait for a node. Those that fit nowhere wait for a change that may help, and at least for a back-off that
 * grows with every attempt; nothing is tried again by time alone.
 */
import { Backoff, type CancelTimer, type Clock } from '../../../kit/index.ts'
import type { PodDemand } from './pod-demand.ts'

/** Milliseconds, as kube-scheduler's podInitialBackoff and podMaxBackoff. */
const BACKOFF = { initial: 1_000, maximum: 10_000, jitter: 0 }

/** Pods by how important they are, and in order of arrival. */
class ByPriority {
  readonly #levels = new Map<number, Map<string, PodDemand>>()
  readonly #levelOf = new Map<string, number>()

  get size(): number {
    return this.#levelOf.size
  }

  has(key: string): boolean {
    return this.#levelOf.has(key)
  }

  add(pod: PodDemand): void {
    const before = this.#levelOf.get(pod.key)
    if (before !== undefined && before !== pod.priority) this.delete(pod.key)
    const level = this.#levels.get(pod.priority) ?? new Map<string, PodDemand>()
    level.set(pod.key, pod)
    this.#levels.set(pod.priority, level)
    this.#levelOf.set(pod.key, pod.priority)
  }

  delete(key: string): void {
    const priority = this.#levelOf.get(key)
    if (priority === undefined) return
    this.#levelOf.delete(key)
    const level = this.#levels.get(priority)
    level?.delete(key)
    if (level?.size === 0) this.#levels.delete(priority)
  }

  take(): PodDemand | undefined {
    // There are few levels at a time.
    const highest = Math.max(...this.#levels.keys())
    const first = this.#levels.get(highest)?.values().next().value
    if (first !== undefined) this.delete(first.key)
    return first
  }
}

interface Parked {
  readonly pod: PodDemand
  readonly retryAt: number
  /** Whether something changed since the last attempt. */
  hopeful: boolean
}

export class SchedulingQueue {
  readonly #clock: Clock
  readonly #onReady: () => void
  readonly #active = new ByPriority()
  readonly #parked = new Map<string, Parked>()
  readonly #backoffs = new Map<string, Backoff>()
  #timer: { readonly cancel: CancelTimer; readonly at: number } | undefined

  /** @param onReady called when a pod became ready to be tried */
  constructor(clock: Clock, onReady: () => void) {
    this.#clock = clock
    this.#onReady = onReady
  }

  get waiting(): number {
    return this.#active.size
  }

  /** A new pod, or one whose demand has changed: it is tried soon. */
  add(pod: PodDemand): void {
    this.#parked.delete(pod.key)
    this.#active.add(pod)
    this.#onReady()
  }

  /** Takes the pod that waits longest of the most important ones. */
  take(): PodDemand | undefined {
    return this.#active.take()
  }

  /**
   * Puts back a pod that could not be placed.
   *
   * @param hopeful try again after the back-off without waiting for a change: the attempt failed, not the fit
   */
  park(pod: PodDemand, hopeful: boolean): void {
    if (this.#active.has(pod.key)) return
    const backoff = this.#backoffs.get(pod.key) ?? new Backoff(BACKOFF)
    this.#backoffs.set(pod.key, backoff)
    this.#parked.set(pod.key, { pod, retryAt: this.#clock.monotonic() + backoff.next(), hopeful })
    if (hopeful) this.#promote()
  }

  /** Puts back a pod that waits for something that is on its way: it is tried again as soon as anything changes. */
  hold(pod: PodDemand): void {
    if (this.#active.has(pod.key)) return
    this.#parked.set(pod.key, { pod, retryAt: this.#clock.monotonic(), hopeful: false })
  }

  /** Something changed that may help pods that fit nowhere. */
  encourage(): void {
    if (this.#parked.size === 0) return
    for (const parked of this.#parked.values()) parked.hopeful = true
    this.#promote()
  }

  /** The pod has a node, or is gone. */
  remove(key: string): void {
    this.#active.delete(key)
    this.#parked.delete(key)
    this.#backoffs.delete(key)
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #promote(): void {
    const now = this.#clock.monotonic()
    let next = Number.POSITIVE_INFINITY
    let promoted = false
    for (const [key, { pod, hopeful, retryAt }] of this.#parked) {
      if (!hopeful) continue
      if (retryAt <= now) {
        this.#parked.delete(key)
        this.#active.add(pod)
        promoted = true
      } else next = Math.min(next, retryAt)
    }
    this.#schedule(now, next)
    if (promoted) this.#onReady()
  }

  #schedule(now: number, at: number): void {
    if (this.#timer !== undefined && this.#timer.at <= at) return
    this.#timer?.cancel()
    this.#timer = undefined
    if (at === Number.POSITIVE_INFINITY) return
    const cancel = this.#clock.after(at - now, () => {
      this.#timer = undefined
      this.#promote()
    })
    this.#timer = { cancel, at }
  }
}
