/** The rule by which the kernel asks charon's routing table; a charon that was killed leaves it behind. */
import { runCommand } from '../../kit/index.ts'
import { CHARON_RULE_PRIORITY, CHARON_TABLE } from './charon-settings.ts'

const RULE = ['priority', String(CHARON_RULE_PRIORITY), 'table', String(CHARON_TABLE)]

/** Exit code of ip(8) when the kernel said no: here, that there is no such rule (any more). */
const REFUSED = 2

/** Removes every one. */
export async function removeCharonRule(): Promise<void> {
  for (const family of ['-4', '-6']) {
    let exitCode = 0
    while (exitCode === 0) {
      const result = await runCommand('ip', [family, 'rule', 'del', ...RULE], {
        acceptedExitCodes: [0, REFUSED],
      })
      exitCode = result.exitCode
    }
  }
}
