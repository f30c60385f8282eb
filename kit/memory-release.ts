/**
 * Gives memory back that a burst has left behind: a start, the metadata of a whole cluster, clusters that are gone. Node.js and
 * the C library keep what was freed for the next burst, which may come tomorrow; a third of an agent's memory would be that.
 */
import { type CancelTimer, type Clock, systemClock } from './clock.ts'
import type { Logger } from './log.ts'
import { trimNativeHeap } from './native-heap.ts'
import type { Daemon } from './supervisor.ts'

/** Milliseconds between two looks. */
const INTERVAL = 5_000
/** Collecting holds everything up for some 50 ms: not more often than this, in milliseconds. */
const PAUSE = 60_000
/** Bytes that have to have come since the last time; less is what a program needs to do its work. */
const WORTH = 12 * 1024 * 1024
/** Whoever uses more than this part of a processor is in the middle of something. */
const BUSY = 0.2

/** What is known at one look. */
export interface MemoryState {
  /** Bytes in memory. */
  readonly resident: number
  /** Bytes that were left the last time; 0 before that. */
  readonly floor: number
  /** Processor time since the last look, as a part of one processor. */
  readonly load: number
  /** Milliseconds since the last time. */
  readonly elapsed: number
}

/** Whether now is the time. */
export function isWorthReleasing({ resident, floor, load, elapsed }: MemoryState): boolean {
  return resident > floor + WORTH && load < BUSY && elapsed >= PAUSE
}

export interface MemoryReleaseOptions {
  /** Bytes in memory. */
  readonly resident: () => number
  /** Milliseconds of processor time so far. */
  readonly processorTime: () => number
  /** Gives back whatever can be. */
  readonly release: () => void
  readonly log: Logger
  readonly clock?: Clock
}

export class MemoryRelease implements Daemon {
  readonly name = 'memory'
  readonly #options: MemoryReleaseOptions
  readonly #clock: Clock
  #cancel: CancelTimer | undefined
  #stopped = false
  #floor = 0
  #releasedAt = Number.NEGATIVE_INFINITY
  #lookedAt = 0
  #processorTime = 0

  constructor(options: MemoryReleaseOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  async start(): Promise<void> {
    this.#stopped = false
    this.#begin()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancel?.()
  }

  #begin(): void {
    if (this.#stopped) return
    this.#lookedAt = this.#clock.monotonic()
    this.#processorTime = this.#options.processorTime()
    this.#cancel = this.#clock.after(INTERVAL, () => {
      this.#look()
      this.#begin()
    })
  }

  #look(): void {
    const { resident, processorTime, release, log } = this.#options
    const now = this.#clock.monotonic()
    const before = resident()
    const load = (processorTime() - this.#processorTime) / Math.max(1, now - this.#lookedAt)
    const elapsed = now - this.#releasedAt
    if (!isWorthReleasing({ resident: before, floor: this.#floor, load, elapsed })) return
    release()
    this.#floor = resident()
    this.#releasedAt = this.#clock.monotonic()
    log.debug({ before, after: this.#floor }, 'gave memory back')
  }
}

/** Bytes of objects; with more of them, to look for those that are gone would hold everything up for too long. */
const LARGEST_HEAP = 512 * 1024 * 1024

/** Gives back whatever can be. Without Node's option `--expose-gc`, only the C library does. */
export function releaseMemory(): void {
  const small = process.memoryUsage().heapUsed < LARGEST_HEAP
  // The flavour that gives pages back to the system as well.
  if (small) globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  trimNativeHeap()
}

/** This process's memory. */
export function ownMemoryRelease(log: Logger): MemoryRelease {
  return new MemoryRelease({
    resident: () => process.memoryUsage.rss(),
    processorTime: () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1_000
    },
    release: releaseMemory,
    log,
  })
}
