export type { WatchOptions } from './watch-options.ts'
export type { FrameSink } from './watch-stream.ts'
export { Watches } from './watches.ts'
export { WebsocketSink } from './websocket-sink.ts'
