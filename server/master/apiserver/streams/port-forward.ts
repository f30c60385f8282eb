/** Ports of pods, forwarded to a client: over SPDY, which may itself be inside of a websocket, or over channels. */
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { WebSocket } from 'ws'
import { explainError, type Logger } from '../../../../kit/index.ts'
import { badRequest } from '../status.ts'
import { SpdySession, type SpdyStream } from './spdy/index.ts'

export const PORT_FORWARD_PROTOCOL = 'portforward.k8s.io'
/** SPDY frames as the messages of a websocket. */
export const TUNNEL_SUBPROTOCOL = `SPDY/3.1+${PORT_FORWARD_PROTOCOL}`
/** Two channels for each port of the query: data and errors. */
export const PORT_CHANNELS_SUBPROTOCOL = 'v4.channel.k8s.io'

/** Ports of one request. */
const MOST_PORTS = 64
/** Connections of a session that wait for their second stream. */
const MOST_WAITING = 256

export type Connect = (port: number) => Promise<Duplex>

function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65_535 ? port : undefined
}

/** `ports=80&ports=443` or `ports=80,443`. @throws `BadRequest` */
export function portsOf(query: URLSearchParams): number[] {
  const texts = query.getAll('ports').flatMap(text => text.split(','))
  const ports = texts.map(text => {
    const port = parsePort(text)
    if (port === undefined) throw badRequest(`unable to parse ${JSON.stringify(text.slice(0, 20))} as a port`)
    return port
  })
  if (ports.length === 0 || ports.length > MOST_PORTS) {
    throw badRequest(`query parameter "ports" must name between 1 and ${MOST_PORTS} ports`)
  }
  return ports
}

interface Pair {
  data?: SpdyStream
  error?: SpdyStream
}

/** Serves forwarded connections until the client ends the session. */
export async function servePortSpdy(transport: Duplex, connect: Connect, log: Logger): Promise<void> {
  const waiting = new Map<string, Pair>()
  const serve = async ({ data, error }: Required<Pair>) => {
    const port = parsePort(data.headers.get('port') ?? '')
    try {
      if (port === undefined) throw badRequest('the header "port" is not a port')
      const pod = await connect(port)
      error.end()
      // Each direction ends by itself: a client that has sent everything still waits for the answer.
      await Promise.all([pipeline(data, pod, { end: true }), pipeline(pod, data, { end: true })])
    } catch (cause) {
      log.debug({ port, reason: explainError(cause) }, 'a forwarded connection ended with an error')
      if (error.writable) {
        error.end(`error forwarding port ${port ?? ''} to pod: ${explainError(cause)}`)
        data.end()
      } else data.destroy()
    }
  }
  const session = new SpdySession(transport, stream => {
    const id = stream.headers.get('requestid') ?? String(stream.headers.get('port'))
    const kind = stream.headers.get('streamtype')
    const pair: Pair = waiting.get(id) ?? {}
    if ((kind !== 'data' && kind !== 'error') || pair[kind] !== undefined || waiting.size >= MOST_WAITING) {
      stream.destroy()
      return
    }
    pair[kind] = stream
    const { data, error } = pair
    if (data !== undefined && error !== undefined) {
      waiting.delete(id)
      void serve({ data, error })
    } else waiting.set(id, pair)
  })
  await session.run()
}

/** A message of the data or error channel of the port at `index`. */
function channelMessage(index: number, kind: 'data' | 'error', content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([index * 2 + (kind === 'data' ? 0 : 1)]), content])
}

/** Serves one connection to each of the ports. */
export async function servePortChannels(
  websocket: WebSocket,
  ports: readonly number[],
  connect: Connect,
): Promise<void> {
  const send = async (message: Buffer) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    websocket.send(message, () => resolve())
    await promise
  }
  const closed = new Promise<void>(resolve => {
    websocket.once('close', () => resolve())
  })
  websocket.on('error', () => websocket.terminate())
  // What comes before the pod's ports are connected waits in the socket.
  websocket.pause()
  const connections = await Promise.allSettled(ports.map(connect))
  const targets = connections.map(each => (each.status === 'fulfilled' ? each.value : undefined))
  for (const target of targets) {
    target?.on('drain', () => websocket.resume())
    // One that takes nothing any more must not hold up the others.
    target?.on('close', () => websocket.resume())
  }
  websocket.on('message', (data: Buffer) => {
    const [channel = 1] = data
    const target = channel % 2 === 0 ? targets[channel / 2] : undefined
    if (target === undefined || target.destroyed || target.write(data.subarray(1))) return
    websocket.pause()
  })
  const serve = async (port: number, index: number) => {
    try {
      // Clients tell channels apart by the port that comes first on each.
      const number = Buffer.from([port & 0xff, port >> 8])
      await send(channelMessage(index, 'data', number))
      await send(channelMessage(index, 'error', number))
      const connection = connections[index]
      if (connection?.status === 'rejected') throw connection.reason
      const target = targets[index]
      if (target === undefined) return
      for await (const bytes of target as AsyncIterable<Buffer>)
        await send(channelMessage(index, 'data', bytes))
    } catch (error) {
      await send(channelMessage(index, 'error', Buffer.from(explainError(error))))
    }
  }
  try {
    websocket.resume()
    await Promise.race([Promise.all(ports.map(serve)), closed])
  } finally {
    websocket.close(1000)
    for (const target of targets) target?.destroy()
  }
}
