/** How what a controller makes names the object that it is made for. */
import type { Frozen, KubernetesObject, OwnerReference } from '../apiserver/index.ts'

/** @param kind of the owner, which need not say it itself */
export function ownerReferenceTo(
  { metadata }: Frozen<KubernetesObject>,
  kind: { readonly apiVersion: string; readonly kind: string },
): OwnerReference {
  return {
    apiVersion: kind.apiVersion,
    kind: kind.kind,
    name: metadata.name,
    uid: metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  }
}
