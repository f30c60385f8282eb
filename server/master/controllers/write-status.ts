/** Writes the whole status of an object and nothing else of it. */
import type {
  ClusterClient,
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
