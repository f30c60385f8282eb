/**
 * The cluster's pods and namespaces, and who of them is selected by what.
 *
 * An answer is kept while somebody asks for it, and follows the changes: a pod that comes, changes or goes is held
 * against every kept selector once, whatever the number of pods. A group is replaced when its members change, so the
 * same group means the same members.
 */
import { type LabelPredicate, type LabelSelector, type Labels, labelPredicate } from './selectors.ts'

/** A pod of the cluster that is not on its host's network, on whatever host. */
export interface PolicyPod {
  readonly namespace: string
  readonly name: string
  readonly labels: Labels
  /** Absent while it has none. */
  readonly address?: string
  readonly namedPorts?: readonly {
    readonly name: string
    readonly port: number
    readonly protocol?: string
  }[]
}

/** Which pods are meant: those of one namespace, or of all whose labels are selected. */
export interface PodScope {
  readonly pods: LabelSelector
  readonly namespaces: { readonly name: string } | { readonly selector: LabelSelector }
}

/** Selected pods that have an address. */
export interface PodGroup {
  readonly pods: ReadonlySet<PolicyPod>
  readonly addresses: ReadonlySet<string>
}

const NO_LABELS: Labels = {}

interface Selection {
  readonly inNamespace: (name: string, labels: Labels) => boolean
  readonly matches: LabelPredicate
  group: PodGroup
  /** In which round it was asked for last. */
  round: number
}

function groupOf(pods: ReadonlySet<PolicyPod>): PodGroup {
  return { pods, addresses: new Set([...pods].flatMap(({ address }) => address ?? [])) }
}

function keyOf({ namespace, name }: Pick<PolicyPod, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`
}

export class PodIndex {
  readonly #pods = new Map<string, PolicyPod>()
  /** Pods by namespace. */
  readonly #members = new Map<string, Set<string>>()
  readonly #namespaces = new Map<string, Labels>()
  readonly #selections = new Map<string, Selection>()
  #round = 0

  putPod(pod: PolicyPod): void {
    const key = keyOf(pod)
    const previous = this.#pods.get(key)
    this.#pods.set(key, pod)
    const members = this.#members.get(pod.namespace) ?? new Set()
    this.#members.set(pod.namespace, members.add(key))
    this.#update(previous, pod)
  }

  removePod(of: Pick<PolicyPod, 'namespace' | 'name'>): void {
    const key = keyOf(of)
    const previous = this.#pods.get(key)
    if (previous === undefined) return
    this.#pods.delete(key)
    const members = this.#members.get(of.namespace)
    members?.delete(key)
    if (members?.size === 0) this.#members.delete(of.namespace)
    this.#update(previous, undefined)
  }

  get(of: Pick<PolicyPod, 'namespace' | 'name'>): PolicyPod | undefined {
    return this.#pods.get(keyOf(of))
  }

  /** @param labels undefined for a namespace that went */
  setNamespace(name: string, labels: Labels | undefined): void {
    const before = this.#namespaces.get(name) ?? NO_LABELS
    if (labels === undefined) this.#namespaces.delete(name)
    else this.#namespaces.set(name, labels)
    for (const selection of this.#selections.values()) {
      const was = selection.inNamespace(name, before)
      if (was === selection.inNamespace(name, labels ?? NO_LABELS)) continue
      const pods = new Set(selection.group.pods)
      for (const pod of this.#podsIn(name)) {
        if (was) pods.delete(pod)
        else if (isSelected(selection, pod, labels ?? NO_LABELS)) pods.add(pod)
      }
      selection.group = groupOf(pods)
    }
  }

  /**
   * Who is selected now.
   *
   * @throws `InvalidPolicy` for an operator that does not exist
   */
  select(scope: PodScope): PodGroup {
    const key = JSON.stringify([scope.namespaces, scope.pods])
    let selection = this.#selections.get(key)
    if (selection === undefined) {
      selection = this.#make(scope)
      this.#selections.set(key, selection)
    }
    selection.round = this.#round
    return selection.group
  }

  /** Forgets what nobody asked for since the last call. */
  endRound(): void {
    for (const [key, { round }] of this.#selections) if (round !== this.#round) this.#selections.delete(key)
    this.#round += 1
  }

  #make({ pods: podSelector, namespaces }: PodScope): Selection {
    const matches = labelPredicate(podSelector)
    const labelled = 'selector' in namespaces ? labelPredicate(namespaces.selector) : undefined
    const inNamespace = (name: string, labels: Labels) =>
      'name' in namespaces ? name === namespaces.name : (labelled?.(labels) ?? false)
    const selection: Selection = { inNamespace, matches, group: groupOf(new Set()), round: this.#round }
    const names = 'name' in namespaces ? [namespaces.name] : [...this.#members.keys()]
    const pods = names.flatMap(name => {
      const labels = this.#namespaces.get(name) ?? NO_LABELS
      return this.#podsIn(name).filter(pod => isSelected(selection, pod, labels))
    })
    selection.group = groupOf(new Set(pods))
    return selection
  }

  #podsIn(namespace: string): PolicyPod[] {
    return [...(this.#members.get(namespace) ?? [])].flatMap(key => this.#pods.get(key) ?? [])
  }

  #update(previous: PolicyPod | undefined, pod: PolicyPod | undefined): void {
    const namespace = (pod ?? previous)?.namespace ?? ''
    const labels = this.#namespaces.get(namespace) ?? NO_LABELS
    for (const selection of this.#selections.values()) {
      const was = previous !== undefined && selection.group.pods.has(previous)
      const is = pod !== undefined && isSelected(selection, pod, labels)
      if (!was && !is) continue
      const pods = new Set(selection.group.pods)
      if (previous !== undefined) pods.delete(previous)
      if (is) pods.add(pod)
      selection.group = groupOf(pods)
    }
  }
}

function isSelected({ inNamespace, matches }: Selection, pod: PolicyPod, labels: Labels): boolean {
  return pod.address !== undefined && inNamespace(pod.namespace, labels) && matches(pod.labels)
}
