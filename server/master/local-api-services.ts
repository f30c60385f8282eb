/** APIServices of what the server itself serves: every cluster has them, as clusters of Kubernetes do. */
import {
  type ApiService,
  AUTOMANAGED_LABEL,
  apiServiceName,
  BUILT_IN_PRIORITIES,
  type Draft,
} from './apiserver/index.ts'

/** The aggregation itself is there before any APIService is. */
const WITHOUT = 'apiregistration.k8s.io'

/** @param served group versions of the cluster's version of Kubernetes */
export function localApiServices(
  served: readonly { readonly group: string; readonly version: string }[],
): Draft<ApiService>[] {
  return served.flatMap(({ group, version }) => {
    const priorities = BUILT_IN_PRIORITIES.get(group)
    if (priorities === undefined || group === WITHOUT) return []
    return [
      {
        apiVersion: 'apiregistration.k8s.io/v1',
        kind: 'APIService',
        metadata: { name: apiServiceName(group, version), labels: { [AUTOMANAGED_LABEL]: 'onstart' } },
        spec: {
          ...(group === '' ? {} : { group }),
          version,
          groupPriorityMinimum: priorities.group,
          versionPriority: priorities.versions.get(version) ?? priorities.defaultVersion,
        },
      },
    ]
  })
}
