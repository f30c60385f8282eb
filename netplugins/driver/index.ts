export { NetworkDriver, type NetworkDriverOptions } from './network-driver.ts'
