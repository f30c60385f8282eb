/** The load balancers of this host: keeps the HAProxy in each of their containers at what the metadata says. */
import { mkdir, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import {
  type Daemon,
  explainError,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
  systemErrorCode,
} from '../../kit/index.ts'
import {
  BALANCER_LEAVING_LIMIT,
  BALANCERS_LIMIT,
  type BalancerReport,
  hasCertificateDirectory,
  LABEL,
  type ServiceInfo,
} from '../../protocol/index.ts'
import type { ContainerDetails, ContainerInventory } from '../docker/index.ts'
import type { MetadataModel } from '../metadata/index.ts'
import { CERTIFICATES_LOOK } from './certificate-directories.ts'
import type { CertificateKeeper } from './certificate-keeper.ts'
import type { BalancerContainer } from './contained-haproxy.ts'
import { LocalBalancer } from './local-balancer.ts'
import { ReadCache } from './read-cache.ts'

export interface BalancerDutyOptions {
  /** Holds a directory for each balancer. */
  readonly directory: string
  readonly hostUuid: string
  /** Whose containers are ours. */
  readonly isOurs: (container: ContainerDetails) => boolean
  readonly inventory: ContainerInventory
  readonly model: MetadataModel
  readonly certificates: CertificateKeeper
  readonly container: (dockerId: string) => BalancerContainer
  /** Told how all balancers are when that has changed, and from time to time. */
  readonly report: (balancers: readonly BalancerReport[]) => void
  readonly log: Logger
}

/** Milliseconds after which a balancer is looked at although nothing happened that is known to matter. */
const LOOK_AGAIN = 60_000

/** Milliseconds between two measurements. */
const MEASURE_INTERVAL = 10_000

/** And while somebody waits for the last clients of containers that are to end. */
const LEAVING_INTERVAL = 1_000

/** Longest text and most problems of one balancer that are told of. */
const PROBLEM_LENGTH = 1_024
const PROBLEMS = 20

/** The key under which balancers are measured. */
const MEASURES = 'measures'

/** The key under which directories of gone balancers are removed. */
const REMAINS = ''

interface Run {
  /** Docker's id, and when it started: another run is another HAProxy. */
  readonly run: string
  readonly balancer: LocalBalancer
}

export class BalancerDuty implements Daemon {
  readonly name = 'load balancers'
  readonly #options: BalancerDutyOptions
  readonly #loop: ReconcileLoop
  readonly #runs = new Map<string, Run>()
  readonly #states = new Map<string, string>()
  readonly #reader: ReadCache
  #endListening: (() => void) | undefined

  constructor(options: BalancerDutyOptions) {
    this.#options = options
    this.#reader = new ReadCache(options.model)
    this.#loop = new ReconcileLoop({
      name: 'load balancer',
      reconcile: key => {
        if (key === REMAINS) return this.#removeRemains()
        return key === MEASURES ? this.#measure() : this.#reconcile(key)
      },
      log: options.log,
      backoff: { initial: 200, maximum: 30_000 },
    })
  }

  start(): Promise<void> {
    const { inventory, model, certificates } = this.#options
    inventory.onChange((container, previous) => this.#containerChanged(container ?? previous))
    for (const container of inventory.all()) this.#containerChanged(container)
    certificates.onChange(() => this.#kickAll())
    this.#endListening = model.onChange(changes => {
      if (this.#runs.size === 0) return
      this.#reader.forget(changes)
      for (const { object, previous } of changes) {
        const changed = object ?? previous
        if (changed === undefined || !['instance', 'service', 'stack'].includes(changed.infoType)) continue
        if (this.#runs.has(changed.uuid)) this.#loop.kick(changed.uuid)
        for (const [uuid, { balancer }] of this.#runs) {
          if (balancer.concerns(changed.environmentUuid)) this.#loop.kick(uuid)
        }
      }
    })
    this.#loop.start()
    this.#loop.kick(REMAINS)
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    this.#endListening?.()
    await this.#loop.stop()
    // Their HAProxy goes on.
    for (const { balancer } of this.#runs.values()) await balancer.release()
  }

  /** The server was reached: it knows nothing of what was told before. */
  sendAgain(): void {
    if (this.#runs.size > 0) this.#loop.kick(MEASURES)
  }

  /** How every balancer of this host is. */
  reports(): readonly BalancerReport[] {
    return [...this.#runs].slice(0, BALANCERS_LIMIT).map(([containerUuid, { balancer }]) => ({
      containerUuid,
      problems: balancer.problems.slice(0, PROBLEMS).map(problem => problem.slice(0, PROBLEM_LENGTH)),
      statistics: [...balancer.statistics],
      leaving: [...balancer.leavingMeasured]
        .slice(0, BALANCER_LEAVING_LIMIT)
        .map(([containerUuid, busy]) => ({ containerUuid, busy })),
    }))
  }

  #containerChanged(container: ContainerDetails | undefined): void {
    const uuid = container && this.#uuidOf(container)
    if (uuid !== undefined) this.#loop.kick(uuid)
  }

  #uuidOf(container: ContainerDetails): string | undefined {
    if (container.labels[LABEL.balancer] !== 'true' || !this.#options.isOurs(container)) return undefined
    return container.labels[LABEL.containerUuid]
  }

  #kickAll(): void {
    for (const uuid of this.#runs.keys()) this.#loop.kick(uuid)
  }

  async #reconcile(uuid: string): Promise<ReconcileResult> {
    const containers = [...this.#options.inventory.all()].filter(each => this.#uuidOf(each) === uuid)
    const container = containers.find(({ status }) => status === 'running')
    if (container === undefined) {
      await this.#release(uuid)
      if (containers.length === 0) this.#loop.kick(REMAINS)
      return undefined
    }
    const { balancer } = await this.#runOf(uuid, container)
    const service = this.#serviceOf(uuid)
    // The server has not told of it yet; until it does, HAProxy does what it did before.
    if (service === undefined) return { requeueAfter: LOOK_AGAIN }
    const certificates = await this.#options.certificates.of(service)
    try {
      await balancer.apply(this.#reader, service, certificates)
    } finally {
      this.#noteState(uuid, balancer)
    }
    return { requeueAfter: hasCertificateDirectory(service.labels) ? CERTIFICATES_LOOK : LOOK_AGAIN }
  }

  async #runOf(uuid: string, container: ContainerDetails): Promise<Run> {
    const run = `${container.id} ${container.startedAt}`
    const present = this.#runs.get(uuid)
    if (present?.run === run) return present
    await this.#release(uuid)
    const { hostUuid, log } = this.#options
    const directory = this.#directoryOf(uuid)
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const balancer = new LocalBalancer({
      ...{ containerUuid: uuid, directory, hostUuid, log },
      container: this.#options.container(container.id),
      networkNamespace: `/proc/${container.pid}/ns/net`,
    })
    const made = { run, balancer }
    // What was read while nobody listened may have changed.
    if (this.#runs.size === 0) this.#reader.clear()
    this.#runs.set(uuid, made)
    return made
  }

  async #release(uuid: string): Promise<void> {
    const present = this.#runs.get(uuid)
    if (present === undefined) return
    this.#runs.delete(uuid)
    if (this.#runs.size === 0) this.#reader.clear()
    this.#states.delete(uuid)
    this.#loop.kick(MEASURES)
    await present.balancer.release()
  }

  #serviceOf(containerUuid: string): ServiceInfo | undefined {
    const { model } = this.#options
    return model.get('service', model.get('instance', containerUuid)?.serviceUuid)
  }

  #directoryOf(uuid: string): string {
    return path.join(this.#options.directory, uuid)
  }

  #noteState(uuid: string, balancer: LocalBalancer): void {
    const state = [...balancer.problems, ...balancer.leaving].join('\n')
    if (this.#states.get(uuid) === state) return
    this.#states.set(uuid, state)
    this.#loop.kick(MEASURES)
  }

  async #measure(): Promise<ReconcileResult> {
    for (const { balancer } of this.#runs.values()) {
      try {
        await balancer.measure()
      } catch (error) {
        // It may just be starting.
        this.#options.log.debug({ reason: explainError(error) }, 'a balancer was not measured')
      }
    }
    this.#options.report(this.reports())
    if (this.#runs.size === 0) return undefined
    const waiting = [...this.#runs.values()].some(({ balancer }) => balancer.leaving.size > 0)
    return { requeueAfter: waiting ? LEAVING_INTERVAL : MEASURE_INTERVAL }
  }

  /** A directory goes with the last container that had it, and so do keys. */
  async #removeRemains(): Promise<ReconcileResult> {
    const { directory, inventory, model, certificates, log } = this.#options
    const present = new Set([...inventory.all()].flatMap(container => this.#uuidOf(container) ?? []))
    for (const name of await namesIn(directory)) {
      if (present.has(name)) continue
      try {
        await rm(path.join(directory, name), { recursive: true, force: true })
      } catch (error) {
        log.warn({ balancer: name, reason: explainError(error) }, 'files of a balancer are left')
      }
    }
    const services = [...present].map(uuid => model.get('instance', uuid)?.serviceUuid)
    // What is here without being known yet may need its keys before a server can be asked.
    const known = services.filter(uuid => uuid !== undefined)
    if (known.length === services.length) await certificates.keepOnly(new Set(known))
    return undefined
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return []
    throw error
  }
}
