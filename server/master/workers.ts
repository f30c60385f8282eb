/** The scheduler and the controllers of one cluster. */
import type { Clock, Logger } from '../../kit/index.ts'
import {
  type Aggregator,
  type Authorizer,
  type ClientAuthorities,
  type Cluster,
  ClusterClient,
  COMPONENT_GROUPS,
  EventRecorder,
  type Identity,
} from './apiserver/index.ts'
import {
  ApiServiceController,
  CertificateController,
  type Controller,
  CronJobController,
  CustomDefinitionController,
  DaemonSetController,
  DeploymentController,
  DisruptionController,
  EndpointMirrorController,
  EndpointSliceController,
  EventController,
  GarbageCollector,
  JobController,
  LegacyEndpointsController,
  NamespaceController,
  NamespaceDefaultsController,
  NodeLifecycleController,
  PodCollector,
  QuotaController,
  REPLICA_SET_KIND,
  REPLICATION_CONTROLLER_KIND,
  ReplicaSetController,
  RoleAggregator,
  StatefulSetController,
  TaintEvictionController,
  VolumeController,
} from './controllers/index.ts'
import { Scheduler } from './scheduler/index.ts'

export interface WorkersOptions {
  readonly cluster: Cluster
  readonly authorizer: Authorizer
  /** Certificates in PEM that clients of the API have to believe. */
  readonly authority: string
  readonly clients: ClientAuthorities
  readonly aggregator: Aggregator
  readonly clock: Clock
  readonly log: Logger
}

/** A client with the identity of one of the program's own parts. */
export function componentClient(
  cluster: Cluster,
  authorizer: Authorizer,
  component: keyof typeof COMPONENT_GROUPS,
): ClusterClient {
  const group = COMPONENT_GROUPS[component]
  // What makes a cluster usable comes before anything in it can be asked.
  const bypassesWebhooks = component === 'bootstrap'
  return new ClusterClient(cluster, { user: group, groups: [group] }, authorizer, { bypassesWebhooks })
}

/** Whether somebody may have client certificates of nodes. */
async function mayHaveCertificate(
  authorizer: Authorizer,
  cluster: Cluster,
  identity: Identity,
  subresource: string,
): Promise<boolean> {
  const decision = await authorizer.authorize(
    {
      identity,
      verb: 'create',
      group: 'certificates.k8s.io',
      resource: 'certificatesigningrequests',
      subresource,
      namespace: '',
      name: '',
      requiredField: () => undefined,
    },
    cluster,
  )
  return decision.allowed
}

export class Workers {
  readonly #all: readonly Controller[]

  constructor({ cluster, authorizer, authority, clients, aggregator, clock, log }: WorkersOptions) {
    const own = log.child({ cluster: cluster.id })
    const client = (component: keyof typeof COMPONENT_GROUPS) =>
      componentClient(cluster, authorizer, component)
    const base = (component: keyof typeof COMPONENT_GROUPS) => ({
      client: client(component),
      clock,
      log: own,
    })
    const nodes = base('nodeLifecycleController')
    const evictions = base('taintEvictionController')
    const scheduling = base('scheduler')
    const deployments = base('deploymentController')
    const jobs = base('jobController')
    const statefulSets = base('statefulSetController')
    const daemonSets = base('daemonSetController')
    const cronJobs = base('cronJobController')
    const volumes = base('volumeController')
    const replicaSets = base('replicaSetController')
    const replicationControllers = base('replicationController')
    this.#all = [
      new NamespaceController({
        ...base('namespaceController'),
        emptyElsewhere: namespace => aggregator.emptyNamespace(cluster, namespace),
      }),
      new NamespaceDefaultsController({ ...base('namespaceDefaultsController'), authority }),
      new NodeLifecycleController({
        ...nodes,
        events: new EventRecorder(nodes.client, 'node-controller', clock, own),
      }),
      new TaintEvictionController({
        ...evictions,
        events: new EventRecorder(evictions.client, 'taint-eviction-controller', clock, own),
      }),
      new CustomDefinitionController(base('customDefinitionController')),
      new ApiServiceController({
        ...base('apiServiceController'),
        probe: service => aggregator.probe(cluster, service),
      }),
      new DisruptionController(base('disruptionController')),
      new CertificateController({
        ...base('certificateController'),
        sign: (request, options) => clients.sign(cluster.id, request, options),
        mayHave: async (identity, kind) => await mayHaveCertificate(authorizer, cluster, identity, kind),
      }),
      new RoleAggregator(base('roleAggregator')),
      new EventController(base('eventsController')),
      new EndpointSliceController(base('endpointSliceController')),
      new LegacyEndpointsController(base('endpointsController')),
      new EndpointMirrorController(base('endpointMirrorController')),
      new PodCollector(base('podCollector')),
      new QuotaController(base('quotaController')),
      new GarbageCollector(base('garbageCollector')),
      new DeploymentController({
        ...deployments,
        events: new EventRecorder(deployments.client, 'deployment-controller', clock, own),
      }),
      new JobController({
        ...jobs,
        events: new EventRecorder(jobs.client, 'job-controller', clock, own),
      }),
      new StatefulSetController({
        ...statefulSets,
        events: new EventRecorder(statefulSets.client, 'statefulset-controller', clock, own),
      }),
      new DaemonSetController({
        ...daemonSets,
        events: new EventRecorder(daemonSets.client, 'daemonset-controller', clock, own),
      }),
      new VolumeController({
        ...volumes,
        events: new EventRecorder(volumes.client, 'persistentvolume-controller', clock, own),
      }),
      new CronJobController({
        ...cronJobs,
        events: new EventRecorder(cronJobs.client, 'cronjob-controller', clock, own),
      }),
      new ReplicaSetController({
        ...replicationControllers,
        kind: REPLICATION_CONTROLLER_KIND,
        events: new EventRecorder(replicationControllers.client, 'replication-controller', clock, own),
      }),
      new ReplicaSetController({
        ...replicaSets,
        kind: REPLICA_SET_KIND,
        events: new EventRecorder(replicaSets.client, 'replicaset-controller', clock, own),
      }),
      new Scheduler({
        ...scheduling,
        events: new EventRecorder(scheduling.client, 'default-scheduler', clock, own),
      }),
    ]
  }

  async start(): Promise<void> {
    for (const worker of this.#all) await worker.start()
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map(worker => worker.stop()))
  }
}
