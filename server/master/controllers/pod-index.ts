/** What endpoints need of the pods of some namespaces, so that a change of one is not paid for by reading all. */
import type { Frozen, Pod } from '../apiserver/index.ts'

type PartialContainers = Frozen<Pod['spec']['containers']>

function essential(containers: PartialContainers): PartialContainers {
  return containers
    .filter(({ ports = [] }) => ports.length > 0)
    .map(({ name, ports, restartPolicy }) => ({
      name,
      ...(ports === undefined ? {} : { ports }),
      ...(restartPolicy === undefined ? {} : { restartPolicy }),
    }))
}

/** Whole pods are many times larger. */
function reduced({ apiVersion, kind, metadata, spec, status }: Frozen<Pod>): Frozen<Pod> {
  const { name, namespace, uid, labels, deletionTimestamp } = metadata
  const { nodeName, hostname, subdomain, restartPolicy } = spec
  const { podIP, phase, conditions } = status
  return {
    apiVersion,
    kind,
    metadata: {
      ...{ name, ...(namespace && { namespace }), ...(uid && { uid }), ...(labels && { labels }) },
      ...(deletionTimestamp && { deletionTimestamp }),
    },
    spec: {
      ...{ restartPolicy, ...(nodeName && { nodeName }) },
      ...{ ...(hostname && { hostname }), ...(subdomain && { subdomain }) },
      containers: essential(spec.containers),
      initContainers: essential(spec.initContainers ?? []),
    },
    status: {
      ...{ ...(podIP && { podIP }), ...(phase && { phase }) },
      conditions: (conditions ?? []).filter(({ type }) => type === 'Ready'),
    },
  }
}

export class PodIndex {
  readonly #namespaces = new Map<string, Map<string, Frozen<Pod>>>()
  /** Rises with every change that was told. */
  #changes = 0

  /**
   * The pods of a namespace, remembered from now on.
   *
   * @param list reads them all; called only when they are not remembered
   */
  async pods(
    namespace: string,
    list: () => Promise<readonly Frozen<Pod>[]>,
  ): Promise<readonly Frozen<Pod>[]> {
    const present = this.#namespaces.get(namespace)
    if (present !== undefined) return [...present.values()]
    const before = this.#changes
    const pods = await list()
    // A change that came meanwhile may be newer than the list, so that the list must not be remembered.
    if (this.#changes === before) {
      this.#namespaces.set(namespace, new Map(pods.map(pod => [pod.metadata.name, reduced(pod)])))
    }
    return pods
  }

  put(pod: Frozen<Pod>): void {
    this.#changes += 1
    this.#namespaces.get(pod.metadata.namespace ?? '')?.set(pod.metadata.name, reduced(pod))
  }

  remove({ metadata }: Frozen<Pod>): void {
    this.#changes += 1
    this.#namespaces.get(metadata.namespace ?? '')?.delete(metadata.name)
  }

  forget(namespace: string): void {
    this.#namespaces.delete(namespace)
  }
}
