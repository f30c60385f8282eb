export { type DiscoveryDocuments, discoveryDocuments } from './documents.ts'
