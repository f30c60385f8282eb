/**
 * Labels of containers by which hosts and Drover itself know what a container is: of which service, whether it is a load
 * balancer, whether it is part of the system. Only the part of Drover that makes pods of services gives them; a pod of
 * anybody else with the labels of a service's container would be taken for it.
 */
import { CONTAINER_LABELS_ANNOTATION } from '../../../../protocol/index.ts'
import { COMPONENT_GROUPS, type Identity, nodeNameOf } from '../access/index.ts'
import type { Frozen } from '../json.ts'
import type { KubernetesObject, Pod } from '../objects.ts'
import { forbidden } from '../status.ts'
import type { AdmissionRequest } from './request.ts'

function labelsOf({ metadata }: Frozen<KubernetesObject>): string | undefined {
  return metadata.annotations?.[CONTAINER_LABELS_ANNOTATION]
}

/** Hosts make mirrors of their own files, and no other pods. */
function mayGive(identity: Identity, isNew: boolean): boolean {
  return identity.groups.includes(COMPONENT_GROUPS.netes) || (isNew && nodeNameOf(identity) !== undefined)
}

/** Takes them from a new pod of somebody who copied one: the copy is another pod. */
export function dropContainerLabels({ identity, warn }: AdmissionRequest, pod: Pod): void {
  const { annotations } = pod.metadata
  if (annotations?.[CONTAINER_LABELS_ANNOTATION] === undefined || mayGive(identity, true)) return
  delete annotations[CONTAINER_LABELS_ANNOTATION]
  warn(`the annotation ${CONTAINER_LABELS_ANNOTATION} is left out: only Drover gives it`)
}

/** @param old undefined for a new pod @throws `Forbidden` when somebody gives, changes or takes them */
export function requireContainerLabels(
  { resource, identity }: Pick<AdmissionRequest, 'resource' | 'identity'>,
  pod: Frozen<KubernetesObject>,
  old: Frozen<KubernetesObject> | undefined,
): void {
  const before = old === undefined ? undefined : labelsOf(old)
  if (labelsOf(pod) === before || mayGive(identity, old === undefined)) return
  throw forbidden(
    resource,
    pod.metadata.name,
    `the annotation ${CONTAINER_LABELS_ANNOTATION} is given by Drover alone`,
  )
}
