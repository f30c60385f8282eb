/**
 * Which of the table's resources are served, with which subresources and strategies. To serve another kind, add a line
 * here, and a strategy in `../kinds` if Kubernetes treats it specially.
 */
import { definitionStrategy } from '../custom/index.ts'
import type { JsonObject } from '../json.ts'
import {
  apiServiceStrategy,
  autoscalerStrategy,
  certificateRequestStrategy,
  claimStrategy,
  clusterRoleBindingStrategy,
  clusterRoleStrategy,
  configMapStrategy,
  cronJobStrategy,
  daemonSetStrategy,
  deploymentStrategy,
  disruptionBudgetStrategy,
  endpointSliceStrategy,
  endpointsStrategy,
  eventStrategy,
  eventsFaceStrategy,
  fromEventsFace,
  fromFirstAutoscaler,
  ingressClassStrategy,
  ingressStrategy,
  ipAddressStrategy,
  jobStrategy,
  type KindStrategy,
  leaseStrategy,
  limitRangeStrategy,
  namespaceStrategy,
  networkPolicyStrategy,
  nodeStrategy,
  plain,
  podStrategy,
  priorityClassStrategy,
  quotaStrategy,
  replicaSetStrategy,
  replicationControllerStrategy,
  roleBindingStrategy,
  roleStrategy,
  secretStrategy,
  serviceAccountStrategy,
  serviceStrategy,
  statefulSetStrategy,
  storageClassStrategy,
  toEventsFace,
  toFirstAutoscaler,
  volumeStrategy,
} from '../kinds/index.ts'
import { webhookConfigurationStrategy } from '../webhooks/index.ts'

/** Another group's view of objects that are kept in a different form. */
export interface Face {
  /** Group, version and plural name of the resource whose form is kept. */
  readonly kept: string
  toKept(object: JsonObject): JsonObject
  fromKept(object: JsonObject): JsonObject
}

export interface EnabledResource {
  /** `group/version/plural`; the core group is empty. */
  readonly path: string
  readonly strategy: KindStrategy
  readonly subresources?: readonly string[]
  readonly face?: Face
  /** A question that is answered and not kept. */
  readonly review?: true
  /** What those who use it are told. */
  readonly warning?: string
}

const STATUS = ['status']
const SCALED = ['scale', 'status']

/** Who relies on what is not done has to know. */
const NOT_ENFORCED =
  'this server keeps objects of this kind, but does not act on them: they refuse and change nothing'

const POLICIES: readonly (readonly [
  name: string,
  strategy: KindStrategy,
  subresources: readonly string[],
])[] = [
  ['mutatingadmissionpolicies', plain.admissionPolicyStrategy, []],
  ['mutatingadmissionpolicybindings', plain.admissionPolicyBindingStrategy, []],
  ['validatingadmissionpolicies', plain.admissionPolicyStrategy, STATUS],
  ['validatingadmissionpolicybindings', plain.admissionPolicyBindingStrategy, []],
]

const REVIEWS = [
  'authentication.k8s.io/v1/selfsubjectreviews',
  'authentication.k8s.io/v1/tokenreviews',
  'authorization.k8s.io/v1/localsubjectaccessreviews',
  'authorization.k8s.io/v1/selfsubjectaccessreviews',
  'authorization.k8s.io/v1/selfsubjectrulesreviews',
  'authorization.k8s.io/v1/subjectaccessreviews',
]

