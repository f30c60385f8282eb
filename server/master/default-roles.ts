/**
 * The roles that every cluster has for people and their tools (Kubernetes "Default roles and role bindings"), as they
 * are in a cluster of 1.32.
 */
import { CLIENT_AUTHORITY } from '../../protocol/index.ts'
import type { LabelSelector, PolicyRule, Role, RoleBinding } from './apiserver/index.ts'

const GROUP = 'rbac.authorization.k8s.io'
const API_VERSION = `${GROUP}/v1`
const READ = ['get', 'list', 'watch']
const CHANGE = ['create', 'delete', 'deletecollection', 'patch', 'update']
const METADATA = {
  labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' },
  annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
}

function rule(verbs: readonly string[], group: string, resources: readonly string[]): PolicyRule {
  return { apiGroups: [group], resources: [...resources], verbs: [...verbs] }
}

function paths(...nonResourceURLs: string[]): PolicyRule {
  return { nonResourceURLs, verbs: ['get'] }
}

/** Each name with its subresource beside it. */
function withParts(part: string, ...names: string[]): string[] {
  return names.flatMap(name => [name, `${name}/${part}`])
}

const SCALED = ['deployments', 'replicasets', 'statefulsets']

const VIEW_RULES: readonly PolicyRule[] = [
  rule(READ, '', [
    'configmaps',
    'endpoints',
    ...withParts('status', 'persistentvolumeclaims'),
    'pods',
    ...withParts('scale', 'replicationcontrollers'),
    'serviceaccounts',
    ...withParts('status', 'services'),
  ]),
  rule(READ, '', [
    'bindings',
    'events',
    'limitranges',
    'namespaces/status',
    'pods/log',
    'pods/status',
    'replicationcontrollers/status',
    ...withParts('status', 'resourcequotas'),
  ]),
  rule(READ, '', ['namespaces']),
  rule(READ, 'discovery.k8s.io', ['endpointslices']),
  rule(READ, 'apps', [
    'controllerrevisions',
    ...withParts('status', 'daemonsets', ...SCALED),
    ...SCALED.map(name => `${name}/scale`),
  ]),
  rule(READ, 'autoscaling', withParts('status', 'horizontalpodautoscalers')),
  rule(READ, 'batch', withParts('status', 'cronjobs', 'jobs')),
  rule(READ, 'policy', withParts('status', 'poddisruptionbudgets')),
  rule(READ, 'networking.k8s.io', [...withParts('status', 'ingresses'), 'networkpolicies']),
]

const REACHED = ['pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy']

const EDIT_RULES: readonly PolicyRule[] = [
  rule(READ, '', [...REACHED, 'secrets', 'services/proxy']),
  rule(['impersonate'], '', ['serviceaccounts']),
  rule(CHANGE, '', ['pods', ...REACHED]),
  rule(['create'], '', ['pods/eviction']),
  rule(CHANGE, '', [
    'configmaps',
    'endpoints',
    'events',
    'persistentvolumeclaims',
    ...withParts('scale', 'replicationcontrollers'),
    'secrets',
    'serviceaccounts',
    'services',
    'services/proxy',
  ]),
  rule(['create'], '', ['serviceaccounts/token']),
  rule(CHANGE, 'apps', ['daemonsets', 'deployments/rollback', ...withParts('scale', ...SCALED)]),
  rule(CHANGE, 'autoscaling', ['horizontalpodautoscalers']),
  rule(CHANGE, 'batch', ['cronjobs', 'jobs']),
  rule(CHANGE, 'policy', ['poddisruptionbudgets']),
  rule(CHANGE, 'networking.k8s.io', ['ingresses', 'networkpolicies']),
  rule([...CHANGE, ...READ], 'coordination.k8s.io', ['leases']),
]

const ADMIN_RULES: readonly PolicyRule[] = [
  rule(['create'], 'authorization.k8s.io', ['localsubjectaccessreviews']),
  rule([...CHANGE, ...READ], GROUP, ['rolebindings', 'roles']),
]

interface RoleOptions {
  /** The role that this one is a part of. */
  readonly partOf?: string
  /** The role gathers what is labelled as a part of it. */
  readonly gathers?: true
}

function aggregationLabel(name: string): string {
  return `${GROUP}/aggregate-to-${name}`
}

function role(name: string, rules: readonly PolicyRule[], { partOf, gathers }: RoleOptions = {}): Role {
  const selector: LabelSelector = { matchLabels: { [aggregationLabel(name)]: 'true' } }
  return {
    apiVersion: API_VERSION,
    kind: 'ClusterRole',
    metadata: {
      name,
      ...METADATA,
      labels: { ...METADATA.labels, ...(partOf === undefined ? {} : { [aggregationLabel(partOf)]: 'true' }) },
    },
    ...(gathers === true ? { aggregationRule: { clusterRoleSelectors: [selector] } } : {}),
    rules: [...rules],
  }
}

