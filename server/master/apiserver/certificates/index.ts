export { ClientAuthorities } from './client-authorities.ts'
