/**
 * The network of a host in an imported cluster: somebody else connects its containers. Ours are published ports, the
 * metadata address and the way to metadata and DNS; nothing else of the host is touched.
 */
import {
  type Daemon,
  explainError,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
} from '../../kit/index.ts'
import {
  type KernelEvent,
  listLinks,
  listRoutes,
  RouteSocket,
  watchKernel,
} from '../../netplugins/netlink/index.ts'
import type { Attachment } from './attachment.ts'
import { Firewall } from './firewall.ts'
import { importedRules } from './imported-rules.ts'
import { ensureMetadataAddress } from './metadata-address.ts'
import { PublishedPorts } from './published-ports.ts'
import { removeOurRules } from './removal.ts'
import { RulesetWatch } from './ruleset-watch.ts'
import type { NetworkSettings } from './settings.ts'

/** A container of the cluster on this host, and what it publishes. */
export type PublishedContainer = Pick<Attachment, 'containerId' | 'interfaceName' | 'address' | 'ports'>

export interface ImportedNetworkOptions {
  readonly metadata: NetworkSettings['metadata']
  readonly log: Logger
}

/** Milliseconds between two looks at everything, for what no event tells. */
const INTERVAL = 60_000

/** Milliseconds after which ports that could not be had are tried again. */
const PORT_INTERVAL = 10_000

/** Milliseconds for which events are collected. */
const EVENT_DELAY = 50

const ASPECTS = ['address', 'firewall', 'ports'] as const

type Aspect = (typeof ASPECTS)[number]

export class ImportedNetwork implements Daemon {
  readonly name = 'network'
  readonly #options: ImportedNetworkOptions
  readonly #firewall: Firewall
  readonly #ports: PublishedPorts
  readonly #loop: ReconcileLoop<Aspect>
  readonly #rulesetWatch: RulesetWatch
  readonly #problems = new Map<Aspect, unknown>()
  #published: readonly PublishedContainer[] = []
  #uplinks: readonly string[] = []
  #socket: RouteSocket | undefined
  #stopWatching: (() => void) | undefined

  constructor(options: ImportedNetworkOptions) {
    const { metadata, log } = options
    this.#options = options
    this.#ports = new PublishedPorts(log)
    this.#firewall = new Firewall(
      () => importedRules({ metadata, published: this.#published, uplinks: this.#uplinks }),
      log,
    )
    this.#loop = new ReconcileLoop({
      name: 'network',
      reconcile: aspect => this.#reconcile(aspect),
      log,
      concurrency: 1,
    })
    this.#rulesetWatch = new RulesetWatch({
      isOwn: processId => this.#firewall.isOwnProcess(processId),
      look: delay => this.#loop.kickAfter('firewall', delay),
      log,
    })
  }

  /** Resolves when everything is as it should be, as far as it can be; `failure` says what is not. */
  async start(): Promise<void> {
    this.#socket = RouteSocket.open()
    this.#stopWatching = watchKernel(event => this.#consider(event))
    await this.#rulesetWatch.start()
    this.#loop.start()
    await this.reconcileNow()
  }

  /** What was made stays and works, but for ports on 127.0.0.1. */
  async stop(): Promise<void> {
    this.#stopWatching?.()
    this.#rulesetWatch.stop()
    await this.#loop.stop()
    await this.#ports.close()
    this.#socket?.close()
    this.#socket = undefined
  }

  /** Says which containers of this host publish what. */
  async setPublished(containers: readonly PublishedContainer[]): Promise<void> {
    const wanted = new Set(containers.map(identity))
    const gone = this.#published.filter(container => !wanted.has(identity(container)))
    this.#published = containers
    for (const container of gone) await this.#ports.release(container)
    this.#loop.kick('firewall')
    this.#loop.kick('ports')
    await this.#loop.idle()
  }

  /** What is not as it should be; undefined when everything is. */
  get failure(): string | undefined {
    const [first] = this.#problems
    return first && `${first[0]}: ${explainError(first[1])}`
  }

  /** Looks at everything now. */
  async reconcileNow(): Promise<void> {
    for (const aspect of ASPECTS) this.#loop.kick(aspect)
    await this.#loop.idle()
  }

  /** Stops, and removes everything of ours. @throws `RulesRefused`, `KernelRefused`, … */
  async uninstall(): Promise<void> {
    const { metadata, log } = this.#options
    await this.stop()
    await removeOurRules(metadata.address, log)
  }

  async #reconcile(aspect: Aspect): Promise<ReconcileResult> {
    try {
      const interval = await this.#reconcilePart(aspect)
      this.#problems.delete(aspect)
      return { requeueAfter: interval }
    } catch (error) {
      this.#problems.set(aspect, error)
      throw error
    }
  }

  /** @returns milliseconds until the next look */
  async #reconcilePart(aspect: Aspect): Promise<number> {
    const socket = this.#socket
    if (socket === undefined) return INTERVAL
    switch (aspect) {
      case 'address':
        await ensureMetadataAddress(socket, this.#options.metadata.address)
        await this.#findUplinks(socket)
        return INTERVAL
      case 'firewall':
        await this.#firewall.verify()
        return INTERVAL
      case 'ports':
        return (await this.#ports.retake(this.#published)) > 0 ? PORT_INTERVAL : INTERVAL
    }
  }

  async #findUplinks(socket: RouteSocket): Promise<void> {
    const routes = await listRoutes(socket)
    const indexes = new Set(
      routes.filter(route => route.destination === '0.0.0.0/0').map(route => route.link),
    )
    const links = await listLinks(socket)
    const found = links.filter(link => indexes.has(link.index)).map(link => link.name)
    if (found.join() === this.#uplinks.join()) return
    this.#uplinks = found
    this.#loop.kick('firewall')
  }

  #consider(event: KernelEvent): void {
    if (event.kind === 'address' || event.kind === 'lost') this.#loop.kickAfter('address', EVENT_DELAY)
  }
}

/** Changes when anything does that a published port depends on. */
function identity({ containerId, interfaceName, address, ports }: PublishedContainer): string {
  return JSON.stringify([containerId, interfaceName, address, ports])
}
