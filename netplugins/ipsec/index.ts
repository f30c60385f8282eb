export type { Backend, IpsecTimings } from './connection.ts'
export type { Credentials, HostCertificate, SharedKeys } from './credentials.ts'
export { IpsecOverlay, type IpsecOverlayOptions } from './ipsec-overlay.ts'
export { hostAddressesOf } from './tunnel-link.ts'
