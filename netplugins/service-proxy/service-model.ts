/** What the proxy needs to know of services and of the endpoints behind them. */

export type ServiceProtocol = 'tcp' | 'udp'

export interface ProxyService {
  readonly namespace: string
  readonly name: string
  /** Cluster addresses; none for services that are names only. */
  readonly addresses: readonly string[]
  /** Addresses of others under which it is reached, too. */
  readonly externalAddresses?: readonly string[]
  /** Addresses of load balancers under which clients of `sourceRanges` alone reach it. */
  readonly guardedAddresses?: readonly string[]
  /** Blocks of addresses; those that are not of IPv4 let nobody in here. */
  readonly sourceRanges?: readonly string[]
  /** Clients are led to endpoints of their own host, where there are any. */
  readonly prefersOwnHost?: boolean
  /** Seconds for which a client stays with its endpoint; absent where it need not. */
  readonly affinity?: number
  /** Clients inside, or outside, are served by endpoints of their own host alone (traffic policy `Local`). */
  readonly insideLocal?: boolean
  readonly outsideLocal?: boolean
  readonly ports: readonly {
    /** By which the endpoints know it; empty where there is only one. */
    readonly name: string
    readonly protocol: ServiceProtocol
    readonly port: number
    readonly nodePort?: number
  }[]
}

/** Endpoints that have the same ports. */
export interface ProxySlice {
  readonly endpoints: readonly {
    readonly addresses: readonly string[]
    /** Name of the node that they are on. */
    readonly node?: string
    readonly ready: boolean
    /** About to end, and still answering. */
    readonly draining?: boolean
    /** Zones whose clients should be led to it; absent where nobody said any. */
    readonly zones?: readonly string[]
  }[]
  readonly ports: readonly {
    readonly name: string
    readonly protocol: ServiceProtocol
    readonly port: number
  }[]
}

/** Of the host that packets are led on. */
export interface ProxyHost {
  /** Name of its node. */
  readonly node: string
  /** Undefined where nobody said one. */
  readonly zone?: string | undefined
  /** All pods have addresses in this block. */
  readonly podBlock: string
}
