/** Rights by group, as data. */
import { ALLOWED, type Authorizer, NO_OPINION, type Verb } from './attributes.ts'
import { MASTERS_GROUP } from './identity.ts'

interface Rule {
  /** `*` is every verb. */
  readonly verbs: readonly (Verb | '*')[]
  /** `group/resource` or `group/resource/subresource`; `*` is everything. The core group is empty. */
  readonly resources: readonly string[]
  readonly namespace?: string
}

const READ: readonly Verb[] = ['get', 'list', 'watch']
/** Kinds whose pods disruption budgets count. */
const REPLICATED = ['/replicationcontrollers', 'apps/deployments', 'apps/replicasets', 'apps/statefulsets']
const RECORD_EVENTS: Rule = { verbs: ['create', 'patch'], resources: ['/events'] }

/** Groups of the program's own parts. Each has what it needs and no more. */
export const COMPONENT_GROUPS = {
  /** Makes pods for services. */
  netes: 'drover:netes',
  scheduler: 'drover:scheduler',
  namespaceController: 'drover:controller:namespace',
  namespaceDefaultsController: 'drover:controller:namespacedefaults',
  nodeLifecycleController: 'drover:controller:nodelifecycle',
  taintEvictionController: 'drover:controller:tainteviction',
  eventsController: 'drover:controller:events',
  endpointSliceController: 'drover:controller:endpointslice',
  deploymentController: 'drover:controller:deployment',
  replicaSetController: 'drover:controller:replicaset',
  replicationController: 'drover:controller:replication',
  statefulSetController: 'drover:controller:statefulset',
  daemonSetController: 'drover:controller:daemonset',
  cronJobController: 'drover:controller:cronjob',
  disruptionController: 'drover:controller:disruption',
  podCollector: 'drover:controller:podcollector',
  volumeController: 'drover:controller:volume',
  quotaController: 'drover:controller:quota',
  certificateController: 'drover:controller:certificate',
  roleAggregator: 'drover:controller:roleaggregation',
  endpointsController: 'drover:controller:endpoints',
  endpointMirrorController: 'drover:controller:endpointslicemirroring',
  jobController: 'drover:controller:job',
  garbageCollector: 'drover:controller:garbagecollector',
  customDefinitionController: 'drover:controller:customdefinition',
  apiServiceController: 'drover:controller:apiservice',
  /** Makes the objects that every cluster has. */
  bootstrap: 'drover:bootstrap',
} as const

