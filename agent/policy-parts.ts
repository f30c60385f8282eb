/** Who may talk to whom on this host: what the network object says and what NetworkPolicy objects say, as one. */
import type { NetworkPolicyInput } from '../netplugins/policy/index.ts'
import type { ClusterSource } from './cluster/index.ts'
import { type MetadataReplica, PolicyMembers } from './metadata/index.ts'
import { ClusterPolicy, type HostNetwork } from './network/index.ts'

export class HostPolicies {
  readonly #replica: MetadataReplica
  readonly #network: HostNetwork
  readonly #members: PolicyMembers
  readonly #cluster: ClusterPolicy
  /** Of the network object; kept, because it is about every container of the cluster. */
  #ofNetwork: NetworkPolicyInput | undefined
  #started = false

  constructor(replica: MetadataReplica, cluster: ClusterSource, network: HostNetwork) {
    this.#replica = replica
    this.#network = network
    this.#members = new PolicyMembers(replica.model)
    this.#cluster = new ClusterPolicy(cluster.collections)
    this.#members.onChange(() => {
      this.#ofNetwork = this.#members.input()
      this.#apply()
    })
    this.#cluster.onChange(() => this.#apply())
    network.onAttachmentsChanged(() => this.#cluster.setLocal(network.attachments()))
  }

  /** Says what is wanted, as far as it is known from disk; comes after the network has started. */
  start(): void {
    this.#started = true
    this.#cluster.setLocal(this.#network.attachments())
    this.#ofNetwork = this.#members.input()
    this.#apply()
  }

  /** What is not known yet must not open what was closed: then the last that was wanted counts. */
  #apply(): void {
    const kubernetes = this.#cluster.input()
    if (!this.#started || this.#replica.position === undefined || kubernetes === undefined) return
    this.#network.setPolicy({
      kubernetes,
      ...(this.#ofNetwork === undefined ? {} : { network: this.#ofNetwork }),
    })
  }
}
