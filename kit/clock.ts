/** Time as a dependency, so that tests decide when it passes. */

/** Cancels a timer; calling it again, or after the timer ran, does nothing. */
export type CancelTimer = () => void

export interface Clock {
  /** Milliseconds since 1970 (UTC). May jump when the machine's clock is set. */
  now(): number
  /** Milliseconds since an arbitrary moment; never goes back. For durations. */
  monotonic(): number
  /** Runs `callback` once after `milliseconds`. */
  after(milliseconds: number, callback: () => void): CancelTimer
}

/** The machine's clock. Its timers do not keep a process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/**
 * Waits for `milliseconds`.
 *
 * @throws the signal's reason as soon as `signal` aborts
 */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, milliseconds)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
