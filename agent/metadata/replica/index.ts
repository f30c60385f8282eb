export { MetadataReplica, type MetadataReplicaOptions } from './metadata-replica.ts'
