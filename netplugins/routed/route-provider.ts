/** Whoever makes packets for the subnets of other hosts find their way. */
import type { KernelEvent } from '../netlink/index.ts'

/** Where packets for some subnets of one host go. */
export interface SubnetRoute {
  readonly hostId: string
  readonly destinations: readonly string[]
  readonly nextHop: string
}

export interface RoutePlan {
  /** This host's address, and the subnets of its containers. */
  readonly address: string
  readonly subnets: readonly string[]
  /** To the other hosts. */
  readonly routes: readonly SubnetRoute[]
}

export interface ProviderOutcome {
  /** How many routes were not as they should be. */
  readonly changes: number
  /** Host id → why packets do not get there. */
  readonly problems: ReadonlyMap<string, string>
}

export interface RouteProvider {
  /**
   * Brings the routes about.
   *
   * @param completely whether to look at what is there instead of trusting what the last call made
   * @throws when no host can be served; what concerns one host is in the outcome
   */
  bring(plan: RoutePlan, completely: boolean): Promise<ProviderOutcome>
  concerns(event: KernelEvent): boolean
  close(): Promise<void>
  /** Removes every route of ours. Idempotent. */
  remove(): Promise<void>
}
