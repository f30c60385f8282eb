/** Every wait has an end. */
import { kitErrors } from './errors.ts'

/**
 * Waits for `promise` at most `milliseconds`.
 *
 * The work behind the promise is not stopped; pass `withDeadline`'s signal to it when it can be.
 *
 * @throws `DeadlineExceeded` naming `object`
 */
export async function atMost<T>(milliseconds: number, object: string, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => reject(kitErrors.DeadlineExceeded({ object, expected: `an end within ${milliseconds} ms` })),
    milliseconds,
  )
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Runs `work` with a signal that aborts when `milliseconds` have passed or `parent` aborts.
 *
 * @throws `DeadlineExceeded` naming `object` when the time passed first
 */
export async function withDeadline<T>(
  milliseconds: number,
  object: string,
  work: (signal: AbortSignal) => Promise<T>,
  parent?: AbortSignal,
): Promise<T> {
  const timeout = AbortSignal.timeout(milliseconds)
  const signal = parent === undefined ? timeout : AbortSignal.any([timeout, parent])
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () =>
    reject(
      timeout.aborted
        ? kitErrors.DeadlineExceeded({ object, expected: `an end within ${milliseconds} ms` })
        : signal.reason,
    )
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work(signal), aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
