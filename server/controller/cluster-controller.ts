/** Brings clusters into being and ends them. */

import {
  atMost,
  type Daemon,
  isDroverError,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
} from '../../kit/index.ts'
import type { KubernetesVersion } from '../../protocol/kubernetes/index.ts'
import { type Cluster, type Model, modelErrors } from '../model/index.ts'

/** The part of the embedded master that makes and ends clusters. */
export interface ClusterMaster {
  /** Idempotent. @param version what it speaks from now on */
  createCluster(id: string, version?: KubernetesVersion): Promise<void>
  /** @throws `NotFound` */
  deleteCluster(id: string): Promise<void>
}

/** All containers of an embedded cluster have addresses in this block. */
const CLUSTER_BLOCK = '10.42.0.0/16'
const METADATA_ADDRESS = '169.254.169.250'

/** Milliseconds that whoever creates a cluster waits until it is usable. */
const ACTIVATION_DEADLINE = 30_000

export class ClusterController implements Daemon {
  readonly name = 'cluster controller'
  readonly #model: Model
  readonly #master: ClusterMaster
  readonly #loop: ReconcileLoop

  constructor(model: Model, master: ClusterMaster, log: Logger) {
    this.#model = model
    this.#master = master
    this.#loop = new ReconcileLoop({ name: 'cluster', log, reconcile: id => this.#reconcile(id) })
  }

  async start(): Promise<void> {
    this.#model.clusters.onChange((cluster, previous) => this.#loop.kick((cluster ?? previous)?.id ?? ''))
    // One that comes while its cluster goes has to go, too.
    this.#model.projects.onChange((project, previous) => {
      if (project === undefined || previous === undefined)
        this.#loop.kick((project ?? previous)?.clusterId ?? '')
    })
    this.#model.hosts.onChange((host, previous) => {
      if (host === undefined || previous === undefined) this.#loop.kick((host ?? previous)?.clusterId ?? '')
    })
    for (const cluster of this.#model.clusters.all()) this.#loop.kick(cluster.id)
    this.#loop.start()
    // Every server has a cluster to begin with.
    if (this.#model.clusters.size === 0) await this.create('default')
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /**
   * Makes a cluster that is usable when this returns. What belongs to it, the loop makes: a second hand beside it would
   * make everything twice.
   *
   * @throws `NotFound` when somebody removes it meanwhile; `DeadlineExceeded`, after which it still comes into being
   */
  async create(
    name: string,
    more: Pick<Cluster, 'description' | 'kubernetesVersion' | 'kubernetesPort'> = {},
  ): Promise<Cluster> {
    const cluster = await this.#model.clusters.create({
      name,
      ...more,
      state: 'activating',
      embedded: true,
      clusterBlock: CLUSTER_BLOCK,
    })
    return await this.#activated(cluster.id)
  }

  async #activated(id: string): Promise<Cluster> {
    const { promise, resolve, reject } = Promise.withResolvers<Cluster>()
    const look = (cluster: Cluster | undefined) => {
      if (cluster === undefined || cluster.state === 'removing')
        reject(modelErrors.NotFound({ object: `cluster ${id}` }))
      else if (cluster.state === 'active') resolve(cluster)
    }
    const end = this.#model.clusters.onChange((cluster, previous) => {
      if ((cluster ?? previous)?.id === id) look(cluster)
    })
    try {
      look(this.#model.clusters.get(id))
      return await atMost(ACTIVATION_DEADLINE, `cluster ${id}`, promise)
    } finally {
      end()
    }
  }

  async #reconcile(id: string): Promise<ReconcileResult> {
    const cluster = this.#model.clusters.get(id)
    if (cluster === undefined) return undefined
    if (cluster.state === 'removing') await this.#remove(cluster)
    else await this.#activate(cluster)
    return undefined
  }

  /** Makes what is missing; a crash in the middle is healed by doing it again. */
  async #activate(cluster: Cluster): Promise<void> {
    await this.#master.createCluster(cluster.id, cluster.kubernetesVersion)
    if (cluster.state === 'active') return
    const systemProjectId = await this.#project(cluster, 'System', 'cattle-system', true)
    const defaultProjectId = await this.#project(cluster, 'Default', 'default', false)
    const defaultNetworkId = await this.#network(cluster)
    await this.#model.clusters.update(cluster.id, current =>
      current.state === 'activating'
        ? { ...current, state: 'active', systemProjectId, defaultProjectId, defaultNetworkId }
        : current,
    )
  }

  async #project(cluster: Cluster, name: string, namespace: string, clusterOwner: boolean): Promise<string> {
    const present = this.#model.projects.find('namespace', `${cluster.id}/${namespace}`)
    if (present !== undefined) return present.id
    const project = await this.#model.projects.create({
      name,
      state: 'active',
      clusterId: cluster.id,
      clusterOwner,
      externalId: namespace,
    })
    return project.id
  }

  async #network(cluster: Cluster): Promise<string> {
    const present = this.#model.networks.find('cluster', cluster.id)
    if (present !== undefined) return present.id
    const network = await this.#model.networks.create({
      name: 'managed',
      state: 'active',
      clusterId: cluster.id,
      kind: 'vxlan',
      options: {},
      keyVersion: 1,
      isDefault: true,
      hostPorts: true,
      subnets: [{ networkAddress: cluster.clusterBlock }],
      dns: [METADATA_ADDRESS],
      defaultPolicyAction: 'allow',
      policy: [],
    })
    return network.id
  }

  /** Hosts and environments go first, each by its own controller; what is left is removed here. */
  async #remove(cluster: Cluster): Promise<void> {
    const projects = this.#model.projects.where('cluster', cluster.id)
    const hosts = this.#model.hosts.where('cluster', cluster.id)
    for (const { id } of projects) {
      await unlessGone(() => this.#model.projects.update(id, current => markRemoving(current)))
    }
    for (const { id } of hosts) {
      await unlessGone(() => this.#model.hosts.update(id, current => markRemoving(current)))
    }
    if (projects.length > 0 || hosts.length > 0) return
    for (const { id } of this.#model.networks.where('cluster', cluster.id))
      await this.#model.networks.delete(id)
    for (const { id } of this.#model.registrationTokens.where('cluster', cluster.id)) {
      await this.#model.registrationTokens.delete(id)
    }
    // A crash may have come between here and the last line.
    await unlessGone(() => this.#master.deleteCluster(cluster.id))
    await this.#model.clusters.delete(cluster.id)
  }
}

/** Does `work`, unless what it is about is not there any more: others remove things at the same time. */
async function unlessGone(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isDroverError(error, 'NotFound')) throw error
  }
}

/** The object in state `removing`; the same object when it is so already. */
export function markRemoving<T extends { readonly state: string }>(object: T): T & { state: 'removing' } {
  return object.state === 'removing'
    ? (object as T & { state: 'removing' })
    : { ...object, state: 'removing' as const }
}
