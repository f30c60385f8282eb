export { ApiServer, type ApiServerOptions, type ServiceAccountOptions } from './api-server.ts'
