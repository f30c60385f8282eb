/** The scale subresource: the replicas of any scaled kind in one form (`autoscaling/v1` Scale). */
import type { StoredObject } from '../../../store/index.ts'
import { cloneJson, type Frozen, isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import type { ScaleAccess } from '../kinds/index.ts'
import type { KubernetesObject, Scale } from '../objects.ts'
import { applyJsonPatch, applyMergePatch } from '../patch/index.ts'
import { invalid, invalidObject } from '../problems.ts'
import { badRequest, pathNotFound } from '../status.ts'
import { bodyAdmission, type ChangeAdmission } from './admission.ts'
import { changeObject } from './change.ts'
import type { WriteContext } from './context.ts'
import { decodeKind } from './decode-body.ts'
import type { Next } from './modify.ts'
import { requireVersion } from './modify.ts'
import { trackFields } from './tracking.ts'
import type { PatchType } from './update.ts'

function accessOf({ resource }: Pick<WriteContext, 'resource'>): ScaleAccess {
  const { scale } = resource.strategy
  if (scale === undefined) throw pathNotFound()
  return scale
}

/** What the scale subresource shows of an object. */
export function scaleOf(context: Pick<WriteContext, 'resource'>, object: Frozen<KubernetesObject>): Scale {
  const { wanted, actual, selector } = accessOf(context).read(object)
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    },
    spec: { replicas: wanted },
    status: { replicas: actual, ...(selector === '' ? {} : { selector }) },
  }
}

/** @throws `BadRequest`, `Invalid` */
function decodeScale(context: WriteContext, name: string, body: JsonObject): Scale {
  const subresource = context.resource.subresources.get('scale')
  if (subresource?.schema === undefined) throw pathNotFound()
  decodeKind(body, subresource.kind, subresource.schema, context)
  const scale = body as unknown as Scale
  if ((scale.metadata.name ?? '') !== '' && scale.metadata.name !== name) {
    throw badRequest(
      `the name of the object (${scale.metadata.name}) does not match the name on the URL (${name})`,
    )
  }
  if (scale.spec.replicas < 0) {
    throw invalidObject({ group: 'autoscaling', kind: 'Scale' }, name, [
      invalid('spec.replicas', scale.spec.replicas, 'must be greater than or equal to 0'),
    ])
  }
  return scale
}

function patched(current: Scale, type: PatchType, patch: JsonValue): JsonObject {
  const base = current as unknown as JsonObject
  // A Scale has no lists: a strategic merge is a plain one.
  const result = type === 'json' ? applyJsonPatch(base, patch) : applyMergePatch(base, patch)
  if (!isJsonObject(result) || !isJsonObject(result.metadata))
    throw badRequest('the patched object has no metadata')
  return result
}

/** How a request wants the replicas to be. */
export type ScaleChange =
  | { readonly type: 'replace'; readonly body: JsonObject }
  | { readonly type: 'patch'; readonly patchType: PatchType; readonly patch: JsonValue }

/**
 * Changes the replicas of an object.
 *
 * @returns the object as it is afterwards
 * @throws `NotFound`, `BadRequest`, `Invalid`, `Conflict` for a resourceVersion that is not the newest
 */
export async function scaleObject(
  context: WriteContext,
  namespace: string,
  name: string,
  change: ScaleChange,
): Promise<StoredObject> {
  const access = accessOf(context)
  const wish = (old: Frozen<KubernetesObject>) => {
    const body =
      change.type === 'replace'
        ? (cloneJson(change.body) as JsonObject)
        : patched(scaleOf(context, old), change.patchType, cloneJson(change.patch))
    return decodeScale(context, name, body)
  }
  const finish = (wanted: Scale, old: Frozen<KubernetesObject>): Next => {
    requireVersion(context, name, wanted.metadata.resourceVersion, old)
    if (access.read(old).wanted === wanted.spec.replicas) return { type: 'keep' }
    const object = cloneJson(old as unknown as JsonValue) as unknown as KubernetesObject
    access.write(object, wanted.spec.replicas)
    if (object.metadata.generation !== undefined) object.metadata.generation += 1
    trackFields(context.tracking, context.resource, '', old, object, context.cluster.clock.now())
    return { type: 'write', object }
  }
  const admission = scaleAdmission(context, namespace, name)
  const { stored } = await changeObject(context, namespace, name, { wish, finish }, admission)
  return stored
}

/** Webhooks see scales, not the objects that are scaled. */
function scaleAdmission(
  context: WriteContext,
  namespace: string,
  name: string,
): ChangeAdmission<Scale> | undefined {
  const call = bodyAdmission(context, { operation: 'UPDATE', subresource: 'scale', namespace, name })
  if (call === undefined) return undefined
  const show = (object: Frozen<KubernetesObject>) => scaleOf(context, object) as unknown as JsonObject
  return {
    async mutate(wish, current) {
      const body = wish as unknown as JsonObject
      return decodeScale(context, name, (await call.mutate(body, show(current))) ?? body)
    },
    validate: ({ object }, current) => call.validate(show(object), show(current)),
  }
}
