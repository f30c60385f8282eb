/**
 * The health of containers while no server says it: hosts tell each other what they find out, and each decides for itself.
 *
 * What is decided is shown in this host's copy of the metadata, so that names and balancers follow it, beside what the server
 * had said, so that it can be taken back: when the server is there again, or when nobody says it any more.
 */
import {
  type Clock,
  type Daemon,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
  systemClock,
} from '../../kit/index.ts'
import type { HealthVerdict, InstanceInfo } from '../../protocol/index.ts'
import type { MetadataModel } from '../metadata/index.ts'
import { agree, type HostVote } from './agreement.ts'

export interface EdgeHealthOptions {
  readonly model: MetadataModel
  readonly hostUuid: string
  /** Whether a server is being talked to: then it decides. */
  readonly connected: () => boolean
  /** Tells all other hosts. */
  readonly send: (verdicts: readonly HealthVerdict[]) => Promise<void>
  readonly log: Logger
  readonly clock?: Clock
}

/** Containers that are voted on at one time; the votes of further ones are not kept. */
const CAPACITY = 10_000

/** Milliseconds for which what was decided stays: a server that is there again, and an agent that just began, know less. */
const HOLD_TIME = 15_000

/** Milliseconds between two objections to what others say of a container. */
const OBJECTION_INTERVAL = 1_000

interface Votes {
  readonly epoch: number
  readonly byHost: Map<string, HostVote>
}

export class EdgeHealth implements Daemon {
  readonly name = 'health without a server'
  readonly #options: EdgeHealthOptions
  readonly #clock: Clock
  readonly #loop: ReconcileLoop
  readonly #votes = new Map<string, Votes>()
  /** What was decided stays until then, unless somebody says something new of it. */
  #heldUntil = 0
  /** What this host says itself, and when it last objected with it. */
  readonly #own = new Map<string, { readonly verdict: HealthVerdict; objected: number }>()

  constructor(options: EdgeHealthOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#loop = new ReconcileLoop({
      name: 'health without a server',
      reconcile: uuid => Promise.resolve(this.#decide(uuid)),
      log: options.log,
      clock: this.#clock,
    })
  }

  start(): Promise<void> {
    this.#loop.start()
    this.#heldUntil = this.#clock.monotonic() + HOLD_TIME
    // An earlier process of ours may have decided something that is on disk.
    for (const object of this.#options.model.all()) {
      if (object.infoType === 'instance' && object.serverHealthState !== undefined)
        this.#loop.kick(object.uuid)
    }
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /** This host found something out, and no server was told. */
  found(verdicts: readonly HealthVerdict[]): void {
    this.#take(this.#options.hostUuid, verdicts)
    for (const verdict of verdicts) {
      const objected = this.#own.get(verdict.containerUuid)?.objected ?? Number.NEGATIVE_INFINITY
      this.#own.set(verdict.containerUuid, { verdict, objected })
    }
    this.#say(verdicts.filter(verdict => this.#isNews(verdict)))
  }

  /** Another host said something. */
  heard(hostUuid: string, verdicts: readonly HealthVerdict[]): void {
    if (this.#options.connected()) return
    this.#take(hostUuid, verdicts)
    const now = this.#clock.monotonic()
    const objections = verdicts.flatMap(({ containerUuid, verdict, epoch }) => {
      const own = this.#own.get(containerUuid)
      const objects = verdict === 'down' && own?.verdict.verdict === 'up' && own.verdict.epoch === epoch
      if (!objects || own === undefined || now - own.objected < OBJECTION_INTERVAL) return []
      own.objected = now
      return [own.verdict]
    })
    this.#say(objections)
  }

  /** A server is there. What it says counts, once it has heard what was found out meanwhile. */
  serverConnected(): void {
    this.#heldUntil = this.#clock.monotonic() + HOLD_TIME
    for (const uuid of this.#votes.keys()) this.#loop.kick(uuid)
    this.#votes.clear()
    this.#own.clear()
  }

  /** That a container which is thought to be well is up tells nobody anything. */
  #isNews({ containerUuid, verdict }: HealthVerdict): boolean {
    if (verdict !== 'up') return true
    const known = this.#options.model.get('instance', containerUuid)
    const said = [...(this.#votes.get(containerUuid)?.byHost.values() ?? [])]
    return known?.healthState !== 'healthy' || said.some(vote => vote.verdict === 'down')
  }

  #say(verdicts: readonly HealthVerdict[]): void {
    if (verdicts.length === 0) return
    this.#options
      .send(verdicts)
      .catch(error => this.#options.log.warn({ err: error }, 'other hosts were not told what was found out'))
  }

  #take(hostUuid: string, verdicts: readonly HealthVerdict[]): void {
    const now = this.#clock.monotonic()
    for (const { containerUuid, epoch, verdict, validFor, proof } of verdicts) {
      const instance = this.#options.model.get('instance', containerUuid)
      if (instance?.startCount !== epoch || !instance.healthCheckHosts.includes(hostUuid)) continue
      let votes = this.#votes.get(containerUuid)
      if (votes?.epoch !== epoch) {
        if (votes === undefined && this.#votes.size >= CAPACITY) continue
        votes = { epoch, byHost: new Map() }
        this.#votes.set(containerUuid, votes)
      }
      // A host that reaches nobody finds everything down, except what it has itself.
      const proven = verdict !== 'down' || proof !== undefined || instance.hostUuid === hostUuid
      const counted = proven ? verdict : 'unknown'
      const before = votes.byHost.get(hostUuid)
      const since = before?.verdict === counted ? before.since : now
      votes.byHost.set(hostUuid, { verdict: counted, since, expires: now + validFor })
      this.#loop.kick(containerUuid)
    }
  }

  #decide(uuid: string): ReconcileResult {
    const { model, connected, log } = this.#options
    const instance = model.get('instance', uuid)
    const votes = this.#votes.get(uuid)
    const now = this.#clock.monotonic()
    if (instance === undefined || votes?.epoch !== instance.startCount) this.#votes.delete(uuid)
    if (instance === undefined) return undefined
    const present = votes?.epoch === instance.startCount ? votes.byHost : new Map<string, HostVote>()
    const { opinion, until } = connected()
      ? { opinion: 'none' as const, until: Number.POSITIVE_INFINITY }
      : agree(instance.healthCheckHosts, present, now)
    if (opinion === 'none' && instance.serverHealthState !== undefined && now < this.#heldUntil) {
      return { requeueAfter: Math.ceil(this.#heldUntil - now) }
    }
    const next = withOpinion(instance, opinion)
    if (next !== instance) {
      log.info({ container: instance.name, opinion }, 'hosts have decided how a container is')
      model.apply([next], [])
    }
    return Number.isFinite(until) ? { requeueAfter: Math.max(10, Math.ceil(until - now)) } : undefined
  }
}

/** A container as its hosts find it; `none`: as the server said last. The same object when nothing changes. */
export function withOpinion(instance: InstanceInfo, opinion: 'up' | 'down' | 'none'): InstanceInfo {
  const { healthState, serverHealthState, ...rest } = instance
  const said = serverHealthState ?? healthState ?? ''
  const found = { up: 'healthy', down: 'unhealthy', none: said }[opinion]
  if (found === (healthState ?? '') && (found === said) === (serverHealthState === undefined)) return instance
  if (found !== said) return { ...rest, healthState: found, serverHealthState: said }
  return said === '' ? rest : { ...rest, healthState: said }
}
