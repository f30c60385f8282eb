/**
 * NetworkPolicy of Kubernetes (networking.k8s.io/v1).
 *
 * A pod that some policy selects for a direction is isolated in it: what no policy allows is dropped. Incoming traffic is
 * judged where the pod is, and outgoing traffic too, so every host compiles what concerns its own pods. Traffic of a
 * host's own processes to its pods (probes), and of pods to the metadata address and DNS of their host, is not
 * forwarded, and so not judged.
 */
import { blocksWithout } from './address-blocks.ts'
import {
  type CompiledPolicy,
  type PolicyPorts,
  type PolicyRule,
  PolicySets,
  type PolicyStage,
} from './policy-model.ts'
import { type LabelSelector, type Labels, labelPredicate } from './selectors.ts'

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

/** A pod of the cluster that is not on its host's network, on whatever host. */
export interface PolicyPod {
  readonly namespace: string
  readonly address: string
  readonly labels: Labels
  readonly namedPorts?: readonly {
    readonly name: string
    readonly port: number
    readonly protocol?: string
  }[]
}

export interface KubernetesPolicyInput {
  readonly policies: readonly KubernetesNetworkPolicy[]
  readonly pods: readonly PolicyPod[]
  readonly namespaces: readonly { readonly name: string; readonly labels: Labels }[]
}

type Direction = 'ingress' | 'egress'

/** One rule of a policy, whichever direction it is for. */
interface DirectedRule {
  readonly peers: readonly PolicyPeer[]
  readonly ports: readonly PolicyPort[]
}

/** Whoever is at the other end: absent, everybody. */
interface PeerSets {
  readonly keys: readonly string[] | undefined
  readonly pods: readonly PolicyPod[]
}

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
      for (const pod of selected) isolated.add(pod.address)
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
    const matches = labelPredicate(spec.podSelector)
    return this.#input.pods.filter(
      pod => pod.namespace === metadata.namespace && this.#local.has(pod.address) && matches(pod.labels),
    )
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
      direction === 'ingress' ? selected : peers.keys === undefined ? this.#input.pods : peers.pods
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

  #peers(key: string, namespace: string, peers: readonly PolicyPeer[]): PeerSets {
    if (peers.length === 0) return { keys: undefined, pods: [] }
    const pods = peers
      .filter(peer => peer.ipBlock === undefined)
      .flatMap(peer => this.#podsOf(peer, namespace))
    const blocks = peers.flatMap(({ ipBlock }) =>
      ipBlock === undefined ? [] : blocksWithout(ipBlock.cidr, ipBlock.except),
    )
    return {
      keys: [
        ...(pods.length === 0 ? [] : [this.sets.add(key, addressesOf(pods))]),
        ...(blocks.length === 0 ? [] : [this.sets.add(`${key} blocks`, blocks, 'net')]),
      ],
      pods,
    }
  }

  #podsOf({ podSelector = {}, namespaceSelector }: PolicyPeer, namespace: string): PolicyPod[] {
    const matches = labelPredicate(podSelector)
    const inNamespace = namespaceSelector === undefined ? undefined : labelPredicate(namespaceSelector)
    const namespaces = new Set(
      inNamespace === undefined
        ? [namespace]
        : this.#input.namespaces.filter(({ labels }) => inNamespace(labels)).map(({ name }) => name),
    )
    return this.#input.pods.filter(pod => namespaces.has(pod.namespace) && matches(pod.labels))
  }
}

function addressesOf(pods: readonly PolicyPod[]): string[] {
  return pods.map(pod => pod.address)
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
 * @param local addresses of this host's pods
 * @throws `InvalidPolicy`
 */
export function compileKubernetesPolicy(
  input: KubernetesPolicyInput,
  local: ReadonlySet<string>,
): CompiledPolicy {
  const compiler = new Compiler(input, local)
  const stages = (['egress', 'ingress'] as const).flatMap(direction => compiler.stage(direction) ?? [])
  return { stages, sets: compiler.sets.list() }
}
