export {
  measureUdpPorts,
  removeUdpBalancer,
  serveUdpPorts,
  type UdpBackend,
  type UdpBalancerPort,
} from './udp-balancer.ts'
