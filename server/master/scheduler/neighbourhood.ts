/** What the pods that are there mean for one that is to come: worked out once per pod, then asked for every node. */
import { meetsTerms } from './filters.ts'
import type { NodeState } from './node-state.ts'
import type { PodDemand } from './pod-demand.ts'
import type { SpreadConstraint } from './pod-terms.ts'
import type { DomainCounts, TopologyCounts } from './topology-counts.ts'

type Labels = Readonly<Record<string, string>>

interface Spread {
  readonly constraint: SpreadConstraint
  readonly domains: DomainCounts
  /** Of the domains that the pod could be in, the fewest pods. */
  readonly fewest: number
  /** 1 when the pod itself is one of those that are spread. */
  readonly self: 0 | 1
}

const AFFINITY = "node(s) didn't match pod affinity rules"
const ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
const EXISTING_ANTI_AFFINITY = "node(s) didn't satisfy existing pods anti-affinity rules"
const SPREAD = "node(s) didn't match pod topology spread constraints"
const SPREAD_LABEL = `${SPREAD} (missing required label)`

function fewestIn(
  constraint: SpreadConstraint,
  domains: DomainCounts,
  pod: PodDemand,
  nodes: Iterable<NodeState>,
): number {
  const eligible = new Set<string>()
  for (const { name, facts } of nodes) {
    const domain = facts?.labels[constraint.term.topologyKey]
    if (facts === undefined || domain === undefined || eligible.has(domain)) continue
    if (meetsTerms(pod, name, facts)) eligible.add(domain)
  }
  // With fewer domains than asked for, the missing ones count as empty.
  if (eligible.size < constraint.minDomains) return 0
  let fewest = Number.POSITIVE_INFINITY
  for (const domain of eligible) fewest = Math.min(fewest, domains.get(domain) ?? 0)
  return fewest === Number.POSITIVE_INFINITY ? 0 : fewest
}

export class Neighbourhood {
  readonly #near: readonly {
    readonly key: string
    readonly domains: DomainCounts
    readonly isFirst: boolean
  }[]
  readonly #far: readonly { readonly key: string; readonly domains: DomainCounts }[]
  readonly #heldFar: readonly { readonly key: string; readonly domains: DomainCounts }[]
  readonly #wished: readonly {
    readonly key: string
    readonly domains: DomainCounts
    readonly weight: number
  }[]
  readonly #spread: readonly Spread[]

  constructor(pod: PodDemand, nodes: Iterable<NodeState>, counts: TopologyCounts) {
    const { near, far, preferred, spread } = pod.terms
    const matches = (term: (typeof near)[number]) => term.matches(pod, counts.namespaceLabels)
    this.#near = near.map(term => {
      const { domains, total } = counts.of(term)
      // The first of pods that want to be together has nobody to go to.
      return { key: term.topologyKey, domains, isFirst: total === 0 && matches(term) }
    })
    this.#far = far.map(term => ({ key: term.topologyKey, domains: counts.of(term).domains }))
    const held = [...counts.held].filter(({ term }) => matches(term))
    this.#heldFar = held.flatMap(({ term, weight, domains }) =>
      weight === undefined ? [{ key: term.topologyKey, domains }] : [],
    )
    this.#wished = [
      ...preferred.map(({ term, weight }) => ({
        key: term.topologyKey,
        domains: counts.of(term).domains,
        weight,
      })),
      ...held.flatMap(({ term, weight, domains }) =>
        weight === undefined ? [] : [{ key: term.topologyKey, domains, weight }],
      ),
    ]
    this.#spread = spread.map(constraint => {
      const { domains } = counts.of(constraint.term)
      const fewest = constraint.hard ? fewestIn(constraint, domains, pod, nodes) : 0
      return { constraint, domains, fewest, self: matches(constraint.term) ? 1 : 0 }
    })
  }

  /** Why the pod cannot go to a node with these labels; undefined when it can. */
  reasonAgainst(labels: Labels): string | undefined {
    for (const { key, domains, isFirst } of this.#near) {
      const domain = labels[key]
      if (domain === undefined || (!isFirst && !domains.has(domain))) return AFFINITY
    }
    for (const { key, domains } of this.#far) if (domains.has(labels[key] ?? '')) return ANTI_AFFINITY
    for (const { key, domains } of this.#heldFar)
      if (domains.has(labels[key] ?? '')) return EXISTING_ANTI_AFFINITY
    for (const { constraint, domains, fewest, self } of this.#spread) {
      if (!constraint.hard) continue
      const domain = labels[constraint.term.topologyKey]
      if (domain === undefined) return SPREAD_LABEL
      if ((domains.get(domain) ?? 0) + self - fewest > constraint.maxSkew) return SPREAD
    }
    return undefined
  }

  /** Whether it matters where the pod goes, of the nodes that it may go to. */
  get hasWishes(): boolean {
    return this.#wished.length > 0 || this.#spread.some(({ constraint }) => !constraint.hard)
  }

  /** How much the pods there are wanted, by weight: more is better. */
  attraction(labels: Labels): number {
    let sum = 0
    for (const { key, domains, weight } of this.#wished) sum += weight * (domains.get(labels[key] ?? '') ?? 0)
    return sum
  }

  /** How many of those that should be spread are there already: fewer is better. */
  crowd(labels: Labels): number {
    let sum = 0
    for (const { constraint, domains } of this.#spread) {
      if (!constraint.hard) sum += domains.get(labels[constraint.term.topologyKey] ?? '') ?? 0
    }
    return sum
  }
}
