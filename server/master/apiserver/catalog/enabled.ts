/**
 * Which of the table's resources are served, with which subresources and strategies. To serve another kind, add a line
 * here, and a strategy in `../kinds` if Kubernetes treats it specially.
 */
import type { JsonObject } from '../json.ts'
import {
  configMapStrategy,
  endpointSliceStrategy,
  eventStrategy,
  fromEventsFace,
  type KindStrategy,
  leaseStrategy,
  namespaceStrategy,
  nodeStrategy,
  podStrategy,
  secretStrategy,
  serviceAccountStrategy,
  serviceStrategy,
  toEventsFace,
} from '../kinds/index.ts'

/** Another group's view of objects that are kept in a different form. */
export interface Face {
  /** Group, version and plural name of the resource whose form is kept. */
  readonly kept: string
  toKept(object: JsonObject): JsonObject
  fromKept(object: JsonObject): JsonObject
}

export interface EnabledResource {
  /** `group/version/plural`; the core group is empty. */
  readonly path: string
  readonly strategy: KindStrategy
  readonly subresources?: readonly string[]
  readonly face?: Face
}

export const ENABLED: readonly EnabledResource[] = [
  { path: '/v1/namespaces', strategy: namespaceStrategy, subresources: ['status', 'finalize'] },
  { path: '/v1/nodes', strategy: nodeStrategy, subresources: ['status'] },
  {
    path: '/v1/pods',
    strategy: podStrategy,
    subresources: ['status', 'binding', 'eviction', 'log', 'exec', 'attach', 'portforward'],
  },
  { path: '/v1/services', strategy: serviceStrategy, subresources: ['status'] },
  { path: '/v1/configmaps', strategy: configMapStrategy },
  { path: '/v1/secrets', strategy: secretStrategy },
  { path: '/v1/serviceaccounts', strategy: serviceAccountStrategy },
  { path: '/v1/events', strategy: eventStrategy },
  {
    path: 'events.k8s.io/v1/events',
    strategy: eventStrategy,
    face: { kept: '/v1/events', toKept: fromEventsFace, fromKept: toEventsFace },
  },
  { path: 'coordination.k8s.io/v1/leases', strategy: leaseStrategy },
  { path: 'discovery.k8s.io/v1/endpointslices', strategy: endpointSliceStrategy },
]
