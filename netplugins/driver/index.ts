export type { ExternalConfiguration } from './external-configuration.ts'
export { NetworkDriver, type NetworkDriverOptions } from './network-driver.ts'
