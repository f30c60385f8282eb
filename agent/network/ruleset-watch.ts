/** Notices soon when somebody else changed the firewall rules of this host: a flush, Docker that started anew. */
import { explainError, type Logger } from '../../kit/index.ts'
import { detectBackend } from '../../netplugins/iptables/index.ts'
import { watchRuleset } from '../../netplugins/netlink/index.ts'

/** Milliseconds for which changes are collected: whoever changes rules seldom changes one. */
const COLLECT = 100

/** Milliseconds between two looks at the least: with somebody who undoes what we do, this is no race. */
const SPACING = 1_000

/** Milliseconds between two looks where the kernel tells nobody (iptables of the legacy kind). */
const POLL_INTERVAL = 5_000

export interface RulesetWatchOptions {
  /** Whether a change was made by us. @param processId in the machine's first process namespace */
  readonly isOwn: (processId: number) => boolean
  /** Asks for a look at the rules in so many milliseconds. */
  readonly look: (delay: number) => void
  readonly log: Logger
}

export class RulesetWatch {
  readonly #options: RulesetWatchOptions
  #lastLook = Number.NEGATIVE_INFINITY
  #end: (() => void) | undefined

  constructor(options: RulesetWatchOptions) {
    this.#options = options
  }

  /** Never fails: what is not noticed here is noticed by the look at everything that comes now and then. */
  async start(): Promise<void> {
    try {
      const backend = await detectBackend()
      this.#end = backend === 'nft' ? watchRuleset(process => this.#consider(process)) : this.#poll()
    } catch (error) {
      this.#options.log.warn({ reason: explainError(error) }, 'cannot watch the firewall rules for changes')
    }
  }

  stop(): void {
    this.#end?.()
    this.#end = undefined
  }

  #consider(processId: number | undefined): void {
    const { isOwn, look } = this.#options
    if (processId !== undefined && (processId === process.pid || isOwn(processId))) return
    const now = performance.now()
    // One that was asked for is asked for again: it may have been taken together with an earlier one.
    if (this.#lastLook <= now) this.#lastLook = Math.max(now + COLLECT, this.#lastLook + SPACING)
    look(this.#lastLook - now)
  }

  #poll(): () => void {
    const timer = setInterval(() => this.#options.look(0), POLL_INTERVAL)
    timer.unref()
    return () => clearInterval(timer)
  }
}
