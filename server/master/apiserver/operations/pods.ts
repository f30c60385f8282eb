/** Binding pods to nodes. */
import type { Resource } from '../catalog/index.ts'
import { cloneJson, type Frozen, type JsonObject, type JsonValue } from '../json.ts'
import type { Binding, Pod } from '../objects.ts'
import { invalidObject, notSupported, required } from '../problems.ts'
import { formatTime, type ObjectSchema } from '../schema/index.ts'
import { conflict, pathNotFound } from '../status.ts'
import { admitBody } from './admission.ts'
import type { WriteContext } from './context.ts'
import { decodeKind } from './decode-body.ts'
import { modifyObject, type Outcome } from './modify.ts'

/** Decodes the body of a subresource that has a kind of its own. @throws `NotFound` when it has none */
export function decodeSubresource(context: WriteContext, name: string, body: JsonObject): void {
  const subresource = context.resource.subresources.get(name)
  const schema: ObjectSchema | undefined = subresource?.schema
  if (subresource === undefined || schema === undefined) throw pathNotFound()
  decodeKind(body, subresource.kind, schema, context)
}

function bind(resource: Resource, pod: Frozen<Pod>, binding: Binding, now: number): Pod {
  const { metadata, spec } = pod
  if (metadata.deletionTimestamp !== undefined) {
    throw conflict(
      resource,
      metadata.name,
      `pod ${metadata.name} is being deleted, cannot be assigned to a host`,
    )
  }
  if ((spec.nodeName ?? '') !== '') {
    throw conflict(
      resource,
      metadata.name,
      `pod ${metadata.name} is already assigned to node "${spec.nodeName}"`,
    )
  }
  if ((spec.schedulingGates ?? []).length > 0) {
    throw conflict(resource, metadata.name, `pod ${metadata.name} has non-empty .spec.schedulingGates`)
  }
  const bound = cloneJson(pod as unknown as JsonValue) as unknown as Pod
  bound.spec.nodeName = binding.target.name ?? ''
  const { annotations } = binding.metadata
  if (annotations !== undefined)
    bound.metadata.annotations = { ...bound.metadata.annotations, ...annotations }
  const others = (bound.status.conditions ?? []).filter(condition => condition.type !== 'PodScheduled')
  bound.status.conditions = [
    ...others,
    { type: 'PodScheduled', status: 'True', lastTransitionTime: formatTime(now) },
  ]
  return bound
}

/**
 * Binds a pod to the node that a Binding names.
 *
 * @throws `Conflict` when it is bound, gated or being deleted; `NotFound`, `Invalid`, `BadRequest`
 */
export async function bindPod(
  context: WriteContext,
  namespace: string,
  name: string,
  body: JsonObject,
): Promise<Outcome> {
  decodeSubresource(context, 'binding', body)
  const place = { operation: 'CREATE', subresource: 'binding', namespace, name } as const
  const binding = (await admitBody(context, place, body)) as unknown as Binding
  const { kind = '', name: node = '' } = binding.target
  const refuse = { group: '', kind: 'Binding' }
  if (kind !== '' && kind !== 'Node') {
    throw invalidObject(refuse, name, [notSupported('target.kind', kind, ['Node', '<empty>'])])
  }
  if (node === '') throw invalidObject(refuse, name, [required('target.name')])
  const { resource, cluster } = context
  return await modifyObject(context, namespace, name, pod => ({
    type: 'write',
    object: bind(resource, pod as Frozen<Pod>, binding, cluster.clock.now()),
  }))
}
