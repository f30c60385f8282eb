/**
 * Leads packets for the cluster's services to their endpoints, from what `agent/cluster` knows: also without a server, and
 * what is in the kernel works while this process does not run.
 */
import { isDeepStrictEqual } from 'node:util'
import { type Daemon, type Logger, ReconcileLoop, type ReconcileResult } from '../../../kit/index.ts'
import { RecentProcesses } from '../../../netplugins/netlink/index.ts'
import {
  listChains,
  listStayingClients,
  ProxyTable,
  readyOnHost,
  rulesOfService,
  runStatements,
  type ServiceRules,
  type UdpPort,
} from '../../../netplugins/service-proxy/index.ts'
import type { Followed, NodeRecord, ServiceRecord, SliceRecord } from '../../cluster/index.ts'
import { forgetUnserved } from '../conntrack.ts'
import { RulesetWatch } from '../ruleset-watch.ts'
import { type HealthPort, HealthPorts } from './health-ports.ts'

export interface ServiceProxyOptions {
  readonly services: Followed<ServiceRecord>
  readonly slices: Followed<SliceRecord>
  /** This host's own node. */
  readonly nodes: Followed<NodeRecord>
  /** Name of this host's node. */
  readonly node: string
  /** The block of all pods' addresses; undefined until somebody said what the network is. */
  readonly podBlock: () => string | undefined
  /** Called when the host begins or ends to have endpoints itself. */
  readonly onLocalEndpoints: (present: boolean) => void
  /** Called after every look: with what went wrong, or with undefined. */
  readonly onProblem: (problem: unknown) => void
  readonly log: Logger
}

/** Milliseconds for which changes are collected: endpoints of a service tend to change together. */
const COLLECT = 10

/** Milliseconds between two looks at the table, for what no event tells. */
const INTERVAL = 60_000

/** `verify`: whether the table is still there; all the rest is believed to be as it was made. */
type Work = 'services' | 'verify'

export class ServiceProxy implements Daemon {
  readonly name = 'service proxy'
  readonly #options: ServiceProxyOptions
  readonly #loop: ReconcileLoop<Work>
  readonly #watch: RulesetWatch
  readonly #processes = new RecentProcesses()
  readonly #services = new Map<string, ServiceRecord>()
  /** By the service that they belong to. */
  readonly #slices = new Map<string, Map<string, SliceRecord>>()
  readonly #healthPorts: HealthPorts
  /** Services that have to be looked at. */
  readonly #dirty = new Set<string>()
  #table: ProxyTable | undefined
  #podBlock: string | undefined
  #zone: string | undefined
  /** What the kernel may remember of UDP ports whose endpoints changed. */
  readonly #asked = new Map<string, UdpPort>()
  /** Whether the kernel's table is what `#table` was before the next change. */
  #isBuilt = false
  #hasLocalEndpoints = false

