export { type AddressAssignment, type AddressOwner, AddressPool } from './address-pool.ts'
