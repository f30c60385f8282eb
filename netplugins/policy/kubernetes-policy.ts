/**
 * NetworkPolicy of Kubernetes (networking.k8s.io/v1).
 *
 * A pod that some policy selects for a direction is isolated in it: what no policy allows is dropped. Incoming traffic is
 * judged where the pod is, and outgoing traffic too, so every host compiles what concerns its own pods. Traffic of a
 * host's own processes to its pods (probes), and of pods to the metadata address and DNS of their host, is not
 * forwarded, and so not judged.
 */
import { blocksWithout } from './address-blocks.ts'
import type { PodIndex, PodScope, PolicyPod } from './pod-index.ts'
import {
  type CompiledPolicy,
  type PolicyPorts,
  type PolicyRule,
  PolicySets,
  type PolicyStage,
} from './policy-model.ts'
import type { LabelSelector } from './selectors.ts'

export interface PolicyPeer {
  readonly podSelector?: LabelSelector
  readonly namespaceSelector?: LabelSelector
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] }
}

export interface PolicyPort {
  /** TCP when absent. */
  readonly protocol?: string
  /** A number, or the name that the pod gave one. */
  readonly port?: number | string
  readonly endPort?: number
}

export interface KubernetesNetworkPolicy {
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly spec: {
    readonly podSelector: LabelSelector
    readonly policyTypes?: readonly string[]
    readonly ingress?: readonly {
      readonly from?: readonly PolicyPeer[]
      readonly ports?: readonly PolicyPort[]
    }[]
    readonly egress?: readonly {
      readonly to?: readonly PolicyPeer[]
      readonly ports?: readonly PolicyPort[]
    }[]
  }
}

export interface KubernetesPolicyInput {
  readonly policies: readonly KubernetesNetworkPolicy[]
  /** The pods and namespaces of the whole cluster. */
  readonly pods: PodIndex
}

type Direction = 'ingress' | 'egress'

/** One rule of a policy, whichever direction it is for. */
interface DirectedRule {
  readonly peers: readonly PolicyPeer[]
  readonly ports: readonly PolicyPort[]
}

/** Whoever is at the other end: keys of sets, absent for everybody; and those of them that are pods. */
interface Peers {
  readonly keys: readonly string[] | undefined
  readonly pods: readonly PolicyPod[]
}

const EVERY_POD: PodScope = { pods: {}, namespaces: { selector: {} } }

function protocolOf(name = 'TCP'): PolicyPorts['protocol'] {
  const lower = name.toLowerCase()
  return lower === 'udp' || lower === 'sctp' ? lower : 'tcp'
}

function directionsOf({ spec }: KubernetesNetworkPolicy): Set<Direction> {
  const types = spec.policyTypes ?? ['Ingress', ...(spec.egress === undefined ? [] : ['Egress'])]
  return new Set(
    types.flatMap((type): Direction[] =>
      type === 'Ingress' ? ['ingress'] : type === 'Egress' ? ['egress'] : [],
    ),
  )
}

function rulesOf({ spec }: KubernetesNetworkPolicy, direction: Direction): DirectedRule[] {
  return direction === 'ingress'
    ? (spec.ingress ?? []).map(({ from = [], ports = [] }) => ({ peers: from, ports }))
    : (spec.egress ?? []).map(({ to = [], ports = [] }) => ({ peers: to, ports }))
}

class Compiler {
  readonly #input: KubernetesPolicyInput
  readonly #local: ReadonlySet<string>
  readonly sets = new PolicySets()

  constructor(input: KubernetesPolicyInput, local: ReadonlySet<string>) {
    this.#input = input
    this.#local = local
  }

