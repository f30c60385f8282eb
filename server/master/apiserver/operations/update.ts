/** Changing objects: whole (PUT) and in part (PATCH), and their status and finalize subresources. */
import type { StoredObject } from '../../../store/index.ts'
import { requireContainerLabels, review } from '../admission/index.ts'
import { storeKey } from '../cluster/index.ts'
import { changeable } from '../conversion/index.ts'
import { cloneJson, type Frozen, isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import type { ObjectPart } from '../kinds/index.ts'
import { validateMetadata, validateMetadataUpdate } from '../metadata.ts'
import type { KubernetesObject, ManagedFieldsEntry } from '../objects.ts'
import { applyJsonPatch, applyMergePatch, applyStrategicMergePatch } from '../patch/index.ts'
import { invalid, invalidObject } from '../problems.ts'
import { badRequest, conflict, StatusError } from '../status.ts'
import { parseStored } from '../storage/index.ts'
import { changeAdmission } from './admission.ts'
import { changeObject } from './change.ts'
import type { WriteContext } from './context.ts'
import { createObject } from './create.ts'
import { decodeToKept } from './decode-body.ts'
import { type Next, type Outcome, requireVersion } from './modify.ts'
import { trackFields } from './tracking.ts'

/** The part of an object that a request may change. */
export type Part = '' | 'status' | 'finalize' | 'approval' | 'ephemeralcontainers' | 'resize'

export type PatchType = 'json' | 'merge' | 'strategic'

/** Members that are not the user's wish, and that a change of the status leaves to the new version. */
const NOT_WISHES = new Set(['kind', 'apiVersion', 'metadata', 'status'])

function copyOf<T>(value: Frozen<T>): T {
  return cloneJson(value as unknown as JsonValue) as unknown as T
}

/** Puts back what no client can change. @throws `Conflict`, `BadRequest` */
function restoreMetadata(context: WriteContext, next: KubernetesObject, old: Frozen<KubernetesObject>): void {
  const { metadata } = next
  const before = old.metadata
  if ((metadata.namespace ?? '') !== '' && metadata.namespace !== before.namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  }
  if ((metadata.uid ?? '') !== '' && metadata.uid !== before.uid) {
    throw conflict(
      context.resource,
      before.name,
      `Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${before.uid}`,
    )
  }
  requireVersion(context, before.name, metadata.resourceVersion, old)
  const target = metadata as unknown as JsonObject
  for (const field of [
    'namespace',
    'uid',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generation',
  ] as const) {
    const value = before[field]
    if (value === undefined) delete target[field]
    else target[field] = value
  }
  restoreManagers(target, before.managedFields)
  delete target.selfLink
}

/** Only one empty entry says something: that nobody shall manage anything any more. */
function restoreManagers(target: JsonObject, before: Frozen<ManagedFieldsEntry[]> | undefined): void {
  const sent = target.managedFields
  const forgets = Array.isArray(sent) && sent.length === 1 && Object.keys(sent[0] ?? {}).length === 0
  if (forgets || before === undefined) delete target.managedFields
  else target.managedFields = before as unknown as JsonValue
}

/** Puts back what a request to `part` does not change. */
function restoreOtherParts(
  { resource }: WriteContext,
  next: KubernetesObject,
  old: Frozen<KubernetesObject>,
  part: Part,
): void {
  const restore = (field: string) => {
    if (old[field] === undefined) delete next[field]
    else next[field] = copyOf(old[field])
  }
  if (part === '' && resource.subresources.has('status')) restore('status')
  if (part === 'finalize') restore('status')
  if (part !== 'status' && part !== 'approval') return
  for (const field of new Set([...Object.keys(next), ...Object.keys(old)])) {
    if (!NOT_WISHES.has(field)) restore(field)
  }
}

/** Leaves of what a client wants what it may change through a part with rules of its own. */
function restrictToOwnPart(own: ObjectPart, next: KubernetesObject, old: Frozen<KubernetesObject>): void {
  const wanted = { ...next }
  const { managedFields } = next.metadata
  for (const field of Object.keys(next)) delete next[field]
  Object.assign(next, copyOf(old))
  if (managedFields === undefined) delete next.metadata.managedFields
  else next.metadata.managedFields = managedFields
  own.take(next, wanted)
}

/** Whether the last thing that held a deleted object is gone. */
function isReleased({ resource }: WriteContext, next: KubernetesObject): boolean {
  const { metadata } = next
  return (
    metadata.deletionTimestamp !== undefined &&
    (metadata.deletionGracePeriodSeconds ?? 0) === 0 &&
    (metadata.finalizers ?? []).length === 0 &&
    !resource.strategy.holdsDeletion(next)
  )
}

/** Turns what a client wants into the version to be written. */
export function finishUpdate(
  context: WriteContext,
  next: KubernetesObject,
  old: Frozen<KubernetesObject>,
  part: Part,
): Next {
  const { resource } = context
  const { strategy } = resource
  const own = strategy.parts.get(part)
  restoreMetadata(context, next, old)
  if (own === undefined) restoreOtherParts(context, next, old, part)
  else restrictToOwnPart(own, next, old)
  if (part === '') strategy.prepareUpdate(next, old)
  strategy.complete(next)
  const problems = [
    ...validateMetadata(next.metadata, strategy.checkName),
    ...validateMetadataUpdate(next.metadata, old.metadata),
    // The rest of the object is what it was.
    ...(part === '' ? [...strategy.validate(next, old), ...strategy.validateUpdate(next, old)] : []),
    ...(own === undefined ? [] : [...strategy.validate(next, old), ...own.validateUpdate(next, old)]),
    ...(part === 'status' ? strategy.validateStatus(next, old) : []),
  ]
  if (problems.length > 0) throw invalidObject(resource, old.metadata.name, problems)
  if (part === '' || own !== undefined)
    review({ ...context, namespace: old.metadata.namespace ?? '' }, next, old)
  // The status of a pod comes with annotations.
  else if (resource.kept.storeKind === 'pods') requireContainerLabels(context, next, old)
  const before = old.metadata.generation
  if (before !== undefined && strategy.changesWish(next, old)) {
    next.metadata.generation = before + 1
  }
  trackFields(context.tracking, resource, part, old, next, context.cluster.clock.now())
  return isReleased(context, next) ? { type: 'remove', object: next } : { type: 'write', object: next }
}

export interface UpdateResult {
  readonly outcome: Outcome
  readonly created: boolean
}

/**
 * Replaces an object, or one part of it, by a client's body, which it changes.
 *
 * @throws `BadRequest`, `Invalid`, `NotFound`, `Conflict`
 */
export async function updateObject(
  context: WriteContext,
  namespace: string,
  name: string,
  body: JsonObject,
  part: Part,
): Promise<UpdateResult> {
  const { resource, cluster } = context
  requireSameName(name, body)
  const mayCreate = part === '' && resource.strategy.createOnUpdate && !namesVersion(body)
  if (mayCreate && cluster.space.get(storeKey(resource, namespace, name)) === undefined) {
    const stored = await createObject(context, namespace, body)
    return { outcome: { type: 'written', stored }, created: true }
  }
  const wanted = decodeToKept(context, body)
  if (!resource.strategy.unconditionalUpdate && (wanted.metadata.resourceVersion ?? '') === '') {
    throw invalidObject(resource, name, [
      invalid('metadata.resourceVersion', 0, 'must be specified for an update'),
    ])
  }
  const outcome = await changeObject(
    context,
    namespace,
    name,
    {
      // The attempts of one update must not see each other's changes.
      wish: () => copyOf<KubernetesObject>(wanted),
      finish: (wish, old) => finishUpdate(context, wish, old, part),
    },
    changeAdmission(context, { subresource: part, namespace, name }),
  )
  return { outcome, created: false }
}

/** Whether the client means a version that it has seen. */
function namesVersion({ metadata }: JsonObject): boolean {
  return isJsonObject(metadata) && (metadata.resourceVersion ?? '') !== ''
}

/** @throws `BadRequest` */
function requireSameName(name: string, body: JsonObject): void {
  const { metadata } = body
  const own = isJsonObject(metadata) ? metadata.name : undefined
  if (own === undefined || own === '') throw badRequest('name must be provided')
  if (own !== name) {
    throw badRequest(
      `the name of the object (${String(own).slice(0, 253)}) does not match the name on the URL (${name})`,
    )
  }
}

function applyPatch(context: WriteContext, base: JsonObject, type: PatchType, patch: JsonValue): JsonObject {
  if (type === 'strategic' && context.resource.custom !== undefined) {
    throw new StatusError(
      'UnsupportedMediaType',
      'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
    )
  }
  let patched: JsonValue
  switch (type) {
    case 'json':
      patched = applyJsonPatch(base, patch)
      break
    case 'merge':
      patched = applyMergePatch(base, patch)
      break
    case 'strategic':
      patched = applyStrategicMergePatch(base, patch, context.resource.schema)
  }
  if (!isJsonObject(patched) || !isJsonObject(patched.metadata)) {
    throw badRequest('the patched object has no metadata')
  }
  return patched
}

/** The current version in the form of the request's resource, for a patch to change. */
export function patchBase(
  { resource }: WriteContext,
  current: Frozen<KubernetesObject>,
  stored: StoredObject,
): JsonObject {
  if (resource.custom?.conversion !== undefined) return changeable(current)
  const kept = parseStored(stored) as unknown as JsonObject
  if (resource.custom !== undefined) return resource.custom.show(kept)
  return resource.face === undefined ? kept : resource.face.fromKept(kept)
}

/**
 * Applies a patch to the newest version of an object, or to one part of it.
 *
 * @throws `BadRequest`, `Invalid`, `NotFound`, `Conflict`, `RequestEntityTooLarge`
 */
export function patchObject(
  context: WriteContext,
  target: { readonly namespace: string; readonly name: string; readonly part: Part },
  type: PatchType,
  patch: JsonValue,
): Promise<Outcome> {
  const { namespace, name, part } = target
  const wish = (current: Frozen<KubernetesObject>, stored: StoredObject) => {
    const patched = applyPatch(context, patchBase(context, current, stored), type, cloneJson(patch))
    const wanted = decodeToKept(context, patched)
    if (wanted.metadata.name === name) return wanted
    throw badRequest(
      `the name of the object (${wanted.metadata.name}) does not match the name on the URL (${name})`,
    )
  }
  return changeObject(
    context,
    namespace,
    name,
    { wish, finish: (wanted, old) => finishUpdate(context, wanted, old, part) },
    changeAdmission(context, { subresource: part, namespace, name, options: { kind: 'PatchOptions' } }),
  )
}
