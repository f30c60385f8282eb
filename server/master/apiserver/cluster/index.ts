export { ChangeFeed, type Interest, keyOf, type Subscriber } from './change-feed.ts'
export { Cluster, type ClusterOptions, INDEXED_FIELDS, storeKey } from './cluster.ts'
export { ListSnapshots } from './list-snapshots.ts'
