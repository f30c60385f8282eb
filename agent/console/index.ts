export { ConsoleStreams } from './streams.ts'
