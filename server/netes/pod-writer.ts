/** Writes deployment units as pods through the Kubernetes API of their cluster, and watches what becomes of them. */
import { atMost, type Daemon, isDroverError, type Logger } from '../../kit/index.ts'
import { POD_LABEL } from '../../protocol/index.ts'
import { Informer, KubernetesClient, type Pod } from '../../protocol/kubernetes/index.ts'
import type { NodeRemover, PodObservation, PodWriter, UnitBundle } from '../controller/index.ts'
import type { DeploymentUnit, Project } from '../model/index.ts'
import { containerUuidOf, podManifest } from './pod-manifest.ts'

/** How to reach a cluster's Kubernetes API. */
export interface ClusterAccess {
  readonly url: string
  readonly bearerToken: string
  readonly authority: string
}

/** One cluster's connection, made when its first unit needs it. */
interface ClusterConnection {
  readonly client: KubernetesClient
  readonly pods: Informer<Pod>
  readonly synchronized: Promise<void>
}

/** Milliseconds to wait for the first complete list of a cluster's pods. */
const SYNCHRONIZE_DEADLINE = 20_000

function podsPath(namespace: string): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`
}

/** What Kubernetes says of the pod's containers, by their uuids. */
function readiness(pod: Pod): ReadonlyMap<string, boolean> {
  const statuses = pod.status?.containerStatuses ?? []
  return new Map(statuses.map(({ name, ready }) => [containerUuidOf(name), ready]))
}

/** What the controllers want to know of a pod. */
export function observe(pod: Pod): PodObservation {
  if (pod.spec.nodeName !== undefined) return { nodeName: pod.spec.nodeName, ready: readiness(pod) }
  const scheduled = pod.status?.conditions?.find(condition => condition.type === 'PodScheduled')
  return scheduled?.status === 'False'
    ? { problem: scheduled.message ?? scheduled.reason ?? 'unschedulable' }
    : {}
}

/** A pod that ended although its containers should run for ever: it never starts again by itself. */
function endedForGood(pod: Pod): boolean {
  const { phase } = pod.status ?? {}
  return (phase === 'Failed' || phase === 'Succeeded') && pod.spec.restartPolicy === 'Always'
}

export class KubernetesPodWriter implements PodWriter, NodeRemover, Daemon {
  readonly name = 'pod writer'
  readonly #access: (clusterId: string) => ClusterAccess
  readonly #log: Logger
  readonly #connections = new Map<string, ClusterConnection>()
  readonly #listeners = new Set<(unitUuid: string) => void>()

  constructor(access: (clusterId: string) => ClusterAccess, log: Logger) {
    this.#access = access
    this.#log = log
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    for (const clusterId of [...this.#connections.keys()]) await this.disconnect(clusterId)
  }

  /** Ends the connection to a cluster that is gone. */
  async disconnect(clusterId: string): Promise<void> {
    const connection = this.#connections.get(clusterId)
    this.#connections.delete(clusterId)
    await connection?.pods.stop()
    connection?.client.close()
  }

  onChange(listener: (unitUuid: string) => void): void {
    this.#listeners.add(listener)
  }

  async ensure(bundle: UnitBundle): Promise<PodObservation> {
    const { unit, project } = bundle
    const { client, pods } = await this.#connect(unit.clusterId)
    const present = pods.get(project.externalId, unit.externalId)
    // A terminating pod keeps its name until it is gone; then the watch brings us here again.
    if (present?.metadata.deletionTimestamp !== undefined) return {}
    if (present === undefined) return await this.#createOrExplain(client, bundle)
    if (!endedForGood(present)) return observe(present)
    await this.#delete(client, `${podsPath(project.externalId)}/${unit.externalId}`, {
      gracePeriodSeconds: 0,
    })
    return {}
  }

  async remove(unit: DeploymentUnit, project: Project): Promise<'gone' | 'terminating'> {
    const { client, pods } = await this.#connect(unit.clusterId)
    const present = pods.get(project.externalId, unit.externalId)
    if (present?.metadata.deletionTimestamp !== undefined) return 'terminating'
    return await this.#delete(client, `${podsPath(project.externalId)}/${unit.externalId}`)
  }

  async removeNamespace(project: Project): Promise<'gone' | 'terminating'> {
    const { client } = await this.#connect(project.clusterId)
    return await this.#delete(client, `/api/v1/namespaces/${encodeURIComponent(project.externalId)}`)
  }

  async removeNode(clusterId: string, nodeName: string): Promise<void> {
    const { client } = await this.#connect(clusterId)
    const onNode = await client.list<Pod>('/api/v1/pods', { fieldSelector: `spec.nodeName=${nodeName}` })
    for (const pod of onNode.items) {
      // Nobody is left on that host who could confirm their end.
      await this.#delete(client, `${podsPath(pod.metadata.namespace ?? '')}/${pod.metadata.name}`, {
        gracePeriodSeconds: 0,
      })
    }
    await this.#delete(client, `/api/v1/nodes/${encodeURIComponent(nodeName)}`)
  }

  async #connect(clusterId: string): Promise<ClusterConnection> {
    let connection = this.#connections.get(clusterId)
    if (connection === undefined) {
      const client = new KubernetesClient(this.#access(clusterId))
      const { promise: synchronized, resolve } = Promise.withResolvers<void>()
      const pods = new Informer<Pod>({
        client,
        path: '/api/v1/pods',
        query: { labelSelector: POD_LABEL.deploymentUnit },
        log: this.#log,
        onChange: (pod, previous) => this.#announce(pod ?? previous),
        onSynchronized: resolve,
      })
      connection = { client, pods, synchronized }
      this.#connections.set(clusterId, connection)
      await pods.start()
    }
    // Deciding before everything is known would make pods that exist already.
    await atMost(SYNCHRONIZE_DEADLINE, `pods of cluster ${clusterId}`, connection.synchronized)
    return connection
  }

  #announce(pod: Pod | undefined): void {
    const uuid = pod?.metadata.labels?.[POD_LABEL.deploymentUnit]
    if (uuid !== undefined) for (const listener of this.#listeners) listener(uuid)
  }

  /** A pod that the API refuses as such is the user's to mend, so the reason goes where the user looks. */
  async #createOrExplain(client: KubernetesClient, bundle: UnitBundle): Promise<PodObservation> {
    try {
      return observe(await this.#create(client, bundle))
    } catch (error) {
      if (isDroverError(error, 'Invalid') || isDroverError(error, 'Forbidden'))
        return { problem: error.message }
      throw error
    }
  }

  async #create(client: KubernetesClient, bundle: UnitBundle): Promise<Pod> {
    const namespace = bundle.project.externalId
    const path = podsPath(namespace)
    try {
      return await client.create<Pod>(path, podManifest(bundle))
    } catch (error) {
      if (isDroverError(error, 'AlreadyExists'))
        return await client.get<Pod>(`${path}/${bundle.unit.externalId}`)
      if (!isDroverError(error, 'NotFound')) throw error
    }
    // The only thing that can be missing is the namespace.
    try {
      await client.create('/api/v1/namespaces', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: namespace },
      })
    } catch (error) {
      if (!isDroverError(error, 'AlreadyExists')) throw error
    }
    return await client.create<Pod>(path, podManifest(bundle))
  }

  async #delete(
    client: KubernetesClient,
    path: string,
    options: Record<string, unknown> = {},
  ): Promise<'gone' | 'terminating'> {
    try {
      await client.delete(path, options)
      return 'terminating'
    } catch (error) {
      if (isDroverError(error, 'NotFound')) return 'gone'
      // A namespace that is being emptied refuses a second deletion.
      if (isDroverError(error, 'Conflict')) return 'terminating'
      throw error
    }
  }
}
