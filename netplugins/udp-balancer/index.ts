export { udpBalancerRules } from './rules.ts'
export {
  type Measured,
  measureUdpPorts,
  removeUdpBalancer,
  serveUdpPorts,
  type UdpBackend,
  type UdpBalancerPort,
} from './udp-balancer.ts'
