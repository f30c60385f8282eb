/** Three servers with the same answer, a service of three containers: ours, a bare responder, and dnsmasq. */
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { AddressSet, type ClientDirectory, DnsServer, Forwarder } from '../../../dns/index.ts'
import { atMost, createLogger } from '../../../kit/index.ts'
import { queryMessage } from '../../unit/dns/messages.ts'

export const NAME = 'web.shop.prod.discover.internal'
export const QUERY = queryMessage(NAME, { edns: 1232 })
const ADDRESSES = ['10.42.0.11', '10.42.0.12', '10.42.0.13']
/** Milliseconds that dnsmasq may take to start. */
const PATIENCE = 10_000
/** Milliseconds between two questions to one that may not listen yet. */
const RETRY_INTERVAL = 100

export interface Running {
  readonly name: string
  readonly port: number
  /** Whether it runs in this process, whose processor time then is its own. */
  readonly here: boolean
  readonly stop: () => Promise<void>
}

/** Our server, with one client and one service. */
export async function ourServer(): Promise<Running> {
  const web = new AddressSet(() => ADDRESSES.map(address => ({ address, healthy: true })))
  const scope = { find: (name: string) => (name === 'web.shop' ? web : undefined) }
  const view = {
    kind: 'member',
    scope,
    environment: 'prod',
    stack: 'shop',
    reverse: () => undefined,
    kubernetes: undefined,
    aliases: new Map(),
  } as const
  const clients: ClientDirectory = { version: 1, viewOf: () => view, whenKnown: () => Promise.resolve() }
  const forwarder = new Forwarder({ upstreams: [] })
  const log = createLogger('bench', 'error')
  const server = new DnsServer({ host: '127.0.0.1', port: 0, clients, forwarder, log })
  await server.start()
  return { name: 'ours', port: server.port, here: true, stop: () => server.stop() }
}

/** Sends one answer to everything, with the query's id. */
async function bareResponder(answer: Buffer): Promise<Running> {
  const socket = createSocket('udp4')
  socket.on('message', (message, { port, address }) => {
    const response = Buffer.from(answer)
    response[0] = message[0] ?? 0
    response[1] = message[1] ?? 0
    socket.send(response, port, address)
  })
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve))
  return {
    name: 'bare dgram responder',
    port: socket.address().port,
    here: true,
    stop: () => new Promise(resolve => socket.close(() => resolve())),
  }
}

/** Debian's dnsmasq with the same name and addresses, and nobody to forward to; undefined where it is not installed. */
export async function dnsmasq(): Promise<Running | undefined> {
  const port = await freePort()
  const child = spawn(
    'dnsmasq',
    [
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--user=root', '--log-facility=-'],
      ...['--no-resolv', '--no-hosts', '--listen-address=127.0.0.1', '--bind-interfaces', `--port=${port}`],
      ...ADDRESSES.map(address => `--host-record=${NAME},${address}`),
    ],
    { stdio: 'ignore' },
  )
  const failed = new Promise<'failed'>(resolve => {
    child.once('error', () => resolve('failed'))
    child.once('exit', () => resolve('failed'))
  })
  if ((await Promise.race([failed, answersFrom(port)])) === 'failed') return undefined
  const stop = async () => {
    child.kill('SIGTERM')
    await failed
  }
  return { name: 'dnsmasq', port, here: false, stop }
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve))
  const { port } = socket.address()
  await new Promise<void>(resolve => socket.close(() => resolve()))
  return port
}

async function answersFrom(port: number): Promise<'answers'> {
  const end = performance.now() + PATIENCE
  while (performance.now() < end) {
    const answer = await askOnce(port, RETRY_INTERVAL).catch(() => undefined)
    if (answer !== undefined) return 'answers'
  }
  throw new Error(`dnsmasq does not answer within ${PATIENCE} ms`)
}

/** The answer to the query. A question that nobody hears is given up: its socket would keep the process for ever. */
async function askOnce(port: number, deadline = PATIENCE): Promise<Buffer> {
  const socket = createSocket('udp4')
  const answer = new Promise<Buffer>((resolve, reject) => {
    socket.once('message', resolve)
    socket.once('error', reject)
    socket.send(QUERY, port, '127.0.0.1')
  })
  try {
    return await atMost(deadline, `an answer from port ${port}`, answer)
  } finally {
    socket.close()
  }
}

/** The servers that are there; every one of them has given the three addresses. */
export async function allServers(): Promise<Running[]> {
  const ours = await ourServer()
  const answer = await askOnce(ours.port)
  const servers = [ours, await bareResponder(answer), await dnsmasq()].filter(each => each !== undefined)
  for (const { name, port } of servers) {
    const count = (await askOnce(port)).readUInt16BE(6)
    if (count !== ADDRESSES.length) throw new Error(`${name} gave ${count} addresses`)
  }
  return servers
}
