export { HostCredentialsKeeper, type HostCredentialsOptions } from './host-credentials.ts'
export { type ExchangePartner, HostExchange, type HostExchangeOptions } from './host-exchange.ts'
