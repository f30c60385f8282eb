/** Streams between clients and pods: commands, and forwarded ports. */
export { containerOf } from './container-of.ts'
export { READER_SUBPROTOCOLS, serveLogWebsocket } from './log-websocket.ts'
export { answerProxy, type ProxyParts, type ProxyRequest } from './proxy.ts'
export { secured } from './secured.ts'
export { type StreamKind, StreamUpgrades } from './upgrades.ts'
export { commonSubprotocol, isWebsocket, type RawConnection, Websockets } from './websockets.ts'
