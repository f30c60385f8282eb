export type { Attachment, PublishedPort } from './attachment.ts'
export { HostNetwork, type HostNetworkOptions } from './host-network.ts'
export type { NetworkSettings } from './settings.ts'
