/** The disruption budgets of a cluster, as preemption respects them: fewer violations are better, none are forbidden. */
import {
  type ClusterClient,
  DISRUPTION_BUDGETS,
  type Frozen,
  type LabelSelector,
  type PodDisruptionBudget,
  selectorMatches,
} from '../apiserver/index.ts'
import type { PodDemand } from './pod-demand.ts'

/** A budget that counts a pod. */
export interface Budget {
  /** `namespace/name` */
  readonly key: string
  /** Ends that it allows now. */
  readonly allowed: number
}

/** @returns the budgets that an end of the pod would count against */
export type BudgetsOf = (pod: Pick<PodDemand, 'namespace' | 'name' | 'labels'>) => readonly Budget[]

interface Known {
  readonly key: string
  readonly selector: Frozen<LabelSelector>
  readonly allowed: number
  /** Names of pods whose end is in the count already. */
  readonly counted: ReadonlySet<string>
}

export class ClusterBudgets {
  readonly #byNamespace = new Map<string, Map<string, Known>>()

  /** @returns what ends it */
  async observe(client: ClusterClient): Promise<() => void> {
    return await client.observe(DISRUPTION_BUDGETS, {
      sync: budgets => {
        for (const budget of budgets) this.#put(budget)
      },
      changed: budget => this.#put(budget),
      removed: ({ metadata }) => {
        this.#byNamespace.get(metadata.namespace ?? '')?.delete(metadata.name)
      },
    })
  }

  readonly of: BudgetsOf = ({ namespace, name, labels }) =>
    [...(this.#byNamespace.get(namespace)?.values() ?? [])].filter(
      ({ selector, counted }) => !counted.has(name) && selectorMatches(selector, labels),
    )

  #put({ metadata, spec, status }: Frozen<PodDisruptionBudget>): void {
    const { namespace = '', name } = metadata
    const known = this.#byNamespace.get(namespace) ?? new Map<string, Known>()
    this.#byNamespace.set(namespace, known)
    // Without a selector it is about no pod.
    if (spec.selector === undefined) known.delete(name)
    else {
      known.set(name, {
        key: `${namespace}/${name}`,
        selector: spec.selector,
        allowed: status?.disruptionsAllowed ?? 0,
        counted: new Set(Object.keys(status?.disruptedPods ?? {})),
      })
    }
  }
}
