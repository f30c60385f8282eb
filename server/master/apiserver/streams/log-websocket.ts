/** The log of a container over a websocket: as it is, or in base64 for clients that read text only. */
import type { Readable } from 'node:stream'
import type { WebSocket } from 'ws'
import { explainError } from '../../../../kit/index.ts'
import { closeReason } from '../../../../protocol/index.ts'

/** Bytes that may be on their way before the node waits for the client. */
const HIGH_WATER = 64 * 1024
/** RFC 6455, 7.4.1. */
const GOOD_END = 1000
const FAILED = 1011

export const BASE64_SUBPROTOCOL = 'base64.binary.k8s.io'
/** What one stream of bytes is sent as. */
export const READER_SUBPROTOCOLS = ['binary.k8s.io', BASE64_SUBPROTOCOL] as const

/** Sends a log until it or its reader ends. */
export function serveLogWebsocket(websocket: WebSocket, log: Readable): void {
  const encoded = websocket.protocol === BASE64_SUBPROTOCOL
  const resume = () => {
    if (websocket.bufferedAmount <= HIGH_WATER) log.resume()
  }
  const send = (bytes: Buffer) => websocket.send(encoded ? bytes.toString('base64') : bytes, resume)
  // Clients of Kubernetes see by this message that the log begins, however long its first line takes.
  send(Buffer.alloc(0))
  log.on('data', (bytes: Buffer) => {
    send(bytes)
    if (websocket.bufferedAmount > HIGH_WATER) log.pause()
  })
  log.once('end', () => websocket.close(GOOD_END))
  log.once('error', error => websocket.close(FAILED, closeReason(explainError(error))))
}
