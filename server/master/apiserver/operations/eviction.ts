/** Evicting pods: a delete that disruption budgets may refuse (Kubernetes "API-initiated Eviction"). */
import { storeKey } from '../cluster/index.ts'
import { cloneJson, type Frozen, type JsonObject, type JsonValue } from '../json.ts'
import { disruptionTarget } from '../kinds/index.ts'
import type { DeleteOptions, Pod, PodDisruptionBudget } from '../objects.ts'
import { formatTime } from '../schema/index.ts'
import { selectorMatches } from '../selection/index.ts'
import { notFound, StatusError } from '../status.ts'
import { admitBody } from './admission.ts'
import type { WriteContext } from './context.ts'
import { deleteObject } from './delete.ts'
import { modifyObject, type Outcome } from './modify.ts'
import { decodeSubresource } from './pods.ts'

/** Evictions of one budget whose pods are still there. */
const MOST_PENDING = 2000
/** Seconds after which a budget will have been looked at. */
const LOOKED_AT = 10

type Budget = Frozen<PodDisruptionBudget>

function isReady({ status }: Frozen<Pod>): boolean {
  return status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true
}

/** Whether nobody misses the pod: it has ended, or has not begun. */
function isNoLoss({ metadata, status }: Frozen<Pod>): boolean {
  const { phase = '' } = status
  return metadata.deletionTimestamp !== undefined || ['Succeeded', 'Failed', 'Pending'].includes(phase)
}

/** Whether a pod that does not work may go without a look at how many may. */
function isUnhealthyLoss(pod: Frozen<Pod>, { spec, status }: Budget): boolean {
  if (isReady(pod)) return false
  if (spec.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true
  const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {}
  return desiredHealthy > 0 && currentHealthy >= desiredHealthy
}

function refuse(why: string, retryAfterSeconds?: number): StatusError {
  return new StatusError(
    'TooManyRequests',
    "Cannot evict pod as it would violate the pod's disruption budget.",
    {
      causes: [{ reason: 'DisruptionBudget', message: why, field: '' }],
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    },
  )
}

/** The budget after one more eviction. @throws `TooManyRequests` */
function spend(budget: Budget, pod: string, now: number): PodDisruptionBudget {
  const { name, generation = 0 } = budget.metadata
  const {
    observedGeneration = 0,
    disruptionsAllowed = 0,
    desiredHealthy = 0,
    currentHealthy = 0,
    disruptedPods = {},
  } = budget.status ?? {}
  if (observedGeneration < generation) {
    throw refuse(`The disruption budget ${name} is still being processed by the server.`, LOOKED_AT)
  }
  if (Object.keys(disruptedPods).length > MOST_PENDING) {
    throw refuse(`The disruption budget ${name} waits for the end of too many evictions.`, LOOKED_AT)
  }
  if (disruptionsAllowed < 1) {
    throw refuse(
      `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`,
    )
  }
  const next = cloneJson(budget as unknown as JsonValue) as unknown as PodDisruptionBudget
  next.status = {
    ...next.status,
    disruptionsAllowed: disruptionsAllowed - 1,
    disruptedPods: { ...disruptedPods, [pod]: formatTime(now) },
  }
  return next
}

/**
 * Evicts a pod.
 *
 * @throws `TooManyRequests` when a budget does not allow it now, `NotFound`, `BadRequest`, `Conflict`; `InternalError`
 *   for a pod with several budgets
 */
export async function evictPod(
  request: WriteContext,
  namespace: string,
  name: string,
  body: JsonObject,
): Promise<Outcome> {
  decodeSubresource(request, 'eviction', body)
  const place = { operation: 'CREATE', subresource: 'eviction', namespace, name } as const
  const eviction = await admitBody(request, place, body)
  const { deleteOptions = {} } = eviction as { deleteOptions?: DeleteOptions }
  const dryRun = request.dryRun || deleteOptions.dryRun?.includes('All') === true
  const context = { ...request, dryRun }
  const { cluster, resource } = context
  const stored = cluster.space.get(storeKey(resource, namespace, name))
  if (stored === undefined) throw notFound(resource, name)
  const pod = cluster.read(stored) as Frozen<Pod>
  const [budget, ...others] = isNoLoss(pod) ? [] : budgetsOf(context, namespace, pod)
  if (others.length > 0) {
    throw new StatusError(
      'InternalError',
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    )
  }
  if (budget !== undefined && !isUnhealthyLoss(pod, budget)) await spendOne(context, budget, name)
  // Another pod of this name is another eviction.
  const { uid = '' } = pod.metadata
  const preconditions = { uid, ...deleteOptions.preconditions }
  // Who knows the version that is to go means that one as it is.
  if (!dryRun && preconditions.resourceVersion === undefined && pod.metadata.deletionTimestamp === undefined)
    await markEvicted(context, namespace, pod)
  // Who was asked about the eviction is not asked about what it comes to.
  const own = { ...context, bypassesWebhooks: true }
  return await deleteObject(own, namespace, name, { ...deleteOptions, preconditions })
}

/** Says on the pod why it goes. */
async function markEvicted(
  context: WriteContext,
  namespace: string,
  { metadata }: Frozen<Pod>,
): Promise<void> {
  const condition = disruptionTarget(
    'EvictionByEvictionAPI',
    'Eviction API: evicting',
    context.cluster.clock.now(),
  )
  await modifyObject({ ...context, tracking: undefined }, namespace, metadata.name, current => {
    if (current.metadata.uid !== metadata.uid) return { type: 'keep' }
    const next = cloneJson(current as unknown as JsonValue) as unknown as Pod
    const others = (next.status.conditions ?? []).filter(({ type }) => type !== condition.type)
    next.status.conditions = [...others, condition]
    return { type: 'write', object: next }
  })
}

function budgetsOf({ cluster }: WriteContext, namespace: string, { metadata }: Frozen<Pod>): Budget[] {
  return cluster
    .list('policy/poddisruptionbudgets', namespace)
    .map(stored => cluster.read(stored) as unknown as Budget)
    .filter(
      ({ spec }) => spec.selector !== undefined && selectorMatches(spec.selector, metadata.labels ?? {}),
    )
}

async function spendOne(context: WriteContext, { metadata }: Budget, pod: string): Promise<void> {
  const { cluster } = context
  const resource = cluster.catalog.get('policy', 'v1', 'poddisruptionbudgets')
  const own = { ...context, resource, tracking: undefined }
  await modifyObject(own, metadata.namespace ?? '', metadata.name, budget => ({
    type: 'write',
    object: spend(budget as unknown as Budget, pod, cluster.clock.now()),
  }))
}
