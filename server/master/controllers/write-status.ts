/** Writes the whole status of an object and nothing else of it. */
import type {
  ClusterClient,
  Frozen,
  JsonValue,
  KubernetesObject,
  ResourceReference,
} from '../apiserver/index.ts'

/**
 * Only one controller writes the status of a kind: the version does not matter. The metadata do: an update of the status
 * would bring back the annotations that were there when the object was read.
 *
 * @throws `NotFound`
 */
export async function writeStatus(
  client: ClusterClient,
  reference: ResourceReference,
  { metadata }: Frozen<KubernetesObject>,
  status: object,
): Promise<void> {
  await client.patch(
    reference,
    { namespace: metadata.namespace ?? '', name: metadata.name },
    { type: 'json', body: [{ op: 'add', path: '/status', value: status as JsonValue }], part: 'status' },
  )
}
