export { LocalAddresses, type LocalAddressesOptions, type SourceAddresses } from './local-addresses.ts'
export { addressOf, type Requester, Requesters, type RequestersOptions } from './requesters.ts'
