/** Who may talk to whom on this host: what the network object says and what NetworkPolicy objects say, as one. */
import { type CancelTimer, type Daemon, systemClock } from '../kit/index.ts'
import type { NetworkPolicyInput } from '../netplugins/policy/index.ts'
import type { ClusterSource } from './cluster/index.ts'
import { type MetadataReplica, PolicyMembers } from './metadata/index.ts'
import { ClusterPolicy, type HostNetwork } from './network/index.ts'

/** Milliseconds for which changes of the cluster's pods are collected; pods of this host do not wait for it. */
const COLLECT = 50

export class HostPolicies implements Daemon {
  readonly name = 'network policies'
  readonly #replica: MetadataReplica
  readonly #network: HostNetwork
  readonly #members: PolicyMembers
  readonly #cluster: ClusterPolicy
  /** Of the network object; kept, because it is about every container of the cluster. */
  #ofNetwork: NetworkPolicyInput | undefined
  #started = false
  #timer: CancelTimer | undefined

  constructor(replica: MetadataReplica, cluster: ClusterSource, network: HostNetwork) {
    this.#replica = replica
    this.#network = network
    this.#members = new PolicyMembers(replica.model)
    this.#cluster = new ClusterPolicy(cluster.collections)
    this.#members.onChange(() => {
      this.#ofNetwork = this.#members.input()
      this.#apply()
    })
    this.#cluster.onChange(() => this.#applySoon())
    network.onAttachmentsChanged(() => this.#cluster.setLocal(network.attachments()))
  }

  /** Says what is wanted, as far as it is known from disk; comes after the network has started. */
  start(): Promise<void> {
    this.#started = true
    this.#cluster.setLocal(this.#network.attachments())
    this.#ofNetwork = this.#members.input()
    this.#apply()
    return Promise.resolve()
  }

  stop(): Promise<void> {
    this.#started = false
    this.#timer?.()
    return Promise.resolve()
  }

  #applySoon(): void {
    this.#timer ??= systemClock.after(COLLECT, () => this.#apply())
  }

  /** What is not known yet must not open what was closed: then the last that was wanted counts. */
  #apply(): void {
    this.#timer?.()
    this.#timer = undefined
    const kubernetes = this.#cluster.input()
    if (!this.#started || this.#replica.position === undefined || kubernetes === undefined) return
    this.#network.setPolicy({
      kubernetes,
      ...(this.#ofNetwork === undefined ? {} : { network: this.#ofNetwork }),
    })
  }
}
