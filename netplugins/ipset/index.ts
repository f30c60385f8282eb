export { AddressSet, type AddressSetOptions } from './address-set.ts'
