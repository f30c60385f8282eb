/** The nf_tables rules that mark packets whose flow may be known: the last that forwarded packets pass. */
import { isDroverError, runCommand } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { RecentProcesses } from '../netlink/index.ts'
import { FLOW_MARK } from './flow-programs.ts'

/** Of the family ip; all of it is ours. */
export const FLOW_TABLE = 'drover_flows'

const UNMARKED = 0xffff_ffff - FLOW_MARK

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}

/**
 * Replaces the table, if there is one, in one step.
 *
 * `assured` are connections of TCP that are open, and of UDP that last: the many that end at once are not worth it.
 */
export function flowRules(one: string, other: string): string {
  const mark = (from: string, to: string) => {
    const link = `iifname "${from}" oifname "${to}"`
    return [
      // A mark of somebody else's says nothing.
      `    ${link} meta mark set meta mark and ${hex(UNMARKED)}`,
      `    ${link} ct state established ct status assured ct status & (snat | dnat) == 0 meta mark set meta mark or ${hex(FLOW_MARK)}`,
    ]
  }
  return [
    `table ip ${FLOW_TABLE}`,
    `delete table ip ${FLOW_TABLE}`,
    `table ip ${FLOW_TABLE} {`,
    '  chain known {',
    '    type filter hook forward priority 400; policy accept;',
    ...mark(one, other),
    ...mark(other, one),
    '  }',
    '}',
    '',
  ].join('\n')
}

function refused(action: string, stderr: string): Error {
  return networkErrors.RulesRefused({
    object: `nftables table ${FLOW_TABLE}`,
    message: `nft cannot ${action} it: ${stderr.trim().slice(0, 300)}`,
  })
}

export class FlowRules {
  readonly #processes = new RecentProcesses()
  /** The rules that were made, and how nft lists them. */
  #made: { readonly document: string; readonly listing: string } | undefined

  /** Whether a change of rules was made by a process of ours. */
  isOwnProcess(processId: number): boolean {
    return this.#processes.has(processId)
  }

  /**
   * Makes the rules as they should be.
   *
   * @returns whether anything had to be changed
   * @throws `RulesRefused`, `CommandMissing`, `DeadlineExceeded`
   */
  async verify(one: string, other: string): Promise<boolean> {
    const document = flowRules(one, other)
    if (this.#made?.document === document && (await this.#list()) === this.#made.listing) return false
    this.#made = undefined
    await this.#run(document, 'make')
    const listing = await this.#list()
    if (listing !== undefined) this.#made = { document, listing }
    return true
  }

  /** None is fine. @throws `RulesRefused`, `DeadlineExceeded` */
  async remove(): Promise<void> {
    this.#made = undefined
    try {
      // Made first where it is missing: then removing it cannot fail.
      await this.#run(`table ip ${FLOW_TABLE}\ndelete table ip ${FLOW_TABLE}\n`, 'remove')
    } catch (error) {
      // Without the program there never were rules.
      if (!isDroverError(error, 'CommandMissing')) throw error
    }
  }

  async #run(document: string, action: string): Promise<void> {
    const { exitCode, stderr } = await runCommand('nft', ['-f', '-'], {
      input: document,
      onStart: processId => this.#processes.add(processId),
      acceptedExitCodes: [0, 1],
    })
    if (exitCode !== 0) throw refused(action, stderr)
  }

  /** In nft's own words, with the numbers that it gives to what is made; undefined when there is none. */
  async #list(): Promise<string | undefined> {
    const { exitCode, stdout } = await runCommand('nft', ['--handle', 'list', 'table', 'ip', FLOW_TABLE], {
      acceptedExitCodes: [0, 1],
    })
    return exitCode === 0 ? stdout : undefined
  }
}
