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
const RECORD_EVENTS: Rule = { verbs: ['create', 'patch'], resources: ['/events'] }

/** Groups of the program's own parts. Each has what it needs and no more. */
export const COMPONENT_GROUPS = {
  /** Makes pods for services. */
  netes: 'drover:netes',
  scheduler: 'drover:scheduler',
  namespaceController: 'drover:controller:namespace',
  namespaceDefaultsController: 'drover:controller:namespacedefaults',
  nodeLifecycleController: 'drover:controller:nodelifecycle',
  eventsController: 'drover:controller:events',
  endpointSliceController: 'drover:controller:endpointslice',
  deploymentController: 'drover:controller:deployment',
  replicaSetController: 'drover:controller:replicaset',
  jobController: 'drover:controller:job',
  garbageCollector: 'drover:controller:garbagecollector',
  customDefinitionController: 'drover:controller:customdefinition',
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
      { verbs: READ, resources: ['/pods', '/nodes'] },
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
    COMPONENT_GROUPS.eventsController,
    [
      { verbs: READ, resources: ['/events'] },
      { verbs: ['delete'], resources: ['/events'] },
    ],
  ],
  [
    COMPONENT_GROUPS.endpointSliceController,
    [
      { verbs: READ, resources: ['/services', '/pods'] },
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
        ],
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
