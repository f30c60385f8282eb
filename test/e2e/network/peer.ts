/** A process in a network namespace that the tests talk through: serves and asks, by TCP and UDP. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { request } from 'node:https'
import { connect, createServer, isIPv6 } from 'node:net'

export type Protocol = 'tcp' | 'udp'

/** A request by HTTPS to a server that is called `host` and is at `address`. */
export interface SecureRequest {
  readonly host: string
  readonly address: string
  readonly port: number
  readonly path: string
  /** Of the bearer. */
  readonly token: string
  /** Certificate in PEM that is believed. */
  readonly authority: string
}

export type PeerOrder =
  | { readonly kind: 'listen'; readonly protocol: Protocol; readonly address: string; readonly port: number }
  | {
      readonly kind: 'ask'
      readonly protocol: Protocol
      readonly address: string
      readonly port: number
      readonly deadline: number
      /** Port of the asking side; one chosen by the kernel when absent. */
      readonly from?: number
    }
  | ({ readonly kind: 'fetch' } & SecureRequest)
  | { readonly kind: 'transfer'; readonly address: string; readonly port: number; readonly bytes: number }

export interface PeerAnswer {
  readonly id: number
  readonly value?: string
  readonly error?: string
}

/** What every server here says: who it is, and who it takes the client for. */
function greeting(client: string): string {
  return `${process.env.PEER_NAME} sees ${client}`
}

async function listen({ protocol, address, port }: PeerOrder & { kind: 'listen' }): Promise<string> {
  if (protocol === 'udp') {
    const socket = isIPv6(address) ? createSocket({ type: 'udp6', ipv6Only: true }) : createSocket('udp4')
    socket.on('message', (_, from) => socket.send(greeting(from.address), from.port, from.address))
    socket.bind(port, address)
    await once(socket, 'listening')
    return String(socket.address().port)
  }
  // The client says how much it sends; the answer comes when all of it has arrived.
  const server = createServer({ allowHalfOpen: true }, socket => {
    let received = 0
    socket.on('data', chunk => (received += chunk.length))
    socket.on('end', () => socket.end(`${greeting(socket.remoteAddress ?? '')} sent ${received}`))
    socket.on('error', () => socket.destroy())
  })
  // Somebody else of this process may listen in IPv4.
  server.listen({ port, host: address, ipv6Only: isIPv6(address) })
  await once(server, 'listening')
  const bound = server.address()
  return String(typeof bound === 'object' && bound !== null ? bound.port : port)
}

function askTcp(address: string, port: number, data: Buffer, deadline: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, allowHalfOpen: true })
    let answer = ''
    socket.setTimeout(deadline, () => socket.destroy(new Error('silence')))
    socket.on('connect', () => socket.end(data))
    socket.on('data', chunk => (answer += chunk.toString()))
    socket.on('error', reject)
    socket.on('close', () => (answer === '' ? reject(new Error('closed')) : resolve(answer)))
  })
}

function askUdp(address: string, port: number, deadline: number, from = 0): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    const finish = (settle: () => void) => {
      clearTimeout(silence)
      clearInterval(again)
      socket.close()
      settle()
    }
    const send = () => socket.send('hello', port, address)
    const silence = setTimeout(() => finish(() => reject(new Error('silence'))), deadline)
    const again = setInterval(send, 50)
    socket.on('message', data => finish(() => resolve(data.toString())))
    socket.on('error', error => finish(() => reject(error)))
    socket.bind(from, send)
  })
}

function fetchSecurely({ host, address, port, path, token, authority }: SecureRequest): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { host, authorization: `Bearer ${token}` }
    const options = { host: address, port, path, headers, ca: authority, timeout: 5_000 }
    // Names of servers are never addresses; those are compared with the address that is connected to.
    const named = host === address ? options : { ...options, servername: host }
    const call = request(named, response => {
      let answer = ''
      response.setEncoding('utf8')
      response.on('data', chunk => (answer += chunk))
      response.on('end', () => resolve(answer))
    })
    call.on('timeout', () => call.destroy(new Error('silence')))
    call.on('error', reject)
    call.end()
  })
}

async function obey(order: PeerOrder): Promise<string> {
  switch (order.kind) {
    case 'listen':
      return await listen(order)
    case 'ask':
      return order.protocol === 'udp'
        ? await askUdp(order.address, order.port, order.deadline, order.from)
        : await askTcp(order.address, order.port, Buffer.alloc(0), order.deadline)
    case 'fetch':
      return await fetchSecurely(order)
    case 'transfer':
      return await askTcp(order.address, order.port, Buffer.alloc(order.bytes), 10_000)
  }
}

process.on('message', ({ id, order }: { id: number; order: PeerOrder }) => {
  obey(order).then(
    value => process.send?.({ id, value }),
    (error: Error) => process.send?.({ id, error: error.message }),
  )
})
process.on('disconnect', () => process.exit(0))
process.send?.({ id: 0, value: 'ready' })
