/** The kinds that want so many pods of one template: replica sets, and replication controllers, which were before them. */
import {
  type Frozen,
  type KubernetesObject,
  REPLICA_SETS,
  REPLICATION_CONTROLLERS,
  type ReplicaSet,
  type ReplicationController,
  type ResourceReference,
} from '../apiserver/index.ts'

export interface ReplicaKind<T extends KubernetesObject = KubernetesObject> {
  readonly apiVersion: string
  readonly kind: string
  readonly reference: ResourceReference<T>
  /** The same as a replica set. */
  asSet(object: Frozen<T>): Frozen<ReplicaSet>
}

export const REPLICA_SET_KIND: ReplicaKind<ReplicaSet> = {
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  reference: REPLICA_SETS,
  asSet: set => set,
}

export const REPLICATION_CONTROLLER_KIND: ReplicaKind<ReplicationController> = {
  apiVersion: 'v1',
  kind: 'ReplicationController',
  reference: REPLICATION_CONTROLLERS,
  asSet: controller => ({
    ...controller,
    spec: {
      ...controller.spec,
      selector: { matchLabels: controller.spec.selector ?? {} },
      // It is refused without one.
      template: controller.spec.template ?? { spec: { containers: [], restartPolicy: 'Always' } },
    },
  }),
}