  constructor(options: ServiceProxyOptions) {
    const { services, slices, nodes, log } = options
    this.#options = options
    this.#healthPorts = new HealthPorts(log)
    this.#loop = new ReconcileLoop<Work>({
      name: this.name,
      reconcile: work => this.#reconcile(work),
      log,
      concurrency: 1,
    })
    this.#watch = new RulesetWatch({
      isOwn: processId => this.isOwnProcess(processId),
      look: delay => this.#loop.kickAfter('verify', delay),
      log,
    })
    services.onChange((record, previous) => this.#serviceChanged(record, previous))
    slices.onChange((record, previous) => this.#sliceChanged(record, previous))
    nodes.onChange(record => this.#zoneSeen(record?.zone))
    for (const collection of [services, slices]) collection.onReady(() => this.#loop.kick('services'))
  }

  /** Resolves when the packets of all services that are known from disk are led, or cannot be yet. */
  async start(): Promise<void> {
    this.#loop.start()
    await this.#watch.start()
    this.#loop.kick('services')
    this.#loop.kickAfter('verify', INTERVAL)
    await this.#loop.idle()
  }

  /** What is in the kernel stays and works. */
  async stop(): Promise<void> {
    this.#watch.stop()
    await this.#loop.stop()
    await this.#healthPorts.stop()
  }

  /** Says that the network is another one now. */
  networkChanged(): void {
    if (this.#options.podBlock() !== this.#podBlock) this.#loop.kick('services')
  }

  /** Whether a change of nf_tables rules was made by a process of ours. */
  isOwnProcess(processId: number): boolean {
    return this.#processes.has(processId)
  }

  /** Resolves when everything that is known now is in the kernel, or was tried. */
  async settled(): Promise<void> {
    this.#loop.kick('services')
    await this.#loop.idle()
  }

  #serviceChanged(record: ServiceRecord | undefined, previous: ServiceRecord | undefined): void {
    const key = keyOf(record ?? previous)
    if (record === undefined) this.#services.delete(key)
    else this.#services.set(key, record)
    this.#mark(key)
  }

  #sliceChanged(record: SliceRecord | undefined, previous: SliceRecord | undefined): void {
    if (previous !== undefined) {
      const key = `${previous.namespace}/${previous.service}`
      const slices = this.#slices.get(key)
      slices?.delete(previous.name)
      if (slices?.size === 0) this.#slices.delete(key)
      this.#mark(key)
    }
    if (record !== undefined) {
      const key = `${record.namespace}/${record.service}`
      const slices = this.#slices.get(key) ?? new Map<string, SliceRecord>()
      this.#slices.set(key, slices.set(record.name, record))
      this.#mark(key)
    }
  }

  #zoneSeen(zone: string | undefined): void {
    if (zone === this.#zone) return
    this.#zone = zone
    for (const key of this.#services.keys()) this.#mark(key)
  }

  #mark(key: string): void {
    this.#dirty.add(key)
    this.#loop.kickAfter('services', COLLECT)
  }

  async #reconcile(work: Work): Promise<ReconcileResult> {
    const { onProblem } = this.#options
    try {
      await (work === 'services' ? this.#apply() : this.#verify())
      onProblem(undefined)
    } catch (error) {
      onProblem(error)
      throw error
    }
    return work === 'services' ? undefined : { requeueAfter: INTERVAL }
  }

  async #verify(): Promise<void> {
    await this.#healthPorts.retry()
    if (!this.#isBuilt || this.#table === undefined) return
    const present = await listChains()
    if (present.isSupersetOf(this.#table.chainNames())) return
    this.#options.log.info('somebody removed rules of services; they are made again')
    this.#isBuilt = false
    await this.#apply()
  }

  async #apply(): Promise<void> {
    const { services, slices } = this.#options
    const podBlock = this.#options.podBlock()
    // Half of what there is would send packets away that somebody serves.
    if (!services.ready || !slices.ready || podBlock === undefined) return
    const table = this.#tableOf(podBlock)
    const changes = new Map<string, ServiceRules | undefined>()
    for (const key of this.#dirty) {
      const rules = this.#rulesOf(key, podBlock)
      changes.set(key, rules)
      for (const port of changedPorts(table.rules(key), rules)) {
        this.#asked.set(`${port.address} ${port.port}`, port)
      }
    }
    this.#dirty.clear()
    // Not sooner: what changes while this waits is looked at next time.
    await this.#tellBalancers(changes.keys())
    const statements = table.update(changes)
    await this.#run(table, this.#isBuilt ? statements : table.replacement(await listStayingClients()))
    this.#tellLocalEndpoints(table.hasLocalEndpoints)
    if (this.#asked.size === 0) return
    await forgetUnserved([...this.#asked.values()])
    this.#asked.clear()
  }

  #tableOf(podBlock: string): ProxyTable {
    if (this.#table !== undefined && podBlock === this.#podBlock) return this.#table
    this.#podBlock = podBlock
    this.#table = new ProxyTable(podBlock)
    this.#isBuilt = false
    for (const key of this.#services.keys()) this.#dirty.add(key)
    return this.#table
  }

  #rulesOf(key: string, podBlock: string): ServiceRules | undefined {
    const service = this.#services.get(key)
    if (service === undefined || service.addresses.length === 0) return undefined
    const slices = [...(this.#slices.get(key)?.values() ?? [])]
    return rulesOfService(service, slices, { node: this.#options.node, zone: this.#zone, podBlock })
  }

  async #tellBalancers(keys: Iterable<string>): Promise<void> {
    for (const key of keys) {
      const wanted = this.#healthPortOf(key)
      if (wanted !== undefined || this.#healthPorts.has(key)) await this.#healthPorts.set(key, wanted)
    }
  }

  #healthPortOf(key: string): HealthPort | undefined {
    const service = this.#services.get(key)
    if (service?.healthCheckPort === undefined) return undefined
    const { namespace, name, healthCheckPort: port } = service
    const slices = [...(this.#slices.get(key)?.values() ?? [])]
    return { namespace, name, port, endpoints: readyOnHost(slices, this.#options) }
  }

  async #run(table: ProxyTable, statements: string): Promise<void> {
    if (statements === '') return
    const { log } = this.#options
    const begin = performance.now()
    const whole = !this.#isBuilt
    this.#isBuilt = false
    await runStatements(statements, processId => this.#processes.add(processId))
    this.#isBuilt = true
    const milliseconds = Math.round(performance.now() - begin)
    const what = whole ? 'made the rules of all services' : 'changed rules of services'
    log[whole ? 'info' : 'debug']({ services: table.size, milliseconds }, what)
  }

  #tellLocalEndpoints(present: boolean): void {
    if (present === this.#hasLocalEndpoints) return
    this.#hasLocalEndpoints = present
    this.#options.onLocalEndpoints(present)
  }
}

function keyOf(record: ServiceRecord | undefined): string {
  return `${record?.namespace}/${record?.name}`
}

/** What has been asked by UDP and may be served by others now; without endpoints where nothing is served any more. */
function changedPorts(before: ServiceRules | undefined, now: ServiceRules | undefined): UdpPort[] {
  if (isDeepStrictEqual(before?.udp, now?.udp)) return []
  const gone = (before?.udp ?? []).map(port => ({ ...port, endpoints: new Set<string>() }))
  return [...gone, ...(now?.udp ?? [])]
}
