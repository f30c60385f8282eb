/** Path 1 of a container's status: writes the status of pods to the cluster's Kubernetes API. */
import { isDeepStrictEqual } from 'node:util'
import {
  type Daemon,
  isDroverError,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
} from '../../kit/index.ts'
import type { Condition, KubernetesClient, Pod, PodStatus } from '../../protocol/kubernetes/index.ts'

interface Report {
  readonly pod: Pod
  /** Absent: nothing is left of the pod. */
  readonly status: PodStatus | undefined
}

/** Conditions of a node's that are there only while they hold. */
const PASSING: ReadonlySet<string> = new Set(['PodResizePending', 'PodResizeInProgress'])

function pathOf(pod: Pod): string {
  const { namespace = '', name } = pod.metadata
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`
}

/** Lists are merged, and addresses that a pod had would stay, if it were not said that these are all. */
function addressesOf({ podIPs, hostIPs }: PodStatus): Record<string, object[]> {
  const all = { $patch: 'replace' }
  return {
    ...(podIPs === undefined ? {} : { podIPs: [...podIPs, all] }),
    ...(hostIPs === undefined ? {} : { hostIPs: [...hostIPs, all] }),
  }
}

/** A condition without what it said before: it is merged with that, too, and would be true for the reason why it was not. */
function replaced(condition: Condition): object {
  return { reason: null, message: null, ...condition }
}

export class PodStatusWriter implements Daemon {
  readonly name = 'pod status writer'
  readonly #client: KubernetesClient
  readonly #reports = new Map<string, Report>()
  readonly #sent = new Map<string, PodStatus>()
  readonly #loop: ReconcileLoop

  constructor(client: KubernetesClient, log: Logger) {
    this.#client = client
    this.#loop = new ReconcileLoop({
      name: 'pod status',
      log,
      concurrency: 8,
      backoff: { initial: 200, maximum: 3_000 },
      reconcile: uid => this.#write(uid),
    })
  }

  start(): Promise<void> {
    this.#loop.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /** The newest status of a pod; only the newest is written. */
  report(pod: Pod, status: PodStatus): void {
    const uid = pod.metadata.uid ?? ''
    if (isDeepStrictEqual(this.#sent.get(uid), status)) {
      this.#reports.delete(uid)
      return
    }
    this.#reports.set(uid, { pod, status })
    this.#loop.kick(uid)
  }

  /** Nothing is left of the pod on this host. */
  ended(pod: Pod): void {
    const uid = pod.metadata.uid ?? ''
    this.#reports.set(uid, { pod, status: undefined })
    this.#loop.kick(uid)
  }

  /** The pod is gone from the API. */
  forget(uid: string): void {
    this.#reports.delete(uid)
    this.#sent.delete(uid)
  }

  async #write(uid: string): Promise<ReconcileResult> {
    const report = this.#reports.get(uid)
    if (report === undefined) return undefined
    try {
      if (report.status === undefined) await this.#delete(uid, report.pod)
      else await this.#patch(uid, report.pod, report.status)
    } catch (error) {
      // Gone, or another pod under the same name: there is nothing left to say about this one.
      if (!isDroverError(error, 'NotFound') && !isDroverError(error, 'Conflict')) throw error
    }
    if (this.#reports.get(uid) === report) this.#reports.delete(uid)
    return undefined
  }

  async #patch(uid: string, pod: Pod, status: PodStatus): Promise<void> {
    const conditions = [...(status.conditions ?? []).map(replaced), ...this.#gone(uid, pod, status)]
    await this.#client.patch(`${pathOf(pod)}/status`, 'strategic-merge', {
      metadata: { uid },
      status: { ...status, ...addressesOf(status), conditions },
    })
    this.#sent.set(uid, status)
  }

  /** Conditions that there were and that there are no more; others' stay. */
  #gone(uid: string, pod: Pod, status: PodStatus): object[] {
    const before = [...(pod.status?.conditions ?? []), ...(this.#sent.get(uid)?.conditions ?? [])]
    const types = new Set(before.map(({ type }) => type).filter(type => PASSING.has(type)))
    for (const { type } of status.conditions ?? []) types.delete(type)
    return [...types].map(type => ({ $patch: 'delete', type }))
  }

  async #delete(uid: string, pod: Pod): Promise<void> {
    await this.#client.delete(pathOf(pod), { gracePeriodSeconds: 0, preconditions: { uid } })
  }
}
