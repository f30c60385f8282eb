/** A published UDP port, as the host's own processes see it on the loopback, and everybody on IPv6. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Logger } from '../../kit/index.ts'
import { isRelayed, type PublishedPort } from './attachment.ts'
import type { RelayTarget } from './tcp-relay.ts'

/** Clients of one port at a time; a new one takes the place of the one that was silent longest. */
const CLIENT_LIMIT = 256

/** Milliseconds of silence after which a client is forgotten; conntrack's time for a UDP exchange. */
const CLIENT_SILENCE_LIMIT = 120_000

/** How often silent clients are looked for, in milliseconds. */
const SWEEP_INTERVAL = 30_000

/** A client, and the socket by which the container knows it. */
interface Session {
  readonly upstream: Socket
  lastUsed: number
}

class UdpRelay {
  readonly #socket: Socket
  readonly #target: RelayTarget
  readonly #servesEverybody: boolean
  readonly #log: Logger
  /** Oldest use first. */
  readonly #sessions = new Map<string, Session>()
  readonly #sweep: NodeJS.Timeout

  constructor(socket: Socket, target: RelayTarget, servesEverybody: boolean, log: Logger) {
    this.#socket = socket
    this.#target = target
    this.#servesEverybody = servesEverybody
    this.#log = log
    socket.on('message', (data, client) => this.#relay(data, client))
    socket.on('error', error => log.warn({ reason: error.message }, 'a published port failed'))
    this.#sweep = setInterval(() => this.#forgetSilent(), SWEEP_INTERVAL)
    this.#sweep.unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep)
    for (const { upstream } of this.#sessions.values()) upstream.close()
    this.#sessions.clear()
    const closed = once(this.#socket, 'close')
    this.#socket.close()
    await closed
  }

  #relay(data: Buffer, client: RemoteInfo): void {
    // By IPv4, everything else takes the kernel's way; what ends here did not pass the firewall rules it should have.
    if (!this.#servesEverybody && !client.address.startsWith('127.')) return
    const key = `${client.address}:${client.port}`
    const session = this.#sessions.get(key) ?? this.#open(client)
    session.lastUsed = performance.now()
    this.#sessions.delete(key)
    this.#sessions.set(key, session)
    session.upstream.send(data, this.#target.port, this.#target.address)
  }

  #open(client: RemoteInfo): Session {
    const [oldest] = this.#sessions
    if (this.#sessions.size >= CLIENT_LIMIT && oldest !== undefined) this.#forget(...oldest)
    const upstream = createSocket('udp4')
    upstream.on('message', (data, from) => {
      if (from.address === this.#target.address && from.port === this.#target.port) {
        this.#socket.send(data, client.port, client.address)
      }
    })
    // UDP promises nothing: an unreachable container is silence for the client.
    upstream.on('error', error => this.#log.debug({ reason: error.message }, 'a relayed datagram failed'))
    upstream.unref()
    return { upstream, lastUsed: performance.now() }
  }

  #forgetSilent(): void {
    const limit = performance.now() - CLIENT_SILENCE_LIMIT
    for (const [key, session] of this.#sessions) if (session.lastUsed < limit) this.#forget(key, session)
  }

  #forget(key: string, session: Session): void {
    this.#sessions.delete(key)
    session.upstream.close()
  }
}

/**
 * Listens on a published port.
 *
 * @throws the system's error, `EADDRINUSE` or `EADDRNOTAVAIL`
 */
export async function openUdpRelay(
  port: PublishedPort,
  target: RelayTarget,
  log: Logger,
): Promise<{ close(): Promise<void> }> {
  const socket = createSocket({ type: isRelayed(port) ? 'udp6' : 'udp4', ipv6Only: isRelayed(port) })
  socket.bind({ address: port.bindAddress, port: port.hostPort, exclusive: true })
  try {
    await once(socket, 'listening')
  } catch (error) {
    socket.close()
    throw error
  }
  return new UdpRelay(socket, target, isRelayed(port), log)
}
