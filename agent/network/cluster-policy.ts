/**
 * The cluster's NetworkPolicy objects, and the pods and namespaces that they are about, as the host's network takes them.
 *
 * Addresses of this host's own pods are known here before the cluster knows them, so a new pod is judged from its first
 * packet on.
 */
import {
  type KubernetesNetworkPolicy,
  type KubernetesPolicyInput,
  PodIndex,
} from '../../netplugins/policy/index.ts'
import type { ClusterCollections, PodRecord, PolicyRecord } from '../cluster/index.ts'
import type { Attachment } from './attachment.ts'

function keyOf({ namespace, name }: Pick<PodRecord, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`
}

function policyOf({ namespace, name, spec }: PolicyRecord): KubernetesNetworkPolicy {
  return { metadata: { namespace, name }, spec }
}

export class ClusterPolicy {
  readonly #collections: ClusterCollections
  readonly #index = new PodIndex()
  readonly #pods = new Map<string, PodRecord>()
  /** Addresses of this host's pods. */
  readonly #local = new Map<string, string>()
  readonly #listeners = new Set<() => void>()
  /** Undefined after a policy changed. */
  #policies: readonly KubernetesNetworkPolicy[] | undefined

  constructor(collections: ClusterCollections) {
    this.#collections = collections
    const { policies, namespaces, pods } = collections
    policies.onChange(() => {
      this.#policies = undefined
      this.#tell()
    })
    namespaces.onChange((record, previous) => {
      this.#index.setNamespace((record ?? previous)?.name ?? '', record?.labels)
      this.#tell()
    })
    pods.onChange((record, previous) => this.#podChanged(record, previous))
    for (const collection of [policies, namespaces, pods]) collection.onReady(() => this.#tell())
  }

  /** Calls `listener` after something changed that policies may be about. @returns ends that */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Undefined while it is not known which policies there are, or whom they are about. */
  input(): KubernetesPolicyInput | undefined {
    const { policies, namespaces, pods } = this.#collections
    if (!policies.ready || (policies.size > 0 && !(namespaces.ready && pods.ready))) return undefined
    // In one order, whichever came first: the same policies are the same rules.
    this.#policies ??= [...policies.values()].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)).map(policyOf)
    return { policies: this.#policies, pods: this.#index }
  }

  /** Says who is connected to this host's network. Listeners are not told: whoever says it knows. */
  setLocal(attachments: readonly Attachment[]): void {
    const now = new Map(
      attachments.flatMap(({ pod, address }) => (pod === undefined ? [] : [[keyOf(pod), address] as const])),
    )
    const changed = [...this.#local.keys(), ...now.keys()].filter(
      key => this.#local.get(key) !== now.get(key),
    )
    for (const key of changed) {
      const address = now.get(key)
      if (address === undefined) this.#local.delete(key)
      else this.#local.set(key, address)
      const record = this.#pods.get(key)
      if (record !== undefined) this.#index.putPod(this.#withAddress(record))
    }
  }

  #podChanged(record: PodRecord | undefined, previous: PodRecord | undefined): void {
    if (record !== undefined) {
      this.#pods.set(keyOf(record), record)
      this.#index.putPod(this.#withAddress(record))
    } else if (previous !== undefined) {
      this.#pods.delete(keyOf(previous))
      this.#index.removePod(previous)
    }
    this.#tell()
  }

  #withAddress(record: PodRecord): PodRecord {
    const address = this.#local.get(keyOf(record))
    return address === undefined ? record : { ...record, address }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
