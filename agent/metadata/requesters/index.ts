export { LocalAddresses, type LocalAddressesOptions, type SourceAddresses } from './local-addresses.ts'
export { addressesOf, addressOf, type Requester, Requesters, type RequestersOptions } from './requesters.ts'
