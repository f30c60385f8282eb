/** When a master of HAProxy can be told to load its configuration again. */
import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { sleep } from '../kit/index.ts'

/** Milliseconds between two looks at what the master does with signals. */
const LOOK_INTERVAL = 5

export const RELOAD_SIGNAL = 'SIGUSR2'
const RELOAD_BIT = 1n << BigInt(constants.signals[RELOAD_SIGNAL] - 1)

/** Whether a process has a handler for the signal, from its `/proc/<pid>/status` (proc(5), `SigCgt`). */
export function catchesReload(status: string): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1]
  return caught !== undefined && (BigInt(`0x${caught}`) & RELOAD_BIT) !== 0n
}

/**
 * Waits until the master listens for the signal.
 *
 * A master says that a configuration is loaded before it executes itself once more to wait for signals, and ignores this one
 * until then: sent in between, it would be lost.
 *
 * @param signal when to give up
 * @throws `ENOENT` when there is no such process
 */
export async function untilReloadable(pid: number, signal: AbortSignal): Promise<void> {
  while (!catchesReload(await readFile(`/proc/${pid}/status`, 'utf8'))) {
    await sleep(LOOK_INTERVAL, signal)
  }
}
