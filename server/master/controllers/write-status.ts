/** Writes the status of an object and nothing else of it. */
import { isDeepStrictEqual } from 'node:util'
import type {
  ClusterClient,
  Condition,
  Frozen,
  JsonValue,
  KubernetesObject,
  ResourceReference,
} from '../apiserver/index.ts'

/**
 * Where only one controller writes the status of a kind, the version does not matter. The metadata do: an update of the
 * status would bring back the annotations that were there when the object was read.
 *
 * @param version the only one that may be changed; any when it is left out
 * @throws `NotFound`, `Conflict` when the version is not the newest
 */
export async function writeStatus(
  client: ClusterClient,
  reference: ResourceReference,
  { metadata }: Frozen<KubernetesObject>,
  status: object,
  version?: string,
): Promise<void> {
  const write = { op: 'add', path: '/status', value: status as JsonValue }
  const demand = { op: 'replace', path: '/metadata/resourceVersion', value: version ?? '' }
  await client.patch(
    reference,
    { namespace: metadata.namespace ?? '', name: metadata.name },
    { type: 'json', body: version === undefined ? [write] : [demand, write], part: 'status' },
  )
}

/**
 * Writes the fields of a status that a controller answers for: those that it does not have any more go.
 *
 * @param conditions all that there shall be; where they are left out, they are others' and stay
 * @throws `NotFound`
 */
export async function writeStatusFields(
  client: ClusterClient,
  reference: ResourceReference,
  object: Frozen<KubernetesObject>,
  next: object,
  conditions?: readonly Frozen<Condition>[],
): Promise<void> {
  const { conditions: present = [], ...before } = (object.status ?? {}) as Record<string, unknown>
  const sameConditions = conditions === undefined || isDeepStrictEqual(present, conditions)
  if (isDeepStrictEqual(before, next) && sameConditions) return
  const told: JsonValue = conditions?.length === 0 ? null : ((conditions ?? null) as JsonValue)
  const gone = Object.fromEntries(Object.keys(before).map(field => [field, null]))
  const { metadata } = object
  const status = {
    ...gone,
    ...(next as Record<string, JsonValue>),
    ...(sameConditions ? {} : { conditions: told }),
  }
  await client.patch(
    reference,
    { namespace: metadata.namespace ?? '', name: metadata.name },
    { type: 'merge', body: { status }, part: 'status' },
  )
}
