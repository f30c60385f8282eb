export { HostNameServers, type HostNameServersOptions } from './host-name-servers.ts'
export { MetadataServer, type MetadataServerOptions, metadataErrors } from './http/index.ts'
export { LateListener, type LateListenerOptions } from './late-listener.ts'
export {
  EVERY,
  type IndexOf,
  type InfoOf,
  type InfoType,
  linkedService,
  MetadataModel,
  type ModelReader,
  nameKey,
  type ObjectChange,
  type ObjectSequence,
  PeerHosts,
  PolicyMembers,
  SignalBoard,
} from './model/index.ts'
export {
  type ClusterNames,
  KubernetesNames,
  NameDirectory,
} from './names/index.ts'
export { MetadataReplica, type MetadataReplicaOptions } from './replica/index.ts'
export {
  addressOf,
  LocalAddresses,
  type LocalAddressesOptions,
  Requesters,
  type RequestersOptions,
  type SourceAddresses,
} from './requesters/index.ts'
