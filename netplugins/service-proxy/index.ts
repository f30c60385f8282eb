export { SELF_MARK, SERVICE_MARK, SERVICE_TABLE } from './chains.ts'
export {
  listChains,
  listStayingClients,
  removeServiceTable,
  runStatements,
  type StayingClients,
} from './nft-command.ts'
export { ProxyTable } from './proxy-table.ts'
export type { ProxyHost, ProxyService, ProxySlice } from './service-model.ts'
export { readyOnHost, rulesOfService, type ServiceRules, type UdpPort } from './service-rules.ts'
