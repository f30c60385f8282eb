/**
 * What this host follows of its Kubernetes cluster. There is one per agent: names, policies and the service proxy all
 * listen to it.
 *
 * Namespaces and pods are followed only while there are network policies, which alone are about them.
 */
import {
  type Clock,
  type Daemon,
  type Logger,
  makePrivateDirectory,
  removeInterruptedWrites,
} from '../../kit/index.ts'
import type {
  EndpointSlice,
  KubernetesClient,
  KubernetesObject,
  Namespace,
  NetworkPolicy,
  Pod,
  Service,
} from '../../protocol/kubernetes/index.ts'
import { type CollectionOptions, FollowedCollection } from './followed-collection.ts'
import {
  namespaceRecord,
  namespaceRecordOf,
  nodeRecord,
  nodeRecordOf,
  podRecord,
  podRecordOf,
  policyRecord,
  policyRecordOf,
  serviceRecord,
  serviceRecordOf,
  sliceRecord,
  sliceRecordOf,
} from './records.ts'

export interface ClusterSourceOptions {
  readonly client: KubernetesClient
  /** Name of this host's node. */
  readonly node: string
  /** Of its own; made when it is missing. */
  readonly directory: string
  readonly log: Logger
  /** The machine's clock unless a test says otherwise. */
  readonly clock?: Clock
}

/** Milliseconds for which changes are collected before they are written. */
const WRITE_DELAY = 5_000
/** Of pods, there are many, and the next change is never far. */
const POD_WRITE_DELAY = 60_000

function makeCollections(node: string, options: CollectionOptions) {
  return {
    nodes: new FollowedCollection<KubernetesObject, typeof nodeRecord>(
      {
        ...{ name: 'nodes', path: '/api/v1/nodes', query: { fieldSelector: `metadata.name=${node}` } },
        ...{ schema: nodeRecord, recordOf: nodeRecordOf, writeDelay: WRITE_DELAY },
      },
      options,
    ),
    services: new FollowedCollection<Service, typeof serviceRecord>(
      {
        ...{ name: 'services', path: '/api/v1/services', schema: serviceRecord },
        ...{ recordOf: serviceRecordOf, writeDelay: WRITE_DELAY },
      },
      options,
    ),
    slices: new FollowedCollection<EndpointSlice, typeof sliceRecord>(
      {
        ...{ name: 'slices', path: '/apis/discovery.k8s.io/v1/endpointslices', schema: sliceRecord },
        ...{ recordOf: sliceRecordOf, writeDelay: WRITE_DELAY },
      },
      options,
    ),
    policies: new FollowedCollection<NetworkPolicy, typeof policyRecord>(
      {
        ...{ name: 'policies', path: '/apis/networking.k8s.io/v1/networkpolicies', schema: policyRecord },
        ...{ recordOf: policyRecordOf, writeDelay: WRITE_DELAY },
      },
      options,
    ),
    namespaces: new FollowedCollection<Namespace, typeof namespaceRecord>(
      {
        ...{ name: 'namespaces', path: '/api/v1/namespaces', schema: namespaceRecord },
        ...{ recordOf: namespaceRecordOf, writeDelay: WRITE_DELAY },
      },
      options,
    ),
    pods: new FollowedCollection<Pod, typeof podRecord>(
      {
        ...{ name: 'pods', path: '/api/v1/pods', schema: podRecord },
        ...{ recordOf: podRecordOf, writeDelay: POD_WRITE_DELAY },
      },
      options,
    ),
  }
}

export type ClusterCollections = ReturnType<typeof makeCollections>

export class ClusterSource implements Daemon {
  readonly name = 'cluster source'
  readonly collections: ClusterCollections
  readonly #directory: string
  readonly #log: Logger
  #following = false
  #stopped = false
  /** Starts and stops of what is not always followed, one after the other. */
  #turn: Promise<void> = Promise.resolve()

  constructor({ client, node, directory, log, clock }: ClusterSourceOptions) {
    this.#directory = directory
    this.#log = log
    this.collections = makeCollections(node, { client, directory, log, clock })
    this.collections.policies.onChange(() => this.#policiesChanged())
  }

  /** Resolves when what was kept is known. */
  async start(): Promise<void> {
    await makePrivateDirectory(this.#directory)
    await removeInterruptedWrites(this.#directory)
    const { nodes, services, slices, policies, namespaces, pods } = this.collections
    await Promise.all([nodes, services, slices, namespaces, pods].map(collection => collection.load()))
    // Last: it says whether the others are wanted.
    await policies.load()
    await Promise.all([nodes, services, slices, policies].map(collection => collection.start()))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#turn
    await Promise.all(Object.values(this.collections).map(collection => collection.stop()))
  }

  #policiesChanged(): void {
    const wanted = this.collections.policies.size > 0
    if (wanted === this.#following || this.#stopped) return
    this.#following = wanted
    const { namespaces, pods } = this.collections
    this.#turn = this.#turn
      .then(async () => {
        // Of several changes the last one counts.
        if (this.#stopped || wanted !== this.#following) return
        await Promise.all([namespaces, pods].map(each => (wanted ? each.start() : each.clear())))
      })
      .catch(error =>
        this.#log.error({ err: error }, 'pods and namespaces are not followed as they should be'),
      )
  }
}
