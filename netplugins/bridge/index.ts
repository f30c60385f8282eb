export { type Bandwidth, limitBandwidth } from './bandwidth.ts'
export {
  BridgeNetwork,
  type BridgeState,
  type ContainerInterface,
  type Ipv6Gateway,
} from './bridge-network.ts'
export { setBridgedFiltering } from './bridged-filtering.ts'
export { HOST_INTERFACE_PREFIX, hostInterfaceName, macOfAddress } from './interface-names.ts'
export { disableIpv6, enableQuietIpv6, keepOnlyIpv6Address } from './quiet-ipv6.ts'
export { readSysctl, setSysctl, setSysctlIfPresent } from './sysctl.ts'
