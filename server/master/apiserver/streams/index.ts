/** Streams between clients and pods: commands, and forwarded ports. */
export { containerOf } from './container-of.ts'
export { answerProxy, type ProxyRequest } from './proxy.ts'
export { type RawConnection, type StreamKind, StreamUpgrades } from './upgrades.ts'
