/** The DNS server of a host: one address and port, UDP and TCP. */
import type { Daemon, Logger } from '../kit/index.ts'
import { isDroverError } from '../kit/index.ts'
import type { ClientDirectory } from './client-directory.ts'
import type { Forwarder } from './forwarder.ts'
import type { QueryCounts } from './query-counts.ts'
import { Resolver } from './resolver.ts'
import { TcpListener } from './tcp-listener.ts'
import { UdpListener } from './udp-listener.ts'

export interface DnsServerOptions {
  readonly host: string
  /** 0 takes any port that is free for both; `port` tells which. */
  readonly port: number
  readonly clients: ClientDirectory
  readonly forwarder: Forwarder
  readonly log: Logger
}

/** Ports that are tried when any will do: one that is free for UDP may be taken for TCP. */
const ATTEMPTS = 10

export class DnsServer implements Daemon {
  readonly name = 'dns'
  readonly #options: DnsServerOptions
  readonly #resolver: Resolver
  #udp: UdpListener | undefined
  #tcp: TcpListener | undefined

  constructor(options: DnsServerOptions) {
    this.#options = options
    const { clients, forwarder, log } = options
    this.#resolver = new Resolver({ clients, forwarder, log })
  }

  /** The port it listens on; the one that was asked for while it does not. */
  get port(): number {
    return this.#udp?.port ?? this.#options.port
  }

  /** What became of the queries so far; goes on after a stop and another start. */
  get counts(): Readonly<QueryCounts> {
    return this.#resolver.counts
  }

  /** @throws `AddressInUse` when another process has the port */
  async start(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#listen()
        return
      } catch (error) {
        await this.stop()
        const again = this.#options.port === 0 && attempt < ATTEMPTS
        if (!again || !isDroverError(error, 'AddressInUse')) throw error
      }
    }
  }

  async stop(): Promise<void> {
    const udp = this.#udp
    const tcp = this.#tcp
    this.#udp = undefined
    this.#tcp = undefined
    await Promise.all([udp?.stop(), tcp?.stop()])
  }

  async #listen(): Promise<void> {
    const { host, port, log } = this.#options
    const options = { host, resolver: this.#resolver, log }
    const udp = new UdpListener(options)
    this.#udp = udp
    await udp.start(port)
    const tcp = new TcpListener(options)
    this.#tcp = tcp
    await tcp.start(udp.port)
  }
}
