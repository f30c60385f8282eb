export { metadataErrors } from './errors.ts'
export { MetadataServer, type MetadataServerOptions } from './metadata-server.ts'
