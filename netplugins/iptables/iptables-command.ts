/** The iptables programs: whole rule sets out, batches of edits in. */
import { runCommand } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import type { IpFamily } from '../netlink/index.ts'

/** Seconds to wait for another program that is changing the rules. */
const LOCK_WAIT = 10

/** Which part of the kernel the `iptables` of this host talks to; all users of one host must use the same. */
export type IptablesBackend = 'nft' | 'legacy'

/** @throws `CommandMissing` when there is no iptables */
export async function detectBackend(): Promise<IptablesBackend> {
  const { stdout } = await runCommand('iptables', ['--version'])
  return stdout.includes('nf_tables') ? 'nft' : 'legacy'
}

/** The programs of a family: each knows its own rules alone. */
const PROGRAM: Readonly<Record<IpFamily, string>> = { 4: 'iptables', 6: 'ip6tables' }

/** Every table as text. @throws `CommandMissing`, `CommandFailed` */
export async function saveRules(family: IpFamily): Promise<string> {
  const { stdout } = await runCommand(`${PROGRAM[family]}-save`, [])
  return stdout
}

/**
 * Makes the edits of `document`, all of a table or none of it.
 *
 * @param onStart told the id of the process that makes them
 * @throws `RulesRefused`, `CommandMissing`, `DeadlineExceeded`
 */
export async function restoreRules(
  document: string,
  family: IpFamily,
  onStart: (processId: number) => void = () => undefined,
): Promise<void> {
  const program = PROGRAM[family]
  const { exitCode, stderr } = await runCommand(`${program}-restore`, ['--noflush', `--wait=${LOCK_WAIT}`], {
    input: document,
    onStart,
    acceptedExitCodes: [0, 1, 2, 3, 4],
  })
  if (exitCode === 0) return
  const line = Number(/line:? (\d+)/.exec(stderr)?.[1] ?? Number.NaN)
  const culprit = document.split('\n')[line - 1]
  throw networkErrors.RulesRefused({
    object: culprit === undefined ? `${program} rules` : `${program} rule "${culprit}"`,
    message: `${program}-restore refused it: ${stderr.trim().split('\n').slice(0, 3).join(' | ').slice(0, 400)}`,
  })
}
