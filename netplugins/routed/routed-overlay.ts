/** Packets between hosts as they are: every host has a subnet, and somebody tells the routers where it is. */
import { explainError, type Logger } from '../../kit/index.ts'
import { AddressSet } from '../ipset/index.ts'
import type { KernelEvent } from '../netlink/index.ts'
import {
  NO_OVERLAY_RULES,
  type Overlay,
  type OverlayRules,
  type OverlayState,
  type PeerState,
  selectPeers,
  statesOfPeers,
} from '../overlay/index.ts'
import { routedPeer } from './per-host-subnet.ts'
import type { RoutePlan, RouteProvider, SubnetRoute } from './route-provider.ts'
import { HOST_SET, NO_NAT_SET, routedRules } from './routed-rules.ts'

export interface RoutedOverlayOptions {
  readonly provider: RouteProvider
  /** Providers that may have been chosen before: what they made is removed. */
  readonly others?: readonly RouteProvider[]
  readonly log: Logger
}

interface Selection {
  readonly routes: readonly SubnetRoute[]
  readonly subnets: readonly string[]
  readonly hosts: readonly string[]
  /** Host id → what is wrong with it. */
  readonly problems: ReadonlyMap<string, string>
}

function select(state: OverlayState): Selection {
  const all = state.peers.map(routedPeer)
  const nextHops = new Map(all.map(({ peer, nextHop }) => [peer.hostId, nextHop]))
  // Subnets by label may be anywhere.
  const { usable, problems } = selectPeers({ ...state, peers: all.map(({ peer }) => peer) }, false)
  const wrongLabels = all.flatMap(({ peer, problem }): [string, string][] =>
    problem === undefined ? [] : [[peer.hostId, problem]],
  )
  return {
    routes: usable.map(({ hostId, blocks, address }) => ({
      hostId,
      destinations: blocks,
      nextHop: nextHops.get(hostId) ?? address,
    })),
    subnets: usable.flatMap(peer => peer.blocks),
    hosts: usable.map(peer => peer.address),
    problems: new Map([...problems, ...wrongLabels]),
  }
}

export class RoutedOverlay implements Overlay {
  readonly overhead = 0
  readonly #provider: RouteProvider
  readonly #others: readonly RouteProvider[]
  readonly #log: Logger
  readonly #subnetSet: AddressSet
  readonly #hostSet: AddressSet
  #states: readonly PeerState[] = []
  #othersRemoved = false
  #last: Promise<unknown> = Promise.resolve()

  constructor({ provider, others = [], log }: RoutedOverlayOptions) {
    this.#provider = provider
    this.#others = others
    this.#log = log
    this.#subnetSet = new AddressSet({ name: NO_NAT_SET, type: 'hash:net', log })
    this.#hostSet = new AddressSet({ name: HOST_SET, type: 'hash:ip', log })
  }

  async apply(state: OverlayState): Promise<void> {
    await this.#inTurn(() => this.#bring(state, false))
  }

  async verify(state: OverlayState): Promise<number> {
    return await this.#inTurn(() => this.#bring(state, true))
  }

  concerns(event: KernelEvent): boolean {
    return this.#provider.concerns(event)
  }

  rules(state: OverlayState): OverlayRules {
    const { subnets, hosts } = select(state)
    const hasSets = this.#subnetSet.exists && this.#hostSet.exists
    return routedRules({ bridgeName: state.bridgeName, subnets, hosts, hasSets })
  }

  rules6(): OverlayRules {
    return NO_OVERLAY_RULES
  }

  peerStates(): readonly PeerState[] {
    return this.#states
  }

  async close(): Promise<void> {
    await this.#last
    for (const provider of [this.#provider, ...this.#others]) await provider.close()
    this.#subnetSet.close()
    this.#hostSet.close()
  }

  async remove(): Promise<void> {
    await this.#inTurn(async () => {
      this.#states = []
      for (const provider of [this.#provider, ...this.#others]) await provider.remove()
      await this.#subnetSet.remove()
      await this.#hostSet.remove()
    })
  }

  /** @returns how many things were not as they should be */
  async #bring(state: OverlayState, completely: boolean): Promise<number> {
    const { routes, subnets, hosts, problems } = select(state)
    const reasons = new Map(problems)
    const plan: RoutePlan = { address: state.address, subnets: state.blocks, routes }
    try {
      const repairs = await this.#bringSets(subnets, hosts, completely)
      const outcome = await this.#provider.bring(plan, completely)
      await this.#removeOthers()
      for (const [hostId, problem] of outcome.problems) {
        if (!reasons.has(hostId)) reasons.set(hostId, problem)
      }
      return repairs + outcome.changes
    } catch (error) {
      for (const { hostId } of routes) {
        if (!reasons.has(hostId)) reasons.set(hostId, explainError(error))
      }
      throw error
    } finally {
      this.#states = statesOfPeers(state.peers, reasons)
    }
  }

  /** After the new way is there. */
  async #removeOthers(): Promise<void> {
    if (this.#othersRemoved) return
    for (const provider of this.#others) await provider.remove()
    this.#othersRemoved = true
  }

  async #bringSets(
    subnets: readonly string[],
    hosts: readonly string[],
    completely: boolean,
  ): Promise<number> {
    try {
      if (completely) return (await this.#subnetSet.verify(subnets)) + (await this.#hostSet.verify(hosts))
      await this.#subnetSet.apply(subnets)
      await this.#hostSet.apply(hosts)
    } catch (error) {
      // A kernel without sets: `rules` names everything one by one instead.
      this.#log.warn({ error: explainError(error) }, 'has no sets of subnets and hosts; uses a rule for each')
    }
    return 0
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}
