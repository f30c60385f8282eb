export { blocksOfRange } from './address-range.ts'
export { announceAddress, answersArp, findDuplicate } from './arp.ts'
export { type DhcpInterface, type DhcpLease, DhcpLeases, type DhcpLeasesOptions } from './dhcp-leases.ts'
export { FlatBridge, type FlatBridgeOptions } from './flat-bridge.ts'
export {
  FLAT_BRIDGE,
  FlatNetwork,
  type FlatNetworkOptions,
  INTERFACE_LABEL,
  type UnaddressedContainer,
} from './flat-network.ts'
export { TakeoverJournal, type TakeoverRecord } from './takeover-journal.ts'
