export { BridgeNetwork, type BridgeState, type ContainerInterface } from './bridge-network.ts'
export { setBridgedFiltering } from './bridged-filtering.ts'
export { HOST_INTERFACE_PREFIX, hostInterfaceName, macOfAddress } from './interface-names.ts'
export { setSysctl, setSysctlIfPresent } from './sysctl.ts'
