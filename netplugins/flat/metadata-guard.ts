/**
 * Keeps the metadata address to this host's containers, on a bridge that the host's neighbours are on as well: their
 * packets and questions for it are dropped where they enter, before iptables can tell nobody's apart (nft(8), family
 * bridge).
 */
import { runCommand } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'

const TABLE = 'bridge drover_flat'

/** @param uplink the port that leads to the neighbours */
export function guardScript(uplink: string, metadataAddress: string): string {
  return [
    // Made first, so that deleting never fails; all of it is one transaction.
    `table ${TABLE}`,
    `delete table ${TABLE}`,
    `table ${TABLE} {`,
    '  chain neighbours {',
    '    type filter hook prerouting priority -300; policy accept;',
    `    iifname "${uplink}" ip daddr ${metadataAddress} counter drop`,
    `    iifname "${uplink}" arp daddr ip ${metadataAddress} counter drop`,
    '  }',
    '}',
    '',
  ].join('\n')
}

/** @returns whether it had to be made. @throws `RulesRefused`, `CommandMissing` */
export async function ensureGuard(uplink: string, metadataAddress: string): Promise<boolean> {
  const { stdout, exitCode } = await runCommand('nft', ['list', 'table', ...TABLE.split(' ')], {
    acceptedExitCodes: [0, 1],
  })
  const isThere = (what: string) =>
    stdout.includes(`iifname "${uplink}" ${what} ${metadataAddress} `) && /policy accept/.test(stdout)
  if (exitCode === 0 && isThere('ip daddr') && isThere('arp daddr ip')) return false
  await restore(guardScript(uplink, metadataAddress))
  return true
}

/** @throws `RulesRefused`, `CommandMissing` */
export async function removeGuard(): Promise<void> {
  await restore(`table ${TABLE}\ndelete table ${TABLE}\n`)
}

async function restore(script: string): Promise<void> {
  const { exitCode, stderr } = await runCommand('nft', ['-f', '-'], {
    input: script,
    acceptedExitCodes: [0, 1],
  })
  if (exitCode === 0) return
  throw networkErrors.RulesRefused({
    object: `nftables table ${TABLE}`,
    message: `nft refused it: ${stderr.trim().split('\n').slice(0, 2).join(' | ').slice(0, 300)}`,
  })
}
