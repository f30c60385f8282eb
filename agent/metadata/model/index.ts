export { addressKey, EVERY, type IndexOf, type InfoOf, type InfoType, nameKey } from './indexes.ts'
export { linkedService } from './links.ts'
export {
  changedObject,
  MetadataModel,
  type ModelListener,
  type ModelReader,
  type ObjectChange,
} from './metadata-model.ts'
export { PeerHosts } from './peer-hosts.ts'
export { PolicyMembers } from './policy-members.ts'
export { Reading, Signal, SignalBoard } from './signals.ts'