const HEALTH = ['/healthz', '/livez', '/readyz']
const VERSION = ['/version', '/version/']

export const DEFAULT_ROLES: readonly Role[] = [
  role('cluster-admin', [
    { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
    { nonResourceURLs: ['*'], verbs: ['*'] },
  ]),
  role('admin', [...ADMIN_RULES, ...EDIT_RULES, ...VIEW_RULES], { gathers: true }),
  role('edit', [...EDIT_RULES, ...VIEW_RULES], { gathers: true, partOf: 'admin' }),
  role('view', VIEW_RULES, { gathers: true, partOf: 'edit' }),
  role('system:aggregate-to-admin', ADMIN_RULES, { partOf: 'admin' }),
  role('system:aggregate-to-edit', EDIT_RULES, { partOf: 'edit' }),
  role('system:aggregate-to-view', VIEW_RULES, { partOf: 'view' }),
  role('system:basic-user', [
    rule(['create'], 'authorization.k8s.io', ['selfsubjectaccessreviews', 'selfsubjectrulesreviews']),
    rule(['create'], 'authentication.k8s.io', ['selfsubjectreviews']),
  ]),
  role('system:discovery', [
    paths('/api', '/api/*', '/apis', '/apis/*', ...HEALTH, '/openapi', '/openapi/*', ...VERSION),
  ]),
  // Tokens are checked by others with what is published there.
  role('system:service-account-issuer-discovery', [
    paths('/.well-known/openid-configuration', '/openid/v1/jwks'),
  ]),
  // Servers that serve a part of the API ask this one about tokens and rights.
  role('system:auth-delegator', [
    rule(['create'], 'authentication.k8s.io', ['tokenreviews']),
    rule(['create'], 'authorization.k8s.io', ['subjectaccessreviews']),
  ]),
  role('system:node-bootstrapper', [
    rule(['create', 'get', 'list', 'watch'], 'certificates.k8s.io', ['certificatesigningrequests']),
  ]),
  ...(['nodeclient', 'selfnodeclient'] as const).map(kind =>
    role(`system:certificates.k8s.io:certificatesigningrequests:${kind}`, [
      rule(['create'], 'certificates.k8s.io', [`certificatesigningrequests/${kind}`]),
    ]),
  ),
  role('system:public-info-viewer', [paths(...HEALTH, ...VERSION)]),
  role('system:monitoring', [
    paths(...HEALTH.flatMap(path => [path, `${path}/*`]), '/metrics', '/metrics/slis'),
  ]),
]

/** What servers that serve a part of the API read in `kube-system`: whom to believe who asks. */
export const EXTENSION_READER: Role = {
  apiVersion: API_VERSION,
  kind: 'Role',
  metadata: { name: `${CLIENT_AUTHORITY.name}-reader`, namespace: CLIENT_AUTHORITY.namespace, ...METADATA },
  rules: [{ ...rule(READ, '', ['configmaps']), resourceNames: [CLIENT_AUTHORITY.name] }],
}

function binding(role: string, ...groups: string[]): RoleBinding {
  return bindingNamed(role, role, ...groups)
}

function bindingNamed(name: string, role: string, ...groups: string[]): RoleBinding {
  return {
    apiVersion: API_VERSION,
    kind: 'ClusterRoleBinding',
    metadata: { name, ...METADATA },
    roleRef: { apiGroup: GROUP, kind: 'ClusterRole', name: role },
    subjects: groups.map(group => ({ apiGroup: GROUP, kind: 'Group', name: group })),
  }
}

export const DEFAULT_ROLE_BINDINGS: readonly RoleBinding[] = [
  binding('cluster-admin', 'system:masters'),
  binding('system:basic-user', 'system:authenticated'),
  binding('system:discovery', 'system:authenticated'),
  // Whoever has a bootstrap token brings a node, as with clusters of kubeadm.
  binding('system:node-bootstrapper', 'system:bootstrappers'),
  bindingNamed(
    'system:node-autoapprove-bootstrap',
    'system:certificates.k8s.io:certificatesigningrequests:nodeclient',
    'system:bootstrappers',
  ),
  binding('system:monitoring', 'system:monitoring'),
  binding('system:service-account-issuer-discovery', 'system:serviceaccounts'),
  binding('system:public-info-viewer', 'system:authenticated', 'system:unauthenticated'),
]
