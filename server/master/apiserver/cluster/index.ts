export { ChangeFeed, type Interest, keyOf, type Subscriber } from './change-feed.ts'
export { Cluster, INDEXED_FIELDS, storeKey } from './cluster.ts'
