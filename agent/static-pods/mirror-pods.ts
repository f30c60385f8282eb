/**
 * Shows static pods in the cluster: each has a mirror there with its status. What becomes of a mirror is nothing to the pod: one
 * that is deleted is made again.
 */
import {
  type Daemon,
  isDroverError,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
} from '../../kit/index.ts'
import {
  type KubernetesClient,
  type Node,
  type Pod,
  type PodStatus,
  STATIC_POD,
} from '../../protocol/kubernetes/index.ts'

export interface MirrorPodsOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'create' | 'delete'>
  readonly nodeName: string
  /** The static pods of this host. */
  readonly pods: () => readonly Pod[]
  /** Writes the status of a pod of the cluster. */
  readonly report: (mirror: Pod, status: PodStatus) => void
  readonly log: Logger
}

/** Milliseconds until a mirror that somebody else's pod stands in the way of is tried again. */
const TRY_AGAIN = 5_000

/** Milliseconds between a mirror and the next: `kubectl delete` would take the new one for that whose end it waits for. */
const PAUSE = 1_000

const keyOf = ({ metadata }: Pod) => `${metadata.namespace}/${metadata.name}`

function pathOf({ metadata: { namespace = '', name } }: Pod): `/api/v1/${string}` {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`
}

/** Whether a mirror shows that pod, and is to stay. */
function shows(mirror: Pod, pod: Pod): boolean {
  const { annotations, deletionTimestamp } = mirror.metadata
  return annotations?.[STATIC_POD.mirror] === pod.metadata.uid && deletionTimestamp === undefined
}

/** The mirror of a static pod. Pure. @param owner the node that runs it */
function mirrorOf({ metadata, spec }: Pod, owner: { readonly name: string; readonly uid: string }): Pod {
  const { name, namespace = 'default', labels, annotations, uid = '' } = metadata
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      ...(labels === undefined ? {} : { labels }),
      annotations: { ...annotations, [STATIC_POD.mirror]: uid },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', ...owner, controller: true }],
    },
    spec,
  }
}

export class MirrorPods implements Daemon {
  readonly name = 'mirrors of static pods'
  readonly #options: MirrorPodsOptions
  readonly #loop: ReconcileLoop
  readonly #mirrors = new Map<string, Pod>()
  /** Monotonic milliseconds at which mirrors went. */
  readonly #gone = new Map<string, number>()
  readonly #statuses = new Map<string, { readonly uid: string; readonly status: PodStatus }>()

  constructor(options: MirrorPodsOptions) {
    this.#options = options
    this.#loop = new ReconcileLoop({
      name: 'mirror pod',
      log: options.log,
      backoff: { initial: 500, maximum: 30_000 },
      reconcile: key => this.#reconcile(key),
    })
  }

  start(): Promise<void> {
    for (const pod of this.#options.pods()) this.#loop.kick(keyOf(pod))
    this.#loop.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /** A static pod was added, changed or taken away. */
  podChanged(pod: Pod): void {
    this.#loop.kick(keyOf(pod))
  }

  /** The newest status of a static pod. */
  report(pod: Pod, status: PodStatus): void {
    const key = keyOf(pod)
    this.#statuses.set(key, { uid: pod.metadata.uid ?? '', status })
    this.#loop.kick(key)
  }

  /** The cluster says what mirror there is; undefined for one that is gone. */
  observed(mirror: Pod | undefined, previous: Pod | undefined): void {
    const either = mirror ?? previous
    if (either === undefined) return
    const key = keyOf(either)
    if (mirror !== undefined) {
      this.#mirrors.set(key, mirror)
      this.#loop.kick(key)
      return
    }
    this.#mirrors.delete(key)
    this.#gone.set(key, performance.now())
    this.#loop.kick(key)
  }

  /** The uid by which a pod of the cluster is known here: that of the static pod, when it is a mirror. */
  localUid(uid: string): string {
    for (const { metadata } of this.#mirrors.values()) {
      if (metadata.uid === uid) return metadata.annotations?.[STATIC_POD.mirror] ?? uid
    }
    return uid
  }

  async #reconcile(key: string): Promise<ReconcileResult> {
    const pod = this.#options.pods().find(each => keyOf(each) === key)
    const mirror = this.#mirrors.get(key)
    if (pod === undefined) this.#statuses.delete(key)
    if (mirror === undefined) return await this.#makeUp(key, pod)
    if (pod === undefined || !shows(mirror, pod)) {
      // That it is gone is observed.
      await this.#delete(mirror)
      return undefined
    }
    const known = this.#statuses.get(key)
    if (known !== undefined && known.uid === pod.metadata.uid) this.#options.report(mirror, known.status)
    return undefined
  }

  async #makeUp(key: string, pod: Pod | undefined): Promise<ReconcileResult> {
    const wait = (this.#gone.get(key) ?? Number.NEGATIVE_INFINITY) + PAUSE - performance.now()
    if (pod !== undefined && wait > 0) return { requeueAfter: wait }
    this.#gone.delete(key)
    return pod === undefined ? undefined : await this.#create(pod)
  }

  async #create(pod: Pod): Promise<ReconcileResult> {
    const { client, nodeName, log } = this.#options
    const node = await client.get<Node>(`/api/v1/nodes/${encodeURIComponent(nodeName)}`)
    const mirror = mirrorOf(pod, { name: nodeName, uid: node.metadata.uid ?? '' })
    try {
      await client.create(
        `/api/v1/namespaces/${encodeURIComponent(mirror.metadata.namespace ?? '')}/pods`,
        mirror,
      )
      return undefined
    } catch (error) {
      if (!isDroverError(error, 'AlreadyExists')) throw error
      // Either it is there and will be observed, or it is another pod.
      log.debug({ pod: mirror.metadata.name }, 'a static pod has no mirror: there is a pod of that name')
      return { requeueAfter: TRY_AGAIN }
    }
  }

  async #delete(mirror: Pod): Promise<void> {
    const { uid } = mirror.metadata
    try {
      await this.#options.client.delete(pathOf(mirror), { gracePeriodSeconds: 0, preconditions: { uid } })
    } catch (error) {
      if (!isDroverError(error, 'NotFound') && !isDroverError(error, 'Conflict')) throw error
    }
  }
}
