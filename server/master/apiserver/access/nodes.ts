/**
 * What the agent of a host may do: what a kubelet needs, for its own node and the pods bound to it
 * (Kubernetes "Using Node Authorization"). What is in its writes: `node-writes.ts`.
 */
import { CLIENT_AUTHORITY, HOST_VOLUME } from '../../../../protocol/index.ts'
import {
  type PersistentVolumeClaim as Claim,
  type PodSpec,
  podReferences,
} from '../../../../protocol/kubernetes/index.ts'
import type { StoredObject } from '../../../store/index.ts'
import type { Frozen } from '../json.ts'
import type { Pod } from '../objects.ts'
import {
  type AccessView,
  ALLOWED,
  type Attributes,
  type Authorizer,
  type Decision,
  NO_OPINION,
  type Verb,
} from './attributes.ts'
import { nodeNameOf } from './identity.ts'

const LEASE_NAMESPACE = 'kube-node-lease'

type NodeRule = (node: string, attributes: Attributes, view: AccessView) => Decision

function deny(reason: string): Decision {
  return { allowed: false, reason }
}

/** Allows `verbs` whatever the object. */
function verbs(...allowed: readonly Verb[]): NodeRule {
  return (_node, { verb }) => ((allowed as readonly string[]).includes(verb) ? ALLOWED : NO_OPINION)
}

function boundTo(node: string, { namespace, name }: Attributes, view: AccessView): boolean {
  const stored = view.find('pods', namespace, name)
  // An absent pod is nobody's secret: the answer will be that it does not exist.
  return stored === undefined || (view.read(stored) as Frozen<Pod>).spec.nodeName === node
}

/** Network policies are about pods of other nodes, too: who enforces them must know whom they name. */
function hasNetworkPolicies(view: AccessView): boolean {
  return view.list('networking.k8s.io/networkpolicies', undefined).length > 0
}

const pods: NodeRule = (node, attributes, view) => {
  switch (attributes.verb) {
    case 'create':
      // Mirrors of its static pods: what they are is in the body, and compared when they are written.
      return ALLOWED
    case 'list':
    case 'watch':
      return attributes.requiredField('spec.nodeName') === node || hasNetworkPolicies(view)
        ? ALLOWED
        : deny('can only list/watch pods with spec.nodeName field selector of its own node')
    case 'get':
    case 'delete':
      return boundTo(node, attributes, view) ? ALLOWED : deny('no relationship found between node and pod')
    default:
      return NO_OPINION
  }
}

const podStatus: NodeRule = (node, attributes, view) => {
  const { verb } = attributes
  if (verb !== 'patch' && verb !== 'update' && verb !== 'get') return NO_OPINION
  return boundTo(node, attributes, view) ? ALLOWED : deny('no relationship found between node and pod')
}

const ownNode: NodeRule = (node, { verb, name, requiredField }) => {
  switch (verb) {
    case 'create':
      // The name is in the body; admission compares it.
      return ALLOWED
    case 'get':
    case 'update':
    case 'patch':
      return name === node ? ALLOWED : deny(`node "${node}" is not allowed to touch another node`)
    case 'list':
    case 'watch':
      return requiredField('metadata.name') === node ? ALLOWED : deny('can only list/watch its own node')
    default:
      return NO_OPINION
  }
}

const ownLease: NodeRule = (node, { verb, namespace, name }) => {
  if (namespace !== LEASE_NAMESPACE || verb === 'list' || verb === 'watch') return NO_OPINION
  if (verb === 'deletecollection') return NO_OPINION
  // As for nodes, the name of a new lease is in the body.
  return verb === 'create' || name === node ? ALLOWED : deny('can only access the lease of its own node')
}

/** What drivers of storage are on the node: an object of its name. */
const ownDrivers: NodeRule = (node, { verb, name }) => {
  if (verb === 'create') return ALLOWED
  if (verb !== 'get' && verb !== 'update' && verb !== 'patch' && verb !== 'delete') return NO_OPINION
  return name === node ? ALLOWED : deny('can only access the CSINode of its own node')
}

/** Every namespace has it, every pod reads it, and it is no secret. */
const AUTHORITY = 'kube-root-ca.crt'

/** What a kubelet knows clients by. */
function isClientAuthority({
  namespace,
  name,
}: {
  readonly namespace: string
  readonly name: string
}): boolean {
  return namespace === CLIENT_AUTHORITY.namespace && name === CLIENT_AUTHORITY.name
}

/** Of the referring pods that were found: by cluster, then by node and object. Each is looked at again before it counts. */
const referring = new WeakMap<AccessView, Map<string, string>>()

/** Referring pods that are remembered of one cluster. */
const REMEMBERED = 20_000

