export { announceAddress, answersArp, findDuplicate } from './arp.ts'
export { FlatBridge, type FlatBridgeOptions } from './flat-bridge.ts'
export { TakeoverJournal, type TakeoverRecord } from './takeover-journal.ts'
