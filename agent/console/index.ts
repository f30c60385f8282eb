export { NodeApi } from './node-api.ts'
export { ConsoleStreams } from './streams.ts'
