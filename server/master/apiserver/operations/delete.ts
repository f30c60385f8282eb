/** Deleting objects: at once, after a grace period, or when their finalizers are done. */
import type { StoredObject } from '../../../store/index.ts'
import { cloneJson, type Frozen, type JsonObject, type JsonValue } from '../json.ts'
import type { DeleteOptions, KubernetesObject } from '../objects.ts'
import { formatTime } from '../schema/index.ts'
import { badRequest, conflict, StatusError } from '../status.ts'
import { deletionAdmission } from './admission.ts'
import { changeObject } from './change.ts'
import type { WriteContext } from './context.ts'
import type { Next, Outcome } from './modify.ts'
import { requireMortal } from './namespaces.ts'

const PROPAGATION_POLICIES = new Set(['Orphan', 'Background', 'Foreground'])
/** Deletions of a collection that run side by side; the store gathers them into few transactions. */
const DELETED_TOGETHER = 64

/** @throws `BadRequest` */
export function checkDeleteOptions(options: DeleteOptions): void {
  const { gracePeriodSeconds, propagationPolicy } = options
  if (gracePeriodSeconds !== undefined && gracePeriodSeconds < 0) {
    throw badRequest('gracePeriodSeconds must be greater than or equal to 0')
  }
  if (propagationPolicy !== undefined && !PROPAGATION_POLICIES.has(propagationPolicy)) {
    throw badRequest(
      `invalid deletion propagation policy ${JSON.stringify(propagationPolicy)}; one of Orphan, Background, Foreground`,
    )
  }
}

function optionsOf({ dryRun: _, ...options }: DeleteOptions): JsonObject {
  return cloneJson(options as unknown as JsonValue) as JsonObject
}

/** @throws `Conflict` */
function checkPreconditions(
  { resource }: WriteContext,
  { preconditions }: DeleteOptions,
  { metadata }: Frozen<KubernetesObject>,
): void {
  const { uid, resourceVersion } = preconditions ?? {}
  if (uid !== undefined && uid !== metadata.uid) {
    throw conflict(
      resource,
      metadata.name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`,
    )
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    throw conflict(
      resource,
      metadata.name,
      `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${metadata.resourceVersion}`,
    )
  }
}

/** The finalizer with which an object waits for what becomes of its dependents. */
function propagationFinalizer({ propagationPolicy, orphanDependents }: DeleteOptions): string | undefined {
  if (propagationPolicy === 'Foreground') return 'foregroundDeletion'
  return propagationPolicy === 'Orphan' || orphanDependents === true ? 'orphan' : undefined
}

/** What a delete makes of an object. Seconds throughout. */
function planDeletion(context: WriteContext, options: DeleteOptions, object: Frozen<KubernetesObject>): Next {
  const { strategy } = context.resource
  checkPreconditions(context, options, object)
  const { metadata } = object
  const held = (metadata.finalizers ?? []).length > 0 || strategy.holdsDeletion(object)
  const grace = strategy.gracePeriod(object, options)
  if (metadata.deletionTimestamp !== undefined) {
    const before = metadata.deletionGracePeriodSeconds ?? 0
    // Only an explicit wish shortens a grace period that runs already.
    const shorter = options.gracePeriodSeconds !== undefined && grace < before
    if (!shorter && before > 0) return { type: 'keep' }
    if (grace === 0 || before === 0) {
      if (!held) return { type: 'remove', object }
      if (before === 0) return { type: 'keep' }
    }
    return { type: 'write', object: marked(context, object, Math.min(grace, before), before) }
  }
  const finalizer = propagationFinalizer(options)
  if (grace === 0 && !held && finalizer === undefined) return { type: 'remove', object }
  const next = marked(context, object, grace, undefined)
  if (finalizer !== undefined) next.metadata.finalizers = [...(next.metadata.finalizers ?? []), finalizer]
  return { type: 'write', object: next }
}

function marked(
  { cluster, resource }: WriteContext,
  object: Frozen<KubernetesObject>,
  grace: number,
  before: number | undefined,
): KubernetesObject {
  const next = cloneJson(object as unknown as JsonValue) as unknown as KubernetesObject
  const { metadata } = next
  const end =
    before === undefined
      ? cluster.clock.now() + grace * 1000
      : Date.parse(metadata.deletionTimestamp ?? '') - (before - grace) * 1000
  metadata.deletionTimestamp = formatTime(end)
  metadata.deletionGracePeriodSeconds = grace
  if (metadata.generation !== undefined) metadata.generation += 1
  resource.strategy.markDeleted(next)
  return next
}

/**
 * Deletes an object.
 *
 * @returns `removed`, or `written` when it lives on for its grace period or finalizers
 * @throws `NotFound`, `Conflict` for preconditions, `Forbidden` for what may not be deleted
 */
export async function deleteObject(
  context: WriteContext,
  namespace: string,
  name: string,
  options: DeleteOptions,
): Promise<Outcome> {
  checkDeleteOptions(options)
  requireMortal(context, name)
  const closing = context.resource.kept.storeKind === 'namespaces' && !context.dryRun
  const { closingNamespaces } = context.cluster
  const wasClosing = closingNamespaces.has(name)
  try {
    return await changeObject(
      context,
      namespace,
      name,
      {
        wish: () => undefined,
        finish(_, object) {
          const next = planDeletion(context, options, object)
          if (closing && next.type === 'write') closingNamespaces.add(name)
          return next
        },
      },
      deletionAdmission(context, { namespace, name, options: optionsOf(options) }),
    )
  } catch (error) {
    if (closing && !wasClosing) closingNamespaces.delete(name)
    throw error
  }
}

/** Deletes every one of `objects`; those that are gone already count as deleted. */
export async function deleteObjects(
  context: WriteContext,
  objects: readonly StoredObject[],
  options: DeleteOptions,
): Promise<void> {
  for (let start = 0; start < objects.length; start += DELETED_TOGETHER) {
    const together = objects.slice(start, start + DELETED_TOGETHER)
    await Promise.all(
      together.map(async ({ key }) => {
        try {
          await deleteObject(context, key.namespace, key.name, options)
        } catch (error) {
          if (!(error instanceof StatusError) || error.reason !== 'NotFound') throw error
        }
      }),
    )
  }
}
