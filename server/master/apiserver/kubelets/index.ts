export { KUBELET_CLIENT, KubeletGateway, type KubeletGatewayOptions } from './kubelet-gateway.ts'
