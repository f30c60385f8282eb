/** Keeps our chains, and the jumps into them, as they should be. */
import type { Logger } from '../../kit/index.ts'
import { type IpFamily, RecentProcesses } from '../netlink/index.ts'
import { restoreRules, saveRules } from './iptables-command.ts'
import { type ActualTable, type DesiredRules, NO_RULES, parseRules, TABLE_NAMES } from './ruleset.ts'
import { restoreDocument, tableEdits } from './table-edits.ts'

/** A table as we believe it is after we made it so: our chains and nothing but our jumps. */
function believedTable(desired: DesiredRules[keyof DesiredRules]): ActualTable {
  const chains = new Map<string, readonly string[]>(desired.chains)
  for (const chain of desired.userChains) chains.set(chain, [])
  for (const { from, rule } of desired.jumps) chains.set(from, [...(chains.get(from) ?? []), rule])
  return chains
}

export class IptablesReconciler {
  readonly #log: Logger
  readonly #family: IpFamily
  /** What the last successful change made; undefined when the actual rules are not known. */
  #believed: DesiredRules | undefined
  #last: Promise<unknown> = Promise.resolve()
  readonly #processes = new RecentProcesses()

  /** @param family whose rules these are */
  constructor(log: Logger, family: IpFamily = 4) {
    this.#log = log
    this.#family = family
  }

  /**
   * Changes our chains to what `desired` says, trusting that nobody changed them since the last call: costs one program
   * run for what differs, none when nothing does.
   *
   * @param desired asked when it is this call's turn, so that an earlier wish never replaces a later one
   * @throws `RulesRefused`, `CommandMissing`, `DeadlineExceeded`; the next call looks at the actual rules first
   */
  apply(desired: () => DesiredRules): Promise<void> {
    return this.#inTurn(async () => {
      const believed = this.#believed
      if (believed === undefined) await this.#repair(desired())
      else await this.#change(table => believedTable(believed[table]), desired())
    })
  }

  /**
   * Reads the actual rules and repairs what differs from `desired`: contents, jumps and their position.
   *
   * @returns how many edits that took
   * @throws like `apply`
   */
  verify(desired: () => DesiredRules): Promise<number> {
    return this.#inTurn(() => this.#repair(desired()))
  }

  /** Removes everything of ours. @throws like `apply` */
  async remove(): Promise<void> {
    await this.verify(() => NO_RULES)
  }

  /** Whether a change that the kernel tells (`watchRuleset`) was made here. */
  isOwnProcess(processId: number): boolean {
    return this.#processes.has(processId)
  }

  async #repair(desired: DesiredRules): Promise<number> {
    const actual = parseRules(await saveRules(this.#family))
    const edits = await this.#change(table => actual.get(table) ?? new Map(), desired)
    if (edits > 0) this.#log.info({ edits, family: this.#family }, 'changed iptables rules')
    return edits
  }

  async #change(actual: (table: keyof DesiredRules) => ActualTable, desired: DesiredRules): Promise<number> {
    const edits = new Map(TABLE_NAMES.map(table => [table, tableEdits(actual(table), desired[table])]))
    const document = restoreDocument(edits)
    if (document !== '') {
      this.#believed = undefined
      await restoreRules(document, this.#family, processId => this.#processes.add(processId))
    }
    this.#believed = desired
    return [...edits.values()].reduce((sum, lines) => sum + lines.length, 0)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}
