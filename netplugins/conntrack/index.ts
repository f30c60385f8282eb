export type { UdpFlow } from './flow-messages.ts'
export { forgetUdpFlows } from './forget-flows.ts'
