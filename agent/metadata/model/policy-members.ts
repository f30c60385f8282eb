/** What the network's policy says and whom it is about, from the metadata. */
import type {
  NetworkPolicyInput,
  NetworkPolicyRuleInput,
  PolicyMember,
} from '../../../netplugins/policy/index.ts'
import type { InstanceInfo, NetworkInfo } from '../../../protocol/index.ts'
import { EVERY } from './indexes.ts'
import { linkedService } from './links.ts'
import type { MetadataModel } from './metadata-model.ts'

/** Milliseconds for which changes are collected: a policy is about every container of the cluster. */
const DELAY = 200

export class PolicyMembers {
  readonly #model: MetadataModel

  constructor(model: MetadataModel) {
    this.#model = model
  }

  /** Undefined where everybody may talk to everybody. */
  input(): NetworkPolicyInput | undefined {
    const network = this.#network()
    if (network === undefined || isOpen(network)) return undefined
    const members: PolicyMember[] = []
    for (const instance of this.#model.sequence('instance', 'every', EVERY)) {
      const member = this.#member(instance)
      if (member !== undefined) members.push(member)
    }
    return {
      defaultAction: network.defaultPolicyAction === 'deny' ? 'deny' : 'allow',
      // Whoever reads the rules says what is wrong with them.
      rules: network.policy as NetworkPolicyRuleInput[],
      members,
    }
  }

  /** Calls `listener` after something changed that a policy may be about. The returned function ends that. */
  onChange(listener: () => void): () => void {
    let timer: NodeJS.Timeout | undefined
    let open = this.#network() === undefined
    const stop = this.#model.onChange(changes => {
      const aboutNetwork = changes.some(
        ({ object, previous }) => (object ?? previous)?.infoType === 'network',
      )
      if (aboutNetwork) open = isOpen(this.#network())
      // Without a policy, nothing that happens to containers matters.
      if ((open && !aboutNetwork) || timer !== undefined) return
      timer = setTimeout(() => {
        timer = undefined
        listener()
      }, DELAY)
      timer.unref()
    })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }

  #network(): NetworkInfo | undefined {
    return this.#model.list('network', 'every', EVERY).find(network => network.default)
  }

  #member(instance: InstanceInfo): PolicyMember | undefined {
    const { primaryIp: address, labels, stackUuid, serviceUuid, system } = instance
    if (address === undefined) return undefined
    const service = this.#model.get('service', serviceUuid)
    const linked = service?.links.flatMap(({ name }) => linkedService(this.#model, service, name)?.uuid ?? [])
    return { address, labels, stackUuid, serviceUuid, system, linkedServiceUuids: linked ?? [] }
  }
}

function isOpen(network: NetworkInfo | undefined): boolean {
  return network === undefined || (network.defaultPolicyAction !== 'deny' && network.policy.length === 0)
}
