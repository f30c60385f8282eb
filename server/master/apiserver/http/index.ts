export { ApiServer, type ApiServerOptions } from './api-server.ts'
