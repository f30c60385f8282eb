export { ChangeFeed, type Interest, keyOf, type Subscriber } from './change-feed.ts'
export { Cluster, type ClusterLimits, DEFAULT_CLUSTER_LIMITS, INDEXED_FIELDS, storeKey } from './cluster.ts'
