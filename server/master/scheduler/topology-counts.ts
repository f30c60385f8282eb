/**
 * How many pods that terms mean are where: counted when a term is first asked for, kept up to date with every pod that
 * comes and goes.
 */
import type { PodDemand } from './pod-demand.ts'
import type { NamespaceLabels, PodTerm } from './pod-terms.ts'

/** Terms that are kept; one that nobody has asked for lately is counted again when somebody does. */
const MOST_TERMS = 1_000

/** Pods by the value of a label of their nodes. */
export type DomainCounts = ReadonlyMap<string, number>

interface Placed {
  readonly pod: PodDemand
  readonly labels: Readonly<Record<string, string>>
}

interface Counted {
  readonly term: PodTerm
  readonly domains: Map<string, number>
  total: number
}

/** A term that pods which are somewhere have, with how many of them are where. */
export interface HeldTerm {
  readonly term: PodTerm
  /** Undefined for what must be far; negative for what is better far. */
  readonly weight: number | undefined
  readonly domains: DomainCounts
}

function change(counts: Map<string, number>, domain: string | undefined, by: 1 | -1): void {
  if (domain === undefined) return
  const next = (counts.get(domain) ?? 0) + by
  if (next === 0) counts.delete(domain)
  else counts.set(domain, next)
}

export class TopologyCounts {
  readonly #namespaceLabels: NamespaceLabels
  readonly #placed = new Map<string, Placed>()
  readonly #counted = new Map<string, Counted>()
  readonly #held = new Map<string, HeldTerm & { readonly domains: Map<string, number>; holders: number }>()

  constructor(namespaceLabels: NamespaceLabels) {
    this.#namespaceLabels = namespaceLabels
  }

  /** Terms that pods which have a node hold against, or for, others. */
  get held(): Iterable<HeldTerm> {
    return this.#held.values()
  }

  get namespaceLabels(): NamespaceLabels {
    return this.#namespaceLabels
  }

  /** @param labels of the node */
  add(pod: PodDemand, labels: Readonly<Record<string, string>>): void {
    this.remove(pod.key)
    const placed = { pod, labels }
    this.#placed.set(pod.key, placed)
    this.#account(placed, 1)
  }

  remove(key: string): void {
    const placed = this.#placed.get(key)
    if (placed === undefined) return
    this.#placed.delete(key)
    this.#account(placed, -1)
  }

  /** The labels of a node have changed. */
  relabel(pods: Iterable<PodDemand>, labels: Readonly<Record<string, string>>): void {
    for (const pod of pods) this.add(pod, labels)
  }

  /** Labels of a namespace have changed. */
  forgetNamespaces(): void {
    for (const [key, { term }] of this.#counted) if (term.asksNamespaces) this.#counted.delete(key)
  }

  /** The pods that a term means, by domain. */
  of(term: PodTerm): { readonly domains: DomainCounts; readonly total: number } {
    const known = this.#counted.get(term.key)
    if (known !== undefined) {
      // The one asked for last goes last.
      this.#counted.delete(term.key)
      this.#counted.set(term.key, known)
      return known
    }
    const counted: Counted = { term, domains: new Map(), total: 0 }
    for (const placed of this.#placed.values()) this.#count(counted, placed, 1)
    const [oldest] = this.#counted.keys()
    if (this.#counted.size >= MOST_TERMS && oldest !== undefined) this.#counted.delete(oldest)
    this.#counted.set(term.key, counted)
    return counted
  }

  #account(placed: Placed, by: 1 | -1): void {
    for (const counted of this.#counted.values()) this.#count(counted, placed, by)
    const { far, preferred } = placed.pod.terms
    for (const term of far) this.#hold(term, undefined, placed, by)
    for (const { term, weight } of preferred) this.#hold(term, weight, placed, by)
  }

  #count(counted: Counted, { pod, labels }: Placed, by: 1 | -1): void {
    const { term, domains } = counted
    if (!term.matches(pod, this.#namespaceLabels)) return
    counted.total += by
    change(domains, labels[term.topologyKey], by)
  }

  #hold(term: PodTerm, weight: number | undefined, { labels }: Placed, by: 1 | -1): void {
    const key = `${weight ?? ''} ${term.key}`
    const held = this.#held.get(key) ?? { term, weight, domains: new Map<string, number>(), holders: 0 }
    held.holders += by
    change(held.domains, labels[term.topologyKey], by)
    if (held.holders === 0) this.#held.delete(key)
    else this.#held.set(key, held)
  }
}
