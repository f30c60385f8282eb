/** UDP of a balancer, in the network namespace of its container. */
import { isDeepStrictEqual } from 'node:util'
import { isOwnNamespace } from '../../netplugins/netlink/index.ts'
import {
  measureUdpPorts,
  removeUdpBalancer,
  serveUdpPorts,
  type UdpBalancerPort,
} from '../../netplugins/udp-balancer/index.ts'
import type { BalancerStatistics } from '../../protocol/index.ts'

/** Milliseconds after which the rules are made again although nothing changed: who may do so inside can remove them. */
const MAKE_AGAIN = 60_000

const HOST_NETWORK = 'UDP rules need a network of their own, and the balancer has that of the host'

export class ContainedUdp {
  readonly #namespace: string
  #served: readonly UdpBalancerPort[] | undefined
  #servedAt = Number.NEGATIVE_INFINITY

  /** @param namespace file of the container's network namespace */
  constructor(namespace: string) {
    this.#namespace = namespace
  }

  /**
   * Balances exactly these ports.
   *
   * @returns what stands in the way, in words
   * @throws `BalancerRefused`, `KernelRefused`, `KernelSilent`, `CommandMissing`, `DeadlineExceeded`
   */
  async apply(ports: readonly UdpBalancerPort[]): Promise<string | undefined> {
    if (ports.length === 0) {
      // An agent before this one may have made rules.
      if (this.#served?.length !== 0 && !(await this.#isHost())) await removeUdpBalancer(this.#namespace)
      this.#served = ports
      return undefined
    }
    const fresh = performance.now() - this.#servedAt < MAKE_AGAIN
    if (fresh && isDeepStrictEqual(ports, this.#served)) return undefined
    if (await this.#isHost()) return HOST_NETWORK
    await serveUdpPorts(
      this.#namespace,
      ports,
      this.#served?.map(({ port }) => port),
    )
    this.#served = ports
    this.#servedAt = performance.now()
    return undefined
  }

  async #isHost(): Promise<boolean> {
    return await isOwnNamespace(this.#namespace)
  }

  /** What passed each port. @throws as `apply` */
  async measure(): Promise<BalancerStatistics[]> {
    const ports = this.#served?.map(({ port }) => port) ?? []
    if (ports.length === 0) return []
    const measured = await measureUdpPorts(this.#namespace, ports)
    return measured.map(({ port, flows, bytesIn, bytesOut }) => ({
      name: `${port}/udp`,
      kind: 'frontend',
      sessions: 0,
      sessionsTotal: flows,
      requestsTotal: 0,
      ...{ bytesIn, bytesOut },
      responses: { '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 },
      connectionErrors: 0,
      retries: 0,
    }))
  }
}
