/**
 * Containers that somebody started with Docker and wants on the managed network: label
 * `io.rancher.container.network=true`.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { type Daemon, type Logger, ReconcileLoop, type ReconcileResult } from '../../kit/index.ts'
import { LABEL, METADATA_ADDRESS } from '../../protocol/index.ts'
import type { ContainerDetails, ContainerInventory } from '../docker/index.ts'
import { wishesOfLabels } from './network-wishes.ts'
import type { PodNetwork } from './pod-network.ts'

const SEARCH_DOMAINS = ['discover.internal', 'rancher.internal']

/** Whether a container asks to be on the managed network, and is no pod's. */
export function wantsManagedNetwork({
  labels,
  networkMode,
}: Pick<ContainerDetails, 'labels' | 'networkMode'>): boolean {
  const asks = labels[LABEL.containerNetwork] === 'true' || labels[LABEL.cniNetwork] !== undefined
  const shares = networkMode === 'host' || networkMode.startsWith('container:')
  return asks && !shares && labels[LABEL.podUid] === undefined
}

/**
 * A resolv.conf that asks our DNS server: other servers are commented out, our search domains come first, or last when
 * the container says so.
 *
 * @param priority `io.rancher.container.dns.priority`: `service_last`, `none`, or absent
 */
export function managedResolvConf(text: string, priority: string | undefined): string {
  const lines = text.split('\n').filter(line => line.trim() !== '')
  const searches = lines
    .filter(line => /^\s*search\s/.test(line))
    .flatMap(line => line.trim().split(/\s+/).slice(1))
  const others = searches.filter(domain => !SEARCH_DOMAINS.includes(domain))
  const none = priority?.toLowerCase() === 'none'
  const domains = none
    ? others
    : priority === 'service_last'
      ? [...others, ...SEARCH_DOMAINS]
      : [...SEARCH_DOMAINS, ...others]
  const kept = lines
    .filter(line => !/^\s*search\s/.test(line) && !line.includes(`nameserver ${METADATA_ADDRESS}`))
    .map(line => (/^\s*nameserver\s/.test(line) ? `# ${line.trim()}` : line))
  return [
    ...(domains.length === 0 ? [] : [`search ${domains.join(' ')}`]),
    ...kept,
    `nameserver ${METADATA_ADDRESS}`,
    '',
  ].join('\n')
}

export class ManagedContainers implements Daemon {
  readonly name = 'managed containers'
  readonly #inventory: ContainerInventory
  readonly #network: PodNetwork
  readonly #log: Logger
  readonly #loop: ReconcileLoop

  constructor(inventory: ContainerInventory, network: PodNetwork, log: Logger) {
    this.#inventory = inventory
    this.#network = network
    this.#log = log
    this.#loop = new ReconcileLoop({
      name: 'managed container',
      log,
      backoff: { initial: 500, maximum: 30_000 },
      reconcile: id => this.#reconcile(id),
    })
  }

  start(): Promise<void> {
    this.#inventory.onChange((container, previous) => {
      const details = container ?? previous
      if (details !== undefined && wantsManagedNetwork(details)) this.#loop.kick(details.id)
    })
    this.containersChanged()
    this.#loop.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /** Looks at all of them, e.g. after the network came up. */
  containersChanged(): void {
    for (const details of this.#inventory.all()) if (wantsManagedNetwork(details)) this.#loop.kick(details.id)
  }

  async #reconcile(id: string): Promise<ReconcileResult> {
    const details = this.#inventory.get(id)
    if (details === undefined || details.pid === 0) {
      await this.#network.detach(id)
      return undefined
    }
    if (this.#network.attachment(id) === undefined) {
      const { ip } = await this.#network.attach({
        containerId: id,
        networkNamespace: `/proc/${details.pid}/ns/net`,
        // Docker's own network, if it has one, is eth0.
        interfaceName: details.networkMode === 'none' ? 'eth0' : 'eth1',
        ports: [],
        ...wishesOfLabels(details.labels),
      })
      this.#log.info({ container: details.name, ip }, 'joined the managed network')
    }
    await this.#writeResolvConf(details)
    return undefined
  }

  async #writeResolvConf(details: ContainerDetails): Promise<void> {
    const { labels, resolvConfPath } = details
    if (labels[LABEL.containerDns] === 'false' || resolvConfPath === '') return
    const before = await readFile(resolvConfPath, 'utf8')
    const after = managedResolvConf(before, labels[LABEL.containerDnsPriority])
    // In place: the file is mounted into the container, which would not see one that replaces it.
    if (after !== before) await writeFile(resolvConfPath, after)
  }
}
