/** Commands over websockets: every message begins with the number of its channel (`v4.channel.k8s.io`, `v5.…`). */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { CHANNEL, encodeFrame } from '../../../../protocol/index.ts'
import { closeFrame, relayOutput } from './command.ts'

/** Newest first. The fifth lets a client say that its input is over. */
export const COMMAND_SUBPROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const

/** What a message of the client is for the node; undefined for what is no input. */
function inputFrame(message: Buffer, closable: boolean): Buffer | undefined {
  const [channel] = message
  const content = message.subarray(1)
  switch (channel) {
    case CHANNEL.input:
      return content.length === 0 ? undefined : encodeFrame(CHANNEL.input, content)
    case CHANNEL.size:
      return encodeFrame(CHANNEL.size, content)
    case CHANNEL.close:
      return closable && content[0] === CHANNEL.input ? closeFrame(CHANNEL.input) : undefined
    default:
      return undefined
  }
}

/** Serves a command to its end. */
export async function serveCommandWebsocket(websocket: WebSocket, node: Duplex): Promise<void> {
  const closable = websocket.protocol === 'v5.channel.k8s.io'
  websocket.on('message', (data: Buffer) => {
    const frame = inputFrame(data, closable)
    if (frame === undefined || node.destroyed || node.write(frame)) return
    websocket.pause()
    node.once('drain', () => websocket.resume())
  })
  websocket.once('close', () => node.destroy())
  websocket.on('error', () => node.destroy())
  await relayOutput(node, async (channel, content) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    // Whether it was sent is for the connection's end to say.
    websocket.send(Buffer.concat([Buffer.from([channel]), content]), () => resolve())
    await promise
  })
  websocket.close(1000)
}