/** Whether a pod that is bound to the node refers to an object. */
function isReferenced(
  node: string,
  kind: string,
  namespace: string,
  name: string,
  view: AccessView,
): boolean {
  const refers = (stored: StoredObject | undefined): boolean => {
    if (stored === undefined) return false
    const { spec } = view.read(stored) as Frozen<Pod>
    if (spec.nodeName !== node) return false
    const references = podReferences(spec as unknown as PodSpec)
    return references.some(reference => reference.kind === kind && reference.name === name)
  }
  const remembered = referring.get(view) ?? new Map<string, string>()
  referring.set(view, remembered)
  const key = JSON.stringify([node, kind, namespace, name])
  const before = remembered.get(key)
  if (before !== undefined && refers(view.find('pods', namespace, before))) return true
  // There may be very many pods: only those are parsed whose text has both names.
  const [nodeText, nameText] = [JSON.stringify(node), JSON.stringify(name)]
  const found = view
    .list('pods', namespace)
    .find(stored => stored.json.includes(nodeText) && stored.json.includes(nameText) && refers(stored))
  remembered.delete(key)
  if (found === undefined) return false
  if (remembered.size >= REMEMBERED) remembered.clear()
  remembered.set(key, found.key.name)
  return true
}

/** Those of which an agent follows single objects. */
const FOLLOWED: ReadonlySet<string> = new Set(['configmaps', 'secrets'])

/** One object by its name, when a pod that is bound to the node refers to it. */
const referenced: NodeRule = (node, { verb, namespace, name, resource, requiredField }, view) => {
  const follows = (verb === 'list' || verb === 'watch') && FOLLOWED.has(resource)
  if (verb !== 'get' && !follows) return NO_OPINION
  const wanted = verb === 'get' ? name : (requiredField('metadata.name') ?? '')
  if (wanted === '' || namespace === '') return deny('can only read individual resources of this type')
  if (resource === 'configmaps' && (wanted === AUTHORITY || isClientAuthority({ namespace, name: wanted })))
    return ALLOWED
  return isReferenced(node, resource, namespace, wanted, view)
    ? ALLOWED
    : deny(`no relationship found between node '${node}' and this object`)
}

/** Whether a volume is a directory of the node's host that its agent made for a claim. */
function isOnHost(node: string, name: string, view: AccessView): boolean {
  const stored = view.find('persistentvolumes', '', name)
  if (stored === undefined) return false
  const { labels, annotations } = view.read(stored).metadata
  return (
    labels?.[HOST_VOLUME.host] === node &&
    annotations?.[HOST_VOLUME.provisionedBy] === HOST_VOLUME.provisioner
  )
}

/** A volume that a claim of a pod is bound to; and those that its agent keeps and removes. */
const volumes: NodeRule = (node, { verb, name, requiredLabel }, view) => {
  if (verb === 'list' || verb === 'watch') {
    return requiredLabel?.(HOST_VOLUME.host) === node
      ? ALLOWED
      : deny('can only list/watch persistentvolumes that are directories of its own host')
  }
  if ((verb === 'get' || verb === 'delete') && isOnHost(node, name, view)) return ALLOWED
  if (verb !== 'get') return NO_OPINION
  const nameText = JSON.stringify(name)
  const claim = view
    .list('persistentvolumeclaims', undefined)
    .filter(({ json }) => json.includes(nameText))
    .map(stored => view.read(stored) as Frozen<Claim>)
    .find(({ spec }) => spec?.volumeName === name)
  const { namespace = '', name: claimName = '' } = claim?.metadata ?? {}
  return claim !== undefined && isReferenced(node, 'persistentvolumeclaims', namespace, claimName, view)
    ? ALLOWED
    : deny(`no relationship found between node '${node}' and this object`)
}

const RULES = new Map<string, NodeRule>([
  ['/pods', pods],
  ['/pods/status', podStatus],
  ['/nodes', ownNode],
  ['/nodes/status', ownNode],
  ['coordination.k8s.io/leases', ownLease],
  ['/events', verbs('create', 'patch', 'update')],
  ['events.k8s.io/events', verbs('create', 'patch', 'update')],
  ['/configmaps', referenced],
  ['/persistentvolumeclaims', referenced],
  ['/persistentvolumes', volumes],
  ['/namespaces', verbs('get', 'list', 'watch')],
  ['networking.k8s.io/networkpolicies', verbs('get', 'list', 'watch')],
  ['/services', verbs('get', 'list', 'watch')],
  ['discovery.k8s.io/endpointslices', verbs('get', 'list', 'watch')],
  ['/serviceaccounts', verbs('get', 'list', 'watch')],
  // Which pods' tokens is in the body; the operation compares it.
  ['/serviceaccounts/token', verbs('create')],
  ['/secrets', referenced],
  ['node.k8s.io/runtimeclasses', verbs('get', 'list', 'watch')],
  ['storage.k8s.io/csidrivers', verbs('get', 'list', 'watch')],
  ['storage.k8s.io/csinodes', ownDrivers],
  // Whom a kubelet lets in, and to what: it asks about others, and learns what they may.
  ['authentication.k8s.io/tokenreviews', verbs('create')],
  ['authorization.k8s.io/subjectaccessreviews', verbs('create')],
  ['certificates.k8s.io/certificatesigningrequests', verbs('create', 'get', 'list', 'watch')],
  // Its own next certificate: what is asked for is compared before it is approved.
  ['certificates.k8s.io/certificatesigningrequests/selfnodeclient', verbs('create')],
])

/** Decides about agents. */
export const nodeRules: Authorizer = {
  authorize(attributes, view) {
    const { identity, group, resource, subresource } = attributes
    const node = nodeNameOf(identity)
    if (node === undefined) return NO_OPINION
    const rule = RULES.get(`${group}/${resource}${subresource === '' ? '' : `/${subresource}`}`)
    return rule?.(node, attributes, view) ?? NO_OPINION
  },
}