const RULES = new Map<string, readonly Rule[]>([
  [MASTERS_GROUP, [{ verbs: ['*'], resources: ['*'] }]],
  [
    COMPONENT_GROUPS.netes,
    [
      {
        verbs: ['*'],
        resources: [
          '/namespaces',
          '/pods',
          '/pods/status',
          '/pods/log',
          '/pods/eviction',
          '/pods/exec',
          '/pods/attach',
          '/pods/portforward',
        ],
      },
      // A host that is removed takes its node with it.
      { verbs: [...READ, 'delete'], resources: ['/nodes'] },
    ],
  ],
  [
    COMPONENT_GROUPS.scheduler,
    [
      {
        verbs: READ,
        resources: [
          '/pods',
          '/nodes',
          '/namespaces',
          '/persistentvolumes',
          '/persistentvolumeclaims',
          'storage.k8s.io/storageclasses',
          'policy/poddisruptionbudgets',
        ],
      },
      // Which node a volume is to be made for.
      { verbs: ['patch'], resources: ['/persistentvolumeclaims'] },
      // Less important pods go where a more important one needs their room.
      { verbs: ['delete'], resources: ['/pods'] },
      { verbs: ['create'], resources: ['/pods/binding'] },
      { verbs: ['patch'], resources: ['/pods/status'] },
      RECORD_EVENTS,
    ],
  ],
  [
    COMPONENT_GROUPS.namespaceController,
    [
      { verbs: READ, resources: ['*'] },
      { verbs: ['delete', 'deletecollection'], resources: ['*'] },
      { verbs: ['update'], resources: ['/namespaces/finalize'] },
      { verbs: ['patch'], resources: ['/namespaces/status'] },
    ],
  ],
  [
    COMPONENT_GROUPS.namespaceDefaultsController,
    [
      { verbs: READ, resources: ['/namespaces', '/serviceaccounts', '/configmaps'] },
      { verbs: ['create'], resources: ['/serviceaccounts', '/configmaps'] },
      { verbs: ['patch'], resources: ['/configmaps'] },
    ],
  ],
  [
    COMPONENT_GROUPS.nodeLifecycleController,
    [
      { verbs: READ, resources: ['/nodes'] },
      { verbs: READ, resources: ['coordination.k8s.io/leases'], namespace: 'kube-node-lease' },
      { verbs: ['patch'], resources: ['/nodes', '/nodes/status'] },
      RECORD_EVENTS,
    ],
  ],
  [
    COMPONENT_GROUPS.taintEvictionController,
    [
      { verbs: READ, resources: ['/nodes', '/pods'] },
      { verbs: ['delete'], resources: ['/pods'] },
      { verbs: ['patch'], resources: ['/pods/status'] },
      RECORD_EVENTS,
    ],
  ],
  [
    COMPONENT_GROUPS.eventsController,
    [
      { verbs: READ, resources: ['/events'] },
      { verbs: ['delete'], resources: ['/events'] },
    ],
  ],
  [
    COMPONENT_GROUPS.endpointSliceController,
    [
      { verbs: READ, resources: ['/services', '/pods', '/nodes'] },
      { verbs: [...READ, 'create', 'update', 'delete'], resources: ['discovery.k8s.io/endpointslices'] },
    ],
  ],
  [
    COMPONENT_GROUPS.deploymentController,
    [
      { verbs: [...READ, 'patch'], resources: ['apps/deployments'] },
      { verbs: ['patch'], resources: ['apps/deployments/status'] },
      { verbs: [...READ, 'create', 'patch', 'delete'], resources: ['apps/replicasets'] },
      RECORD_EVENTS,
    ],
  ],
  [
    COMPONENT_GROUPS.replicaSetController,
    [
      { verbs: READ, resources: ['apps/replicasets'] },
      { verbs: ['patch'], resources: ['apps/replicasets/status'] },
      { verbs: [...READ, 'create', 'patch', 'delete'], resources: ['/pods'] },
      RECORD_EVENTS,
    ],
  ],
  [
    COMPONENT_GROUPS.replicationController,
    [
      { verbs: READ, resources: ['/replicationcontrollers'] },
      { verbs: ['patch'], resources: ['/replicationcontrollers/status'] },
      { verbs: [...READ, 'create', 'patch', 'delete'], resources: ['/pods'] },
      RECORD_EVENTS,
    ],
  ],
  [
    COMPONENT_GROUPS.statefulSetController,
    [
      { verbs: READ, resources: ['apps/statefulsets'] },
      { verbs: ['patch'], resources: ['apps/statefulsets/status'] },
      { verbs: [...READ, 'create', 'patch', 'delete'], resources: ['/pods', 'apps/controllerrevisions'] },
      { verbs: [...READ, 'create', 'patch'], resources: ['/persistentvolumeclaims'] },
      RECORD_EVENTS,
    ],
  ],
  [
    COMPONENT_GROUPS.daemonSetController,
    [
      { verbs: READ, resources: ['apps/daemonsets', '/nodes'] },
      { verbs: ['patch'], resources: ['apps/daemonsets/status'] },
      { verbs: [...READ, 'create', 'patch', 'delete'], resources: ['/pods', 'apps/controllerrevisions'] },
      RECORD_EVENTS,
    ],
  ],
  [
    COMPONENT_GROUPS.cronJobController,
    [
      { verbs: READ, resources: ['batch/cronjobs'] },
      { verbs: ['patch'], resources: ['batch/cronjobs/status'] },
      { verbs: [...READ, 'create', 'delete'], resources: ['batch/jobs'] },
      RECORD_EVENTS,
    ],
  ],
  [
    COMPONENT_GROUPS.disruptionController,
    [
      { verbs: READ, resources: ['policy/poddisruptionbudgets', '/pods', ...REPLICATED] },
      { verbs: ['patch'], resources: ['policy/poddisruptionbudgets/status'] },
    ],
  ],
  [
    COMPONENT_GROUPS.podCollector,
    [
      { verbs: READ, resources: ['/nodes'] },
      { verbs: [...READ, 'delete'], resources: ['/pods'] },
      { verbs: ['patch'], resources: ['/pods/status'] },
    ],
  ],
  [
    COMPONENT_GROUPS.volumeController,
    [
      { verbs: READ, resources: ['/pods', 'storage.k8s.io/storageclasses'] },
      { verbs: [...READ, 'patch'], resources: ['/persistentvolumes', '/persistentvolumeclaims'] },
      { verbs: ['create'], resources: ['/persistentvolumes'] },
      { verbs: ['patch'], resources: ['/persistentvolumes/status', '/persistentvolumeclaims/status'] },
      RECORD_EVENTS,
    ],
  ],
  [
    COMPONENT_GROUPS.quotaController,
    [
      { verbs: READ, resources: ['*'] },
      { verbs: ['patch'], resources: ['/resourcequotas/status'] },
    ],
  ],
  [
    COMPONENT_GROUPS.certificateController,
    [
      { verbs: [...READ, 'delete'], resources: ['certificates.k8s.io/certificatesigningrequests'] },
      // Whether a kubelet's addresses are its own.
      { verbs: READ, resources: ['/nodes'] },
      {
        verbs: ['patch'],
        resources: [
          'certificates.k8s.io/certificatesigningrequests/approval',
          'certificates.k8s.io/certificatesigningrequests/status',
        ],
      },
    ],
  ],
  [
    COMPONENT_GROUPS.roleAggregator,
    [{ verbs: [...READ, 'patch'], resources: ['rbac.authorization.k8s.io/clusterroles'] }],
  ],
  [
    COMPONENT_GROUPS.endpointsController,
    [
      { verbs: READ, resources: ['/services', 'discovery.k8s.io/endpointslices'] },
      { verbs: [...READ, 'create', 'update', 'delete'], resources: ['/endpoints'] },
    ],
  ],
  [
    COMPONENT_GROUPS.endpointMirrorController,
    [
      { verbs: READ, resources: ['/services', '/endpoints'] },
      { verbs: [...READ, 'create', 'update', 'delete'], resources: ['discovery.k8s.io/endpointslices'] },
    ],
  ],
  [
    COMPONENT_GROUPS.jobController,
    [
      { verbs: [...READ, 'delete'], resources: ['batch/jobs'] },
      { verbs: ['patch'], resources: ['batch/jobs/status'] },
      { verbs: [...READ, 'create', 'patch', 'delete'], resources: ['/pods'] },
      RECORD_EVENTS,
    ],
  ],
  [
    COMPONENT_GROUPS.customDefinitionController,
    [
      { verbs: [...READ, 'patch'], resources: ['apiextensions.k8s.io/customresourcedefinitions'] },
      { verbs: ['patch'], resources: ['apiextensions.k8s.io/customresourcedefinitions/status'] },
      // The objects of whatever kinds are defined.
      { verbs: ['list', 'watch', 'deletecollection'], resources: ['*'] },
    ],
  ],
  [
    COMPONENT_GROUPS.apiServiceController,
    [
      {
        verbs: [...READ, 'create', 'delete'],
        resources: ['apiregistration.k8s.io/apiservices'],
      },
      { verbs: ['patch'], resources: ['apiregistration.k8s.io/apiservices/status'] },
      {
        verbs: READ,
        resources: [
          'apiextensions.k8s.io/customresourcedefinitions',
          '/services',
          'discovery.k8s.io/endpointslices',
        ],
      },
    ],
  ],
  [COMPONENT_GROUPS.garbageCollector, [{ verbs: [...READ, 'patch', 'delete'], resources: ['*'] }]],
  [
    COMPONENT_GROUPS.bootstrap,
    [
      {
        verbs: ['get', 'create'],
        resources: [
          '/namespaces',
          '/services',
          '/serviceaccounts',
          '/configmaps',
          'rbac.authorization.k8s.io/clusterroles',
          'rbac.authorization.k8s.io/clusterrolebindings',
          'scheduling.k8s.io/priorityclasses',
          'storage.k8s.io/storageclasses',
          'rbac.authorization.k8s.io/roles',
          'apiregistration.k8s.io/apiservices',
        ],
      },
      // What clusters of before do not publish yet.
      { verbs: ['patch'], resources: ['/configmaps'], namespace: 'kube-system' },
      {
        verbs: ['get', 'create', 'update'],
        resources: ['discovery.k8s.io/endpointslices'],
        namespace: 'default',
      },
    ],
  ],
])

function covers(rule: Rule, verb: string, resource: string, namespace: string): boolean {
  return (
    (rule.verbs.includes('*') || (rule.verbs as readonly string[]).includes(verb)) &&
    (rule.resources.includes('*') || rule.resources.includes(resource)) &&
    (rule.namespace === undefined || rule.namespace === namespace)
  )
}

/** Decides by the groups of the closed table above. */
export const groupRules: Authorizer = {
  authorize({ identity, verb, group, resource, subresource, namespace }) {
    const name = `${group}/${resource}${subresource === '' ? '' : `/${subresource}`}`
    const allowed = identity.groups.some(member =>
      RULES.get(member)?.some(rule => covers(rule, verb, name, namespace)),
    )
    return allowed ? ALLOWED : NO_OPINION
  },
}