  stage(direction: Direction): PolicyStage | undefined {
    const isolated = new Set<string>()
    const rules: PolicyRule[] = []
    for (const policy of this.#input.policies) {
      if (!directionsOf(policy).has(direction)) continue
      const selected = this.#selectedHere(policy)
      if (selected.length === 0) continue
      for (const address of addressesOf(selected)) isolated.add(address)
      for (const [index, rule] of rulesOf(policy, direction).entries()) {
        rules.push(...this.#rules(policy, index, direction, selected, rule))
      }
    }
    if (isolated.size === 0) return undefined
    const set = this.sets.add(`isolated ${direction}`, isolated)
    return {
      name: direction,
      guard: { set, side: direction === 'ingress' ? 'dst' : 'src' },
      rules,
      otherwise: 'deny',
    }
  }

  #selectedHere({ metadata, spec }: KubernetesNetworkPolicy): PolicyPod[] {
    const { pods } = this.#input.pods.select({
      pods: spec.podSelector,
      namespaces: { name: metadata.namespace },
    })
    return [...pods].filter(({ address }) => address !== undefined && this.#local.has(address))
  }

  #rules(
    { metadata }: KubernetesNetworkPolicy,
    index: number,
    direction: Direction,
    selected: readonly PolicyPod[],
    rule: DirectedRule,
  ): PolicyRule[] {
    const policy = `${metadata.namespace}/${metadata.name} ${direction}`
    const own = this.sets.add(`${policy} pods`, addressesOf(selected))
    const peers = this.#peers(`${policy} ${index} peers`, metadata.namespace, rule.peers)
    const make = (
      peer: string | undefined,
      pods: string | undefined,
      ports?: readonly PolicyPorts[],
    ): PolicyRule => {
      const [from, to] = direction === 'ingress' ? [peer, pods] : [pods, peer]
      return {
        action: 'allow',
        ...(from === undefined ? {} : { from }),
        ...(to === undefined ? {} : { to }),
        ...(ports === undefined ? {} : { ports }),
      }
    }
    const keys = peers.keys ?? [undefined]
    const numbered = rule.ports.filter(({ port }) => typeof port !== 'string')
    const named = rule.ports.filter(({ port }) => typeof port === 'string')
    const results: PolicyRule[] = []
    if (rule.ports.length === 0 || numbered.length > 0) {
      const ports = rule.ports.length === 0 ? undefined : numbered.map(readPort)
      results.push(...keys.map(key => make(key, own, ports)))
    }
    // A name stands for another number at every pod that is addressed.
    const addressed =
      direction === 'ingress'
        ? selected
        : peers.keys === undefined
          ? [...this.#input.pods.select(EVERY_POD).pods]
          : peers.pods
    for (const port of named) {
      for (const [number, pods] of byNumber(addressed, port)) {
        const protocol = protocolOf(port.protocol)
        const key = `${policy} ${direction === 'ingress' ? '' : index} port ${port.port}/${protocol} ${number}`
        const set = this.sets.add(key, addressesOf(pods))
        const ports = [{ protocol, first: number, last: number }]
        results.push(
          ...(direction === 'ingress' ? keys.map(peer => make(peer, set, ports)) : [make(set, own, ports)]),
        )
      }
    }
    return results
  }

  #peers(key: string, namespace: string, peers: readonly PolicyPeer[]): Peers {
    if (peers.length === 0) return { keys: undefined, pods: [] }
    const keys = new Set<string>()
    const pods: PolicyPod[] = []
    const blocks: string[] = []
    for (const { ipBlock, podSelector = {}, namespaceSelector } of peers) {
      if (ipBlock !== undefined) {
        blocks.push(...blocksWithout(ipBlock.cidr, ipBlock.except))
        continue
      }
      const scope: PodScope = {
        pods: podSelector,
        namespaces: namespaceSelector === undefined ? { name: namespace } : { selector: namespaceSelector },
      }
      const group = this.#input.pods.select(scope)
      // Named by what is selected: policies that select the same share the set, and rules stay when members change.
      keys.add(this.sets.add(`pods ${JSON.stringify(scope)}`, group.addresses))
      pods.push(...group.pods)
    }
    if (blocks.length > 0) keys.add(this.sets.addBlocks(`${key} blocks`, blocks))
    return { keys: [...keys], pods }
  }
}

function addressesOf(pods: readonly PolicyPod[]): string[] {
  return pods.flatMap(({ address }) => address ?? [])
}

function readPort({ protocol, port, endPort }: PolicyPort): PolicyPorts {
  return typeof port === 'number'
    ? { protocol: protocolOf(protocol), first: port, last: endPort ?? port }
    : { protocol: protocolOf(protocol) }
}

/** Pods by the number that they have given the port's name. */
function byNumber(pods: readonly PolicyPod[], wanted: PolicyPort): Map<number, PolicyPod[]> {
  const numbers = new Map<number, PolicyPod[]>()
  for (const pod of pods) {
    const found = pod.namedPorts?.find(
      ({ name, protocol }) => name === wanted.port && protocolOf(protocol) === protocolOf(wanted.protocol),
    )
    if (found !== undefined) numbers.set(found.port, [...(numbers.get(found.port) ?? []), pod])
  }
  return numbers
}

/**
 * Costs what this host's pods and the policies are, not what the cluster's pods are; groups of those are kept in the
 * index from one call to the next.
 *
 * @param local addresses of this host's pods
 * @throws `InvalidPolicy`
 */
export function compileKubernetesPolicy(
  input: KubernetesPolicyInput,
  local: ReadonlySet<string>,
): CompiledPolicy {
  const compiler = new Compiler(input, local)
  const stages = (['egress', 'ingress'] as const).flatMap(direction => compiler.stage(direction) ?? [])
  input.pods.endRound()
  return { stages, sets: compiler.sets.list() }
}