export const ENABLED: readonly EnabledResource[] = [
  ...REVIEWS.map(path => ({ path, strategy: plain.plainStrategy, review: true as const })),
  { path: '/v1/namespaces', strategy: namespaceStrategy, subresources: ['status', 'finalize'] },
  { path: '/v1/nodes', strategy: nodeStrategy, subresources: ['status', 'proxy'] },
  {
    path: '/v1/pods',
    strategy: podStrategy,
    subresources: [
      ...['status', 'ephemeralcontainers', 'resize', 'binding', 'eviction'],
      ...['log', 'exec', 'attach', 'portforward', 'proxy'],
    ],
  },
  { path: '/v1/services', strategy: serviceStrategy, subresources: ['status', 'proxy'] },
  { path: '/v1/configmaps', strategy: configMapStrategy },
  { path: '/v1/secrets', strategy: secretStrategy },
  { path: '/v1/serviceaccounts', strategy: serviceAccountStrategy, subresources: ['token'] },
  { path: '/v1/events', strategy: eventStrategy },
  {
    path: 'events.k8s.io/v1/events',
    strategy: eventsFaceStrategy,
    face: { kept: '/v1/events', toKept: fromEventsFace, fromKept: toEventsFace },
  },
  { path: 'coordination.k8s.io/v1/leases', strategy: leaseStrategy },
  { path: 'discovery.k8s.io/v1/endpointslices', strategy: endpointSliceStrategy },
  { path: '/v1/endpoints', strategy: endpointsStrategy },
  { path: '/v1/limitranges', strategy: limitRangeStrategy },
  { path: '/v1/persistentvolumeclaims', strategy: claimStrategy, subresources: STATUS },
  { path: '/v1/persistentvolumes', strategy: volumeStrategy, subresources: STATUS },
  { path: '/v1/podtemplates', strategy: plain.plainStrategy },
  { path: '/v1/replicationcontrollers', strategy: replicationControllerStrategy, subresources: SCALED },
  { path: '/v1/resourcequotas', strategy: quotaStrategy, subresources: STATUS },
  {
    path: 'apiextensions.k8s.io/v1/customresourcedefinitions',
    strategy: definitionStrategy,
    subresources: STATUS,
  },
  { path: 'apiregistration.k8s.io/v1/apiservices', strategy: apiServiceStrategy, subresources: STATUS },
  { path: 'apps/v1/controllerrevisions', strategy: plain.controllerRevisionStrategy },
  { path: 'apps/v1/daemonsets', strategy: daemonSetStrategy, subresources: STATUS },
  { path: 'apps/v1/deployments', strategy: deploymentStrategy, subresources: SCALED },
  { path: 'apps/v1/replicasets', strategy: replicaSetStrategy, subresources: SCALED },
  { path: 'apps/v1/statefulsets', strategy: statefulSetStrategy, subresources: SCALED },
  { path: 'autoscaling/v2/horizontalpodautoscalers', strategy: autoscalerStrategy, subresources: STATUS },
  {
    path: 'autoscaling/v1/horizontalpodautoscalers',
    strategy: autoscalerStrategy,
    subresources: STATUS,
    face: {
      kept: 'autoscaling/v2/horizontalpodautoscalers',
      toKept: fromFirstAutoscaler,
      fromKept: toFirstAutoscaler,
    },
  },
  { path: 'batch/v1/cronjobs', strategy: cronJobStrategy, subresources: STATUS },
  { path: 'batch/v1/jobs', strategy: jobStrategy, subresources: STATUS },
  {
    path: 'certificates.k8s.io/v1/certificatesigningrequests',
    strategy: certificateRequestStrategy,
    subresources: ['approval', 'status'],
  },
  { path: 'networking.k8s.io/v1/ingressclasses', strategy: ingressClassStrategy },
  { path: 'networking.k8s.io/v1/ingresses', strategy: ingressStrategy, subresources: STATUS },
  { path: 'networking.k8s.io/v1/ipaddresses', strategy: ipAddressStrategy },
  { path: 'networking.k8s.io/v1/networkpolicies', strategy: networkPolicyStrategy },
  { path: 'networking.k8s.io/v1/servicecidrs', strategy: plain.serviceCidrStrategy, subresources: STATUS },
  { path: 'policy/v1/poddisruptionbudgets', strategy: disruptionBudgetStrategy, subresources: STATUS },
  { path: 'rbac.authorization.k8s.io/v1/clusterrolebindings', strategy: clusterRoleBindingStrategy },
  { path: 'rbac.authorization.k8s.io/v1/clusterroles', strategy: clusterRoleStrategy },
  { path: 'rbac.authorization.k8s.io/v1/rolebindings', strategy: roleBindingStrategy },
  { path: 'rbac.authorization.k8s.io/v1/roles', strategy: roleStrategy },
  { path: 'storage.k8s.io/v1/csidrivers', strategy: plain.csiDriverStrategy },
  { path: 'storage.k8s.io/v1/csinodes', strategy: plain.csiNodeStrategy },
  { path: 'storage.k8s.io/v1/csistoragecapacities', strategy: plain.csiCapacityStrategy },
  { path: 'storage.k8s.io/v1/storageclasses', strategy: storageClassStrategy },
  {
    path: 'storage.k8s.io/v1/volumeattachments',
    strategy: plain.volumeAttachmentStrategy,
    subresources: STATUS,
  },
  { path: 'storage.k8s.io/v1/volumeattributesclasses', strategy: plain.attributesClassStrategy },
  ...POLICIES.map(([name, strategy, subresources]) => ({
    path: `admissionregistration.k8s.io/v1/${name}`,
    strategy,
    subresources,
    warning: NOT_ENFORCED,
  })),
  {
    path: 'admissionregistration.k8s.io/v1/mutatingwebhookconfigurations',
    strategy: webhookConfigurationStrategy,
  },
  {
    path: 'admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
    strategy: webhookConfigurationStrategy,
  },
  { path: 'scheduling.k8s.io/v1/priorityclasses', strategy: priorityClassStrategy },
  { path: 'node.k8s.io/v1/runtimeclasses', strategy: plain.runtimeClassStrategy },
  { path: 'resource.k8s.io/v1/deviceclasses', strategy: plain.countedStrategy },
  { path: 'resource.k8s.io/v1/resourceclaims', strategy: plain.plainStrategy, subresources: STATUS },
  { path: 'resource.k8s.io/v1/resourceclaimtemplates', strategy: plain.plainStrategy },
  { path: 'resource.k8s.io/v1/resourceslices', strategy: plain.resourceSliceStrategy },
  {
    path: 'flowcontrol.apiserver.k8s.io/v1/flowschemas',
    strategy: plain.flowSchemaStrategy,
    subresources: STATUS,
  },
  {
    path: 'flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations',
    strategy: plain.priorityLevelStrategy,
    subresources: STATUS,
  },
]

/** Group and resource of kinds of which the answer to a delete shows what there was. */
export const SHOW_DELETED: ReadonlySet<string> = new Set([
  ...['persistentvolumeclaims', 'persistentvolumes', 'pods', 'podtemplates', 'resourcequotas'].map(
    name => `/${name}`,
  ),
  ...['serviceaccounts', 'services'].map(name => `/${name}`),
  ...['deviceclasses', 'resourceclaims', 'resourceclaimtemplates', 'resourceslices'].map(
    name => `resource.k8s.io/${name}`,
  ),
  ...['csidrivers', 'csinodes', 'storageclasses', 'volumeattachments', 'volumeattributesclasses'].map(
    name => `storage.k8s.io/${name}`,
  ),
])
