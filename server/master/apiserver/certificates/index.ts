export { ClientAuthorities } from './client-authorities.ts'
export { OwnIdentity, type Subject } from './own-identity.ts'
