/** Everything that decides who may talk to whom. */
import { compileKubernetesPolicy, type KubernetesPolicyInput } from './kubernetes-policy.ts'
import { compileNetworkPolicy, type NetworkPolicyInput } from './network-policy.ts'
import type { CompiledPolicy } from './policy-model.ts'

export interface PolicyInput {
  /** Of the network object; absent: everybody may talk to everybody. */
  readonly network?: NetworkPolicyInput
  readonly kubernetes?: KubernetesPolicyInput
}

/**
 * @param local addresses of this host's containers
 * @throws `InvalidPolicy`
 */
export function compilePolicy(input: PolicyInput, local: ReadonlySet<string>): CompiledPolicy {
  const parts = [
    ...(input.network === undefined ? [] : [compileNetworkPolicy(input.network, local)]),
    ...(input.kubernetes === undefined ? [] : [compileKubernetesPolicy(input.kubernetes, local)]),
  ]
  return { stages: parts.flatMap(part => part.stages), sets: parts.flatMap(part => part.sets) }
}
