/** Keeps the host's iptables rules as the attachments need them; many changes at once are one run of iptables. */
import type { Logger } from '../../kit/index.ts'
import { type DesiredRules, IptablesReconciler, NO_RULES } from '../../netplugins/iptables/index.ts'
import type { IpFamily } from '../../netplugins/netlink/index.ts'

export class Firewall {
  readonly #rules: IptablesReconciler
  readonly #desired: () => DesiredRules | undefined
  /** A change that has not begun: whoever asks now is in it. */
  #next: Promise<void> | undefined
  #running: Promise<void> = Promise.resolve()

  /**
   * @param desired the rules that should be there now; undefined while nothing is to be done about any
   * @param family whose rules these are
   */
  constructor(desired: () => DesiredRules | undefined, log: Logger, family: IpFamily = 4) {
    this.#rules = new IptablesReconciler(log, family)
    this.#desired = desired
  }

  /**
   * Brings our rules to what is desired when the call is made, or later. Trusts that nobody else changed them.
   *
   * @throws `RulesRefused`, `CommandMissing`, `DeadlineExceeded`
   */
  sync(): Promise<void> {
    if (this.#desired() === undefined) return Promise.resolve()
    if (this.#next !== undefined) return this.#next
    const run = this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return this.#rules.apply(() => this.#desired() ?? NO_RULES)
      })
    this.#next = run
    this.#running = run
    return run
  }

  /** Whether a change of rules was made by a process of this firewall's. */
  isOwnProcess(processId: number): boolean {
    return this.#rules.isOwnProcess(processId)
  }

  /** Reads the actual rules and repairs them. @throws like `sync` */
  async verify(): Promise<void> {
    if (this.#desired() !== undefined) await this.#rules.verify(() => this.#desired() ?? NO_RULES)
  }

  /** Removes every rule of ours; `desired` should say nothing any more. @throws like `sync` */
  async remove(): Promise<void> {
    await this.#rules.remove()
  }
}
