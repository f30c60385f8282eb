/** Where the groups of Kubernetes itself stand in lists (`k8s.io/kubernetes/pkg/controlplane/apiserver`, aggregator). */

export interface GroupPriorities {
  readonly group: number
  /** Of versions that differ from the rest. */
  readonly versions: ReadonlyMap<string, number>
  readonly defaultVersion: number
}

const DEFAULT_VERSION = 15

function priorities(group: number, versions: Readonly<Record<string, number>> = {}): GroupPriorities {
  return { group, versions: new Map(Object.entries(versions)), defaultVersion: DEFAULT_VERSION }
}

/** By group. */
export const BUILT_IN_PRIORITIES: ReadonlyMap<string, GroupPriorities> = new Map([
  // Of the aggregation itself: it has no APIService, and comes first.
  ['apiregistration.k8s.io', priorities(20_001)],
  ['', priorities(18_000, { v1: 1 })],
  ['apps', priorities(17_800)],
  ['events.k8s.io', priorities(17_750)],
  ['authentication.k8s.io', priorities(17_700)],
  ['authorization.k8s.io', priorities(17_600)],
  ['autoscaling', priorities(17_500, { v2: 30 })],
  ['batch', priorities(17_400)],
  ['certificates.k8s.io', priorities(17_300)],
  ['networking.k8s.io', priorities(17_200)],
  ['policy', priorities(17_100)],
  ['rbac.authorization.k8s.io', priorities(17_000)],
  ['storage.k8s.io', priorities(16_800)],
  ['admissionregistration.k8s.io', priorities(16_700)],
  ['apiextensions.k8s.io', priorities(16_700)],
  ['scheduling.k8s.io', priorities(16_600)],
  ['coordination.k8s.io', priorities(16_500)],
  ['node.k8s.io', priorities(16_300)],
  ['discovery.k8s.io', priorities(16_200, { v1: 15 })],
  ['resource.k8s.io', priorities(16_200)],
  ['flowcontrol.apiserver.k8s.io', priorities(16_100, { v1: 21 })],
])
