/** Server-side apply: what somebody wants of an object, laid over what is there (Kubernetes "Server-Side Apply"). */

import type { StoredObject } from '../../../store/index.ts'
import {
  difference,
  type FieldSet,
  fieldsOf,
  fieldsOfManager,
  fieldsOfOthers,
  type Manager,
  mergeApplied,
  prune,
  readManagers,
  union,
  withoutSystemFields,
} from '../apply/index.ts'
import { apiVersionOf } from '../catalog/index.ts'
import { cloneJson, type Frozen, isJsonObject, type JsonObject } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import { invalidObject, required } from '../problems.ts'
import { badRequest, StatusError } from '../status.ts'
import { changeAdmission } from './admission.ts'
import { changeObject } from './change.ts'
import type { WriteContext } from './context.ts'
import { createObject } from './create.ts'
import { checkUnknownFields, decodeResource, decodeToKept } from './decode-body.ts'
import type { Tracking } from './tracking.ts'
import { finishUpdate, type Part, patchBase, type UpdateResult } from './update.ts'

/** Somebody else may make or remove the object in between. */
const ATTEMPTS = 5

export interface ApplyTarget {
  readonly namespace: string
  readonly name: string
  readonly part: Part
}

export interface ApplyOptions {
  /** Empty when the client does not say, which is refused. */
  readonly manager: string
  readonly force: boolean
  /** Called before an object is made. @throws `Forbidden` */
  readonly mayCreate: () => Promise<void>
}

/** @throws `BadRequest` */
function checkApplied(context: WriteContext, { namespace, name }: ApplyTarget, body: JsonObject): JsonObject {
  const { resource } = context
  const apiVersion = apiVersionOf(resource)
  if (body.apiVersion !== apiVersion || body.kind !== resource.kind) {
    throw badRequest(
      `the apiVersion and kind of what is applied must be ${apiVersion} and ${resource.kind}, found ${JSON.stringify([body.apiVersion ?? null, body.kind ?? null]).slice(0, 200)}`,
    )
  }
  const metadata = isJsonObject(body.metadata) ? body.metadata : {}
  if (metadata.managedFields !== undefined) throw badRequest('metadata.managedFields must be nil')
  if (metadata.name !== undefined && metadata.name !== '' && metadata.name !== name) {
    throw badRequest(
      `the name of the object (${String(metadata.name).slice(0, 253)}) does not match the name on the URL (${name})`,
    )
  }
  const place = resource.namespaced ? { namespace } : {}
  return { ...body, metadata: { ...metadata, name, ...place } }
}

/** What a request to `part` may say. */
function restrictToPart(context: WriteContext, applied: JsonObject, part: Part): JsonObject {
  const { status, ...rest } = applied
  if (part === '') return context.resource.subresources.has('status') ? rest : applied
  const { apiVersion, kind, metadata, spec } = applied
  const own = context.resource.strategy.parts.get(part)
  if (own !== undefined) {
    return { apiVersion, kind, metadata, spec: own.restrict(isJsonObject(spec) ? spec : {}) } as JsonObject
  }
  return {
    apiVersion,
    kind,
    metadata,
    ...(status === undefined ? {} : { status }),
  } as JsonObject
}

/** Types of an object that need not be whole. @throws `BadRequest` */
function checkTypes(context: WriteContext, applied: JsonObject): void {
  const { resource } = context
  const what = `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}`
  checkUnknownFields(decodeResource(resource, cloneJson(applied) as JsonObject, what), what, context)
}

/**
 * Applies an object: it is made when it is not there.
 *
 * @throws `Conflict` for fields that others manage, `Invalid`, `BadRequest`, `NotFound` for a part of what is not there
 */
export async function applyObject(
  context: WriteContext,
  target: ApplyTarget,
  body: JsonObject,
  { manager: managerName, force, mayCreate }: ApplyOptions,
): Promise<UpdateResult> {
  const { resource } = context
  if (managerName === '') {
    throw invalidObject({ group: 'meta.k8s.io', kind: 'PatchOptions' }, '', [
      required('fieldManager', 'is required for apply patch'),
    ])
  }
  if (resource.face !== undefined) {
    throw new StatusError(
      'UnsupportedMediaType',
      `apply ${resource.kept.apiVersion} instead of ${apiVersionOf(resource)}`,
    )
  }
  const whole = checkApplied(context, target, body)
  checkTypes(context, whole)
  const applied = restrictToPart(context, whole, target.part)
  const manager: Manager = {
    name: managerName,
    operation: 'Apply',
    apiVersion: apiVersionOf(resource),
    subresource: target.part,
  }
  const fields = withoutSystemFields(fieldsOf(applied, resource.schema))
  const tracking: Tracking = { type: 'apply', manager, applied: fields, force }
  const own = { ...context, tracking }
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await applyOnce(own, target, applied, manager, fields)
    } catch (error) {
      const absent = error instanceof StatusError && error.reason === 'NotFound'
      if (!absent || target.part !== '') throw error
    }
    await mayCreate()
    try {
      const stored = await createObject(own, target.namespace, cloneJson(applied) as JsonObject)
      return { outcome: { type: 'written', stored }, created: true }
    } catch (error) {
      const present = error instanceof StatusError && error.reason === 'AlreadyExists'
      if (!present || attempt === ATTEMPTS) throw error
    }
  }
}

async function applyOnce(
  context: WriteContext,
  { namespace, name, part }: ApplyTarget,
  applied: JsonObject,
  manager: Manager,
  fields: FieldSet,
): Promise<UpdateResult> {
  const { schema } = context.resource
  const wish = (old: Frozen<KubernetesObject>, stored: StoredObject) => {
    const managers = readManagers(old.metadata.managedFields)
    const live = patchBase(context, old, stored)
    const merged = mergeApplied(live, applied, schema)
    prune(
      merged,
      schema,
      difference(fieldsOfManager(managers, manager), fields),
      // An empty map that was wanted holds now what is wanted in it.
      union(fieldsOfOthers(managers, manager), fields),
    )
    return decodeToKept(context, merged)
  }
  const outcome = await changeObject(
    context,
    namespace,
    name,
    { wish, finish: (wanted, old) => finishUpdate(context, wanted, old, part) },
    changeAdmission(context, { subresource: part, namespace, name, options: { kind: 'PatchOptions' } }),
  )
  return { outcome, created: false }
}
