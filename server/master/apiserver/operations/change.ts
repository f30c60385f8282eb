/**
 * Changes of objects that somebody outside of the server has a say in. What can be computed at the moment of the write is
 * (`modify.ts`); where others have to be asked first, the change is made of a version that may be old by then, and made
 * again when it is.
 */
import type { StoredObject } from '../../../store/index.ts'
import { storeKey } from '../cluster/index.ts'
import { cloneJson, type Frozen, type JsonValue } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import { modified, notFound } from '../status.ts'
import type { ChangeAdmission } from './admission.ts'
import type { WriteContext } from './context.ts'
import { modifyObject, type Next, type Outcome } from './modify.ts'

/** Others may change the object each time while somebody is asked. */
const ATTEMPTS = 10

/** From the current version to the next; neither part may change what it is given but for the wish. */
export interface Plan<Wish> {
  /** What the client wants, of the current version. */
  readonly wish: (current: Frozen<KubernetesObject>, stored: StoredObject) => Wish
  readonly finish: (wish: Wish, current: Frozen<KubernetesObject>) => Next
}

/** Another version came meanwhile; never seen outside of this module. */
class Overtaken extends Error {}

/**
 * Changes an object.
 *
 * @param admission whom to ask; undefined for nobody
 * @throws `NotFound`, `Conflict`, what `plan` throws, refusals of webhooks
 */
export async function changeObject<Wish>(
  context: WriteContext,
  namespace: string,
  name: string,
  plan: Plan<Wish>,
  admission: ChangeAdmission<Wish> | undefined,
): Promise<Outcome> {
  if (admission === undefined && context.resource.custom?.conversion === undefined) {
    return await modifyObject(context, namespace, name, (current, stored) =>
      plan.finish(plan.wish(current, stored), current),
    )
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await changeOnce(context, namespace, name, plan, admission)
    } catch (error) {
      if (!(error instanceof Overtaken)) throw error
      if (attempt === ATTEMPTS) throw modified(context.resource, name)
    }
  }
}

async function changeOnce<Wish>(
  context: WriteContext,
  namespace: string,
  name: string,
  plan: Plan<Wish>,
  admission: ChangeAdmission<Wish> | undefined,
): Promise<Outcome> {
  const { cluster, resource } = context
  const stored = cluster.space.get(storeKey(resource, namespace, name))
  if (stored === undefined) throw notFound(resource, name)
  const current = await cluster.conversions.read(resource, stored)
  const wanted = plan.wish(current, stored)
  const wish = admission === undefined ? wanted : await admission.mutate(wanted, current)
  const next = plan.finish(wish, current)
  if (next.type !== 'keep') await admission?.validate(next, current)
  const written = await asKept(context, next, { current, stored })
  return await modifyObject(context, namespace, name, (_, latest) => {
    if (latest.revision !== stored.revision) throw new Overtaken()
    return written.type === 'write' ? { ...written, object: copyOf(written.object) } : written
  })
}

async function asKept(
  { cluster, resource }: WriteContext,
  next: Next,
  { current, stored }: { readonly current: Frozen<KubernetesObject>; readonly stored: StoredObject },
): Promise<Next> {
  if (next.type === 'keep') return next
  // What goes as it is needs nobody to convert it.
  if (next.object === current) return { ...next, object: cluster.read(stored) as KubernetesObject }
  const object = await cluster.conversions.toKept(resource, next.object as KubernetesObject)
  return { ...next, object }
}

function copyOf(object: KubernetesObject): KubernetesObject {
  return cloneJson(object as unknown as JsonValue) as unknown as KubernetesObject
}
