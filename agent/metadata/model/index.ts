export { addressKey, EVERY, type IndexOf, type InfoOf, type InfoType, nameKey } from './indexes.ts'
export { linkedService } from './links.ts'
export {
  changedObject,
  MetadataModel,
  type ModelListener,
  type ModelReader,
  type ObjectChange,
  type Replacement,
} from './metadata-model.ts'
export type { ModelSnapshot } from './model-snapshot.ts'
export { type ObjectSequence, sequenceOf } from './object-sequence.ts'
export { PeerHosts } from './peer-hosts.ts'
export { PolicyMembers } from './policy-members.ts'
export { Reading, Signal, SignalBoard } from './signals.ts'
