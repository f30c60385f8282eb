export { type ClusterCollections, ClusterSource, type ClusterSourceOptions } from './cluster-source.ts'
export type { Followed } from './followed-collection.ts'
export type {
  NamespaceRecord,
  NodeRecord,
  PodRecord,
  PolicyRecord,
  ServiceRecord,
  SliceRecord,
} from './records.ts'
