/** Checks the containers that are assigned to this host, with one HAProxy for all of them. */
import {
  type Clock,
  type Daemon,
  explainError,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
  systemClock,
} from '../../kit/index.ts'
import { Haproxy, type HaproxyModel, type ServerCheck, serverName } from '../../lb/index.ts'
import type { HealthVerdict } from '../../protocol/index.ts'
import { checkModel, serverCheckOf, slotId } from './check-model.ts'
import { type OtherHost, proveConnectivity } from './connectivity.ts'
import type { CheckTarget } from './targets.ts'
import { decide, NEW_TARGET, readingOf, type TargetState } from './verdict.ts'

export interface HealthCheckerOptions {
  /** For HAProxy: at most 70 bytes. */
  readonly directory: string
  /** This host's; other hosts find its beacon there. */
  readonly address: string
  readonly targets: () => readonly CheckTarget[]
  readonly others: () => readonly OtherHost[]
  /** Told what changed, and everything again from time to time, before it expires. */
  readonly report: (verdicts: readonly HealthVerdict[]) => void
  readonly log: Logger
  readonly clock?: Clock
}

/** Milliseconds between two times that everything is said, and after which it is not valid any more. */
const REPEAT = 10_000
const VALID_FOR = 30_000

interface Watched {
  readonly target: CheckTarget & { readonly serverCheck: ServerCheck }
  /** From when on there were enough checks to call it down; undefined until it is checked. */
  decidableAt: number | undefined
  state: TargetState
  reason: string
  proof: HealthVerdict['proof']
}

export class HealthChecker implements Daemon {
  readonly name = 'health checks'
  readonly #options: HealthCheckerOptions
  readonly #clock: Clock
  readonly #haproxy: Haproxy
  readonly #loop: ReconcileLoop<'targets' | 'states'>
  readonly #watched = new Map<string, Watched>()
  #model: HaproxyModel | undefined
  #lastRepeat = 0

  constructor(options: HealthCheckerOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#haproxy = new Haproxy({
      name: 'health checks',
      directory: options.directory,
      log: options.log,
      // Every line is about a check, a server or HAProxy itself; states are read when something happened.
      onLine: line => {
        if (line.includes('erver check-')) this.#loop.kick('states')
      },
      onRestart: () => this.#restarted(),
    })
    this.#loop = new ReconcileLoop({
      name: 'health checks',
      reconcile: key => (key === 'targets' ? this.#applyTargets() : this.#readStates()),
      log: options.log,
      // They read and write the same things.
      concurrency: 1,
      backoff: { initial: 500, maximum: 30_000 },
    })
  }

  async start(): Promise<void> {
    await this.#haproxy.start()
    this.#loop.start()
    this.#loop.kick('targets')
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
    await this.#haproxy.stop()
  }

  /** The containers to check, or where they are, may have changed. */
  targetsChanged(): void {
    this.#loop.kick('targets')
  }

  /** Everything that is known now, as after a reconnection. */
  verdicts(): readonly HealthVerdict[] {
    return [...this.#watched.values()].map(verdictOf)
  }

  async #applyTargets(): Promise<ReconcileResult> {
    const wanted = new Map<string, Watched['target']>()
    for (const target of this.#options.targets()) {
      try {
        wanted.set(slotId(target), { ...target, serverCheck: serverCheckOf(target.check) })
      } catch (error) {
        this.#options.log.warn(
          { container: target.containerUuid, reason: explainError(error) },
          'its health check cannot be carried out',
        )
      }
    }
    for (const id of this.#watched.keys()) if (!wanted.has(id)) this.#watched.delete(id)
    for (const [id, target] of wanted) {
      const known = this.#watched.get(id)
      const same = known !== undefined && JSON.stringify(known.target) === JSON.stringify(target)
      if (same) continue
      this.#watched.set(id, {
        ...{ target, reason: '', proof: undefined },
        decidableAt: undefined,
        state: known?.state ?? NEW_TARGET,
      })
    }
    const model = checkModel({
      targets: [...this.#watched.values()].map(({ target }) => target),
      up: slot => this.#watched.get(slot)?.state.verdict === 'up',
      address: this.#options.address,
      previous: this.#model,
    })
    await this.#haproxy.apply(model)
    this.#model = model
    // From now on they are checked; how long HAProxy took to begin says nothing about them.
    for (const watched of this.#watched.values()) {
      if (watched.decidableAt === undefined)
        watched.decidableAt = this.#decidableAt(watched.target.serverCheck)
    }
    this.#loop.kick('states')
    return undefined
  }

  async #readStates(): Promise<ReconcileResult> {
    const model = this.#model
    if (model === undefined) return undefined
    const rows = await this.#haproxy.runtime.statistics()
    const found = new Map(rows.map(row => [`${row.proxy}/${row.server}`, row]))
    const now = this.#clock.monotonic()
    const proof = this.#proofOnce()
    const changed: HealthVerdict[] = []
    let lookAgain = REPEAT
    for (const { name, slots } of model.backends) {
      for (const [slot, endpoint] of slots.entries()) {
        const watched = endpoint && this.#watched.get(endpoint.id)
        const row = found.get(`${name}/${serverName(slot)}`)
        if (watched === undefined || row === undefined) continue
        const { decidableAt = now + REPEAT } = watched
        const decidable = now >= decidableAt
        if (!decidable) lookAgain = Math.min(lookAgain, decidableAt - now)
        const before = watched.state.verdict
        const reading = readingOf(row.status, row.columns.check_status ?? '', before, decidable)
        watched.proof = reading === 'down' && !watched.target.local ? await proof() : undefined
        const proven = watched.target.local || watched.proof !== undefined
        const decision = decide(watched.state, reading, proven, now)
        watched.state = decision.state
        watched.reason = [row.columns.last_chk, row.columns.check_desc].find(text => text) ?? row.status
        if (decision.lookAgain !== undefined) lookAgain = Math.min(lookAgain, decision.lookAgain)
        if (decision.state.verdict !== before) changed.push(verdictOf(watched))
      }
    }
    const repeat = now - this.#lastRepeat >= REPEAT
    if (repeat) this.#lastRepeat = now
    const said = repeat ? this.verdicts() : changed
    if (said.length > 0) this.#options.report(said)
    return { requeueAfter: Math.max(10, Math.ceil(lookAgain)) }
  }

  /** Asks other hosts at most once in a look at all states, and only when something hangs on it. */
  #proofOnce(): () => Promise<HealthVerdict['proof']> {
    let answer: Promise<HealthVerdict['proof']> | undefined
    return () => {
      answer ??= proveConnectivity(this.#options.others())
      return answer
    }
  }

  #decidableAt({ interval, fall, timeout }: ServerCheck): number {
    return this.#clock.monotonic() + interval * fall + timeout
  }

  /** A new HAProxy knows nothing of earlier checks. */
  #restarted(): void {
    for (const watched of this.#watched.values())
      watched.decidableAt = this.#decidableAt(watched.target.serverCheck)
    this.#loop.kick('targets')
  }
}

function verdictOf({ target, state, reason, proof }: Watched): HealthVerdict {
  return {
    containerUuid: target.containerUuid,
    epoch: target.epoch,
    verdict: state.verdict,
    reason,
    validFor: VALID_FOR,
    ...(proof === undefined ? {} : { proof }),
  }
}
