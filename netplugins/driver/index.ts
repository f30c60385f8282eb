export { type ExternalConfiguration, referredLabels } from './external-configuration.ts'
export { NetworkDriver, type NetworkDriverOptions } from './network-driver.ts'
