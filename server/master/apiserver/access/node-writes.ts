/** What the agent or kubelet of a host may write, where authorization sees names alone (Kubernetes' NodeRestriction). */
import { isDeepStrictEqual } from 'node:util'
import { isMirror, type PodSpec, podReferences } from '../../../../protocol/kubernetes/index.ts'
import type { Frozen } from '../json.ts'
import type { KubernetesObject, Node, Pod } from '../objects.ts'
import { forbidden } from '../status.ts'
import type { AccessView } from './attributes.ts'
import { type Identity, nodeNameOf } from './identity.ts'

interface NodeWrite {
  readonly resource: { readonly group: string; readonly resource: string }
  /** What is there now; undefined for a new object. */
  readonly current: Frozen<KubernetesObject> | undefined
  /** What shall be there; undefined for a deletion. */
  readonly next: Frozen<KubernetesObject> | undefined
  readonly view: AccessView
}

/** Labels of Kubernetes that hosts know best themselves. */
const OWN_LABELS = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/arch',
  'kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
])
const OWN_PREFIXES = new Set(['kubelet.kubernetes.io', 'node.kubernetes.io'])

/** Whether a label is for administrators: pods may be sent by it to hosts that are trusted more than others. */
function isRestricted(label: string): boolean {
  const [prefix = '', name] = label.split('/')
  if (name === undefined || OWN_LABELS.has(label) || OWN_PREFIXES.has(prefix)) return false
  return /(^|\.)(kubernetes|k8s)\.io$/.test(prefix)
}

function changedLabels(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].filter(name => before[name] !== after[name])
}

/** Why a node may not be written like this; undefined when it may. */
function nodeObjection(current: Frozen<Node> | undefined, next: Frozen<Node>): string | undefined {
  const wrong = changedLabels(current?.metadata.labels ?? {}, next.metadata.labels ?? {}).filter(isRestricted)
  if (wrong.length > 0) return `is not allowed to set or change labels: ${wrong.toSorted().join(', ')}`
  if ((next.metadata.ownerReferences ?? []).length > 0 && current === undefined)
    return 'is not allowed to set owner references'
  // It brings the taints that it was told to bring; afterwards they are others' affair.
  const taints = (node: Frozen<Node>) => node.spec.taints ?? []
  if (current !== undefined && !isDeepStrictEqual(taints(current), taints(next)))
    return 'is not allowed to modify taints'
  return undefined
}

/** Why a node may not make a pod: only the mirror of a static pod, which has nothing of the cluster's; undefined when it may. */
function mirrorObjection(
  node: string,
  { metadata, spec }: Frozen<Pod>,
  view: AccessView,
): string | undefined {
  if (!isMirror({ metadata })) return 'can only create mirror pods'
  if (spec.nodeName !== node) return 'can only create pods with spec.nodeName set to itself'
  const [owner, ...others] = metadata.ownerReferences ?? []
  const isItself =
    owner?.apiVersion === 'v1' && owner.kind === 'Node' && owner.name === node && owner.controller === true
  if (!isItself || others.length > 0 || owner.blockOwnerDeletion === true)
    return 'can only create pods with a single owner reference, to itself as their controller'
  if (uidOf(view, node) !== owner.uid) return 'can only create pods whose owner has its UID'
  const account = spec.serviceAccountName ?? spec.serviceAccount ?? ''
  const token = JSON.stringify(spec.volumes ?? []).includes('"serviceAccountToken"')
  if (account !== '' || token) return 'can not create pods that reference a service account'
  const [reference] = podReferences(spec as unknown as PodSpec)
  return reference && `can not create pods that reference ${reference.kind}`
}

function uidOf(view: AccessView, node: string): string | undefined {
  const stored = view.find('nodes', '', node)
  return stored === undefined ? undefined : view.read(stored).metadata.uid
}

/**
 * Looks at what an agent writes, with the version that the write replaces, so nothing can slip in between.
 *
 * @throws `Forbidden`
 */
export function restrictNode(identity: Identity, { resource, current, next, view }: NodeWrite): void {
  const node = nodeNameOf(identity)
  if (node === undefined) return
  const name = (next ?? current)?.metadata.name ?? ''
  const refuse = (why: string) => forbidden(resource, name, `node "${node}" ${why}`)
  switch (resource.resource) {
    case 'nodes':
    case 'leases':
    case 'csinodes': {
      if (name !== node) throw refuse(`is not allowed to modify ${resource.resource} "${name}"`)
      if (resource.resource !== 'nodes' || next === undefined) break
      const objection = nodeObjection(current as Frozen<Node> | undefined, next as Frozen<Node>)
      if (objection !== undefined) throw refuse(objection)
      break
    }
    case 'pods': {
      const objection =
        current === undefined && next !== undefined && mirrorObjection(node, next as Frozen<Pod>, view)
      if (typeof objection === 'string') throw refuse(objection)
      if (current === undefined) break
      if ((current as Frozen<Pod>).spec.nodeName !== node)
        throw refuse('can only modify pods with spec.nodeName set to itself')
      // By its labels a pod is found by services and policies: they are its author's.
      if (
        next !== undefined &&
        changedLabels(current.metadata.labels ?? {}, next.metadata.labels ?? {}).length > 0
      )
        throw refuse('cannot update labels through pod status')
    }
  }
}
