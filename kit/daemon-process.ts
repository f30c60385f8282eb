/** How a daemon's process tells whoever started it that it is ready, or why it ends. */
import { DroverError, explainError } from './errors.ts'
import type { Logger } from './log.ts'

/** A message to the parent process, when there is one that listens. */
export type DaemonMessage =
  | { readonly type: 'ready' }
  | {
      readonly type: 'failed'
      readonly code: string
      readonly message: string
      readonly expected?: string
      readonly mend?: string
    }

function tellParent(message: DaemonMessage): Promise<void> {
  return new Promise(resolve => {
    if (process.send === undefined) resolve()
    // A parent that left does not need to know.
    else process.send(message, () => resolve())
  })
}

/** Says that the daemon serves. The parent may end afterwards; the daemon goes on. */
export async function announceReady(): Promise<void> {
  await tellParent({ type: 'ready' })
  process.channel?.unref()
}

/** Says why the daemon cannot go on, and ends the process with exit code 1. */
export async function failProcess(error: unknown, log: Logger): Promise<never> {
  log.fatal({ err: error }, 'cannot go on')
  const known = error instanceof DroverError ? error : undefined
  await tellParent({
    type: 'failed',
    code: known?.code ?? 'Failed',
    message: known?.message ?? explainError(error),
    ...(known?.expected === undefined ? {} : { expected: known.expected }),
    ...(known?.mend === undefined ? {} : { mend: known.mend }),
  })
  if (process.send === undefined) process.stderr.write(`error: ${explainError(error)}\n`)
  process.exit(1)
}

/** Resolves with the signal that asks the process to end. */
export function untilAskedToStop(): Promise<NodeJS.Signals> {
  return new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal))
  })
}
