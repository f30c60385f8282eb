/** Which other pods a pod wants near, or far: terms of its affinity and its spread, worked out once per version. */
import {
  type Frozen,
  type LabelSelector,
  type Pod,
  type PodSpec,
  selectorMatches,
} from '../apiserver/index.ts'

/** Labels of a namespace; undefined when it is not known. */
export type NamespaceLabels = (name: string) => Readonly<Record<string, string>> | undefined

/** What terms look at in other pods. */
export interface OtherPod {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
}

/** Pods of some namespaces with some labels, counted by the value of a label of their nodes. */
export interface PodTerm {
  /** Equal for terms that mean the same. */
  readonly key: string
  readonly topologyKey: string
  /** Whether it asks for labels of namespaces, which may change. */
  readonly asksNamespaces: boolean
  matches(pod: OtherPod, namespaceLabels: NamespaceLabels): boolean
}

export interface WeightedTerm {
  readonly weight: number
  readonly term: PodTerm
}

export interface SpreadConstraint {
  readonly term: PodTerm
  readonly maxSkew: number
  readonly minDomains: number
  readonly hard: boolean
}

export interface PodTerms {
  readonly near: readonly PodTerm[]
  readonly far: readonly PodTerm[]
  /** Negative weights for what is better far. */
  readonly preferred: readonly WeightedTerm[]
  readonly spread: readonly SpreadConstraint[]
}

const NO_TERMS: PodTerms = { near: [], far: [], preferred: [], spread: [] }

interface AffinityTerm {
  readonly topologyKey: string
  readonly labelSelector?: LabelSelector
  readonly namespaces?: readonly string[]
  readonly namespaceSelector?: LabelSelector
  readonly matchLabelKeys?: readonly string[]
  readonly mismatchLabelKeys?: readonly string[]
}

interface PodAffinity {
  readonly requiredDuringSchedulingIgnoredDuringExecution?: readonly AffinityTerm[]
  readonly preferredDuringSchedulingIgnoredDuringExecution?: readonly {
    readonly weight: number
    readonly podAffinityTerm: AffinityTerm
  }[]
}

interface TopologySpread {
  readonly maxSkew: number
  readonly topologyKey: string
  readonly whenUnsatisfiable: string
  readonly labelSelector?: LabelSelector
  readonly minDomains?: number
  readonly matchLabelKeys?: readonly string[]
}

/** The selector with the pod's own values of some keys added to it. */
function withOwn(
  selector: Frozen<LabelSelector> | undefined,
  labels: Readonly<Record<string, string>>,
  keys: readonly string[],
  operator: 'In' | 'NotIn',
): Frozen<LabelSelector> | undefined {
  const own = keys.flatMap(key =>
    labels[key] === undefined ? [] : [{ key, operator, values: [labels[key]] }],
  )
  if (selector === undefined || own.length === 0) return selector
  return { ...selector, matchExpressions: [...(selector.matchExpressions ?? []), ...own] }
}

function makeTerm(
  topologyKey: string,
  selector: Frozen<LabelSelector> | undefined,
  namespaces: readonly string[],
  namespaceSelector: Frozen<LabelSelector> | undefined,
): PodTerm {
  const names = new Set(namespaces)
  const everywhere = namespaceSelector !== undefined && isEmpty(namespaceSelector)
  return {
    key: JSON.stringify([topologyKey, selector ?? null, [...names].sort(), namespaceSelector ?? null]),
    topologyKey,
    asksNamespaces: namespaceSelector !== undefined && !everywhere,
    matches({ namespace, labels }, namespaceLabels) {
      const there =
        everywhere ||
        names.has(namespace) ||
        (namespaceSelector !== undefined &&
          selectorMatches(namespaceSelector, namespaceLabels(namespace) ?? {}))
      // No selector selects nothing; an empty one, everything.
      return there && selector !== undefined && selectorMatches(selector, labels)
    },
  }
}

function isEmpty({ matchLabels, matchExpressions }: Frozen<LabelSelector>): boolean {
  return Object.keys(matchLabels ?? {}).length === 0 && (matchExpressions ?? []).length === 0
}

function affinityTerm({ namespace, labels }: OtherPod, term: Frozen<AffinityTerm>): PodTerm {
  const {
    topologyKey,
    namespaces = [],
    namespaceSelector,
    matchLabelKeys = [],
    mismatchLabelKeys = [],
  } = term
  const selector = withOwn(
    withOwn(term.labelSelector, labels, matchLabelKeys, 'In'),
    labels,
    mismatchLabelKeys,
    'NotIn',
  )
  const own = namespaces.length === 0 && namespaceSelector === undefined ? [namespace] : namespaces
  return makeTerm(topologyKey, selector, own, namespaceSelector)
}

/** The terms of a pod. */
export function podTerms({ metadata, spec }: Frozen<Pod>): PodTerms {
  const { affinity, topologySpreadConstraints } = spec as Frozen<PodSpec> & {
    readonly affinity?: { readonly podAffinity?: PodAffinity; readonly podAntiAffinity?: PodAffinity }
    readonly topologySpreadConstraints?: readonly TopologySpread[]
  }
  const { podAffinity: near, podAntiAffinity: far } = affinity ?? {}
  if (near === undefined && far === undefined && topologySpreadConstraints === undefined) return NO_TERMS
  const self = { namespace: metadata.namespace ?? '', labels: metadata.labels ?? {} }
  const required = (part: PodAffinity | undefined) =>
    (part?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map(term => affinityTerm(self, term))
  const preferred = (part: PodAffinity | undefined, sign: 1 | -1) =>
    (part?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ weight, podAffinityTerm }) => ({
      weight: sign * weight,
      term: affinityTerm(self, podAffinityTerm),
    }))
  return {
    near: required(near),
    far: required(far),
    preferred: [...preferred(near, 1), ...preferred(far, -1)],
    spread: (topologySpreadConstraints ?? []).map(constraint => ({
      term: makeTerm(
        constraint.topologyKey,
        withOwn(constraint.labelSelector, self.labels, constraint.matchLabelKeys ?? [], 'In'),
        [self.namespace],
        undefined,
      ),
      maxSkew: constraint.maxSkew,
      minDomains: constraint.minDomains ?? 1,
      hard: constraint.whenUnsatisfiable !== 'ScheduleAnyway',
    })),
  }
}
