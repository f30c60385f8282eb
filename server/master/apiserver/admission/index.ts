/**
 * Admission: what a cluster changes of new objects, and what it refuses although it is well formed.
 *
 * The order is Kubernetes': what changes comes before a kind's own preparation, what refuses after its validation, and
 * quotas come last.
 */
import { equalJson, type Frozen, type JsonValue } from '../json.ts'
import type { KubernetesObject, PersistentVolumeClaim, Pod, PriorityClass } from '../objects.ts'
import { invalidObject } from '../problems.ts'
import { dropContainerLabels, requireContainerLabels } from './container-labels.ts'
import { applyLimitDefaults, requireWithinLimits } from './limit-ranges.ts'
import { addTolerations, requireOneDefault, setPriority } from './pod-defaults.ts'
import { podSecurityLabelProblems, requirePodSecurity, warnOfTemplate } from './pod-security/index.ts'
import type { AdmissionRequest } from './request.ts'
import { joinServiceAccount } from './service-accounts.ts'
import { setStorageClass } from './storage-defaults.ts'

export { requireContainerLabels } from './container-labels.ts'
export { formatAmount, kindsOf as quotaKinds, usageOfQuota } from './quota-usage.ts'
export { growsWithinQuotas, quotasOf, requireWithinQuotas } from './quotas.ts'
export type { AdmissionRequest } from './request.ts'
export { DEFAULT_ACCOUNT } from './service-accounts.ts'

/**
 * Changes a new object, before its kind prepares it.
 *
 * @param makeDefaultAccount see `joinServiceAccount`
 * @throws `Forbidden`
 */
export async function completeNew(
  request: AdmissionRequest,
  object: KubernetesObject,
  makeDefaultAccount: () => Promise<void>,
): Promise<void> {
  switch (request.resource.kept.storeKind) {
    case 'pods': {
      const pod = object as Pod
      dropContainerLabels(request, pod)
      await joinServiceAccount(request, pod, makeDefaultAccount)
      applyLimitDefaults(request, pod)
      addTolerations(pod.spec)
      setPriority(request, pod)
      break
    }
    case 'persistentvolumeclaims':
      setStorageClass(request, object as PersistentVolumeClaim)
  }
}

/** Whether containers ask for other resources than before. */
function isResized({ spec }: Frozen<Pod>, old: Frozen<Pod>): boolean {
  return [...spec.containers, ...(spec.initContainers ?? [])].some(({ name, resources = {} }) => {
    const before = [...old.spec.containers, ...(old.spec.initContainers ?? [])].find(
      each => each.name === name,
    )
    return !equalJson(resources as JsonValue, (before?.resources ?? {}) as JsonValue)
  })
}

/**
 * Looks at an object that is well formed.
 *
 * @param old what an update replaces; undefined for a new object
 * @throws `Forbidden`, `Invalid`
 */
export function review(
  request: AdmissionRequest,
  object: Frozen<KubernetesObject>,
  old: Frozen<KubernetesObject> | undefined,
): void {
  const { resource } = request
  // What was admitted once stays, whatever became of the rules: who takes a finalizer away must not be refused.
  const sameWish = old !== undefined && equalJson(object.spec as JsonValue, old.spec as JsonValue)
  switch (resource.kept.storeKind) {
    case 'pods':
      requireContainerLabels(request, object, old)
      if (sameWish) return
      if (old === undefined || isResized(object as Frozen<Pod>, old as Frozen<Pod>)) {
        requireWithinLimits(request, object as Frozen<Pod>)
      }
      requirePodSecurity(request, object as Frozen<Pod>)
      break
    case 'persistentvolumeclaims':
      if (!sameWish) requireWithinLimits(request, object as Frozen<PersistentVolumeClaim>)
      break
    case 'scheduling.k8s.io/priorityclasses':
      requireOneDefault(request, object as Frozen<PriorityClass>)
      break
    case 'namespaces': {
      const problems = podSecurityLabelProblems(object)
      if (problems.length > 0) throw invalidObject(resource, object.metadata.name, problems)
      break
    }
    default:
      if (!sameWish) warnOfTemplate(request, object)
  }
}
