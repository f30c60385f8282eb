/** Listens to the kernel, and says which aspects of the network to look at for what it tells. */
import { type KernelEvent, watchKernel } from '../../netplugins/netlink/index.ts'
import type { Aspect } from './aspects.ts'
import { changesUplink, needsAttention } from './kernel-watch.ts'
import type { NetworkParts, NetworkState } from './network-parts.ts'

export interface NetworkWatchOptions {
  readonly bridgeName: string
  readonly state: NetworkState
  /** Undefined while the network is stopped. */
  readonly parts: () => NetworkParts | undefined
  /** Asks for a look at an aspect, soon: events are collected. */
  readonly look: (aspect: Aspect) => void
}

export class NetworkWatch {
  readonly #options: NetworkWatchOptions
  #end: (() => void) | undefined
  #end6: (() => void) | undefined

  constructor(options: NetworkWatchOptions) {
    this.#options = options
  }

  start(): void {
    this.#end = watchKernel(event => this.#consider(event))
  }

  /** Listens to what is told of IPv6, or not: there is much that nobody here wants to know. */
  followIpv6(isWanted: boolean): void {
    if (isWanted) {
      this.#end6 ??= watchKernel(event => this.#consider(event), 6)
    } else {
      this.#end6?.()
      this.#end6 = undefined
    }
  }

  stop(): void {
    this.#end?.()
    this.followIpv6(false)
  }

  #consider(event: KernelEvent): void {
    const { state, look, bridgeName } = this.#options
    const { plan, dockerBridges } = state
    const parts = this.#options.parts()
    if (plan === undefined || parts === undefined) return
    const { overlay, flat, store, attachments } = parts
    if (event.kind === 'address' && event.family === 6) {
      if (event.address === plan.bridge.ipv6?.address) look('links')
      if (overlay.concerns(event)) look('overlay')
      return
    }
    const owned = (name: string) => store.list().some(attachment => attachment.hostInterface === name)
    const watched = {
      bridgeName,
      bridge: plan.bridge,
      dockerBridges,
      isSettled: (name: string) => owned(name) && !attachments.isBusyWith(name),
    }
    if (needsAttention(event, watched)) look('links')
    if (changesUplink(event, state.uplink)) {
      for (const aspect of ['uplink', 'links', 'overlay'] as const) look(aspect)
    } else if (overlay.concerns(event)) {
      look('overlay')
    }
    if (flat.concerns(event)) look('links')
  }
}
