/** Answers datagrams. */
import { createSocket, type Socket } from 'node:dgram'
import { explainError, kitErrors, type Logger, systemErrorCode } from '../kit/index.ts'
import type { Resolver } from './resolver.ts'

export interface ListenerOptions {
  readonly host: string
  readonly resolver: Resolver
  readonly log: Logger
}

/** Bytes that the kernel keeps for us while we are busy. */
const RECEIVE_BUFFER = 1024 * 1024

export class UdpListener {
  readonly #options: ListenerOptions
  readonly #abort = new AbortController()
  readonly #socket: Socket

  constructor(options: ListenerOptions) {
    this.#options = options
    this.#socket = createSocket({
      type: 'udp4',
      // Every address is a number; the default would take a turn of the event loop to find that out.
      lookup: (address, _options, callback) => callback(null, address, 4),
    })
  }

  get port(): number {
    return this.#socket.address().port
  }

  /** @param port 0 takes any free one. @throws `AddressInUse` */
  start(port: number): Promise<void> {
    const { host, log } = this.#options
    const socket = this.#socket
    return new Promise((resolve, reject) => {
      const onError = (cause: Error) => {
        const inUse = systemErrorCode(cause) === 'EADDRINUSE'
        reject(inUse ? kitErrors.AddressInUse({ object: `dns ${host}:${port}/udp`, cause }) : cause)
      }
      socket.once('error', onError)
      socket.bind(port, host, () => {
        socket.off('error', onError)
        socket.on('error', error => log.warn({ err: error }, 'the DNS socket reports an error'))
        socket.on('message', (message, { address, port: clientPort }) =>
          this.#receive(message, address, clientPort),
        )
        try {
          socket.setRecvBufferSize(RECEIVE_BUFFER)
        } catch (error) {
          log.debug({ reason: explainError(error) }, 'the kernel keeps its receive buffer as it is')
        }
        resolve()
      })
    })
  }

  stop(): Promise<void> {
    this.#abort.abort()
    return new Promise(resolve => this.#socket.close(() => resolve()))
  }

  #receive(message: Buffer, address: string, port: number): void {
    // Nothing can be sent to port 0; only forged datagrams come from there.
    if (port === 0) return
    try {
      const answer = this.#options.resolver.answer(message, address, 'udp', this.#abort.signal)
      if (answer instanceof Promise) this.#sendLater(answer, address, port)
      else if (answer !== undefined) this.#socket.send(answer, port, address)
    } catch (error) {
      this.#failed(error, address)
    }
  }

  #sendLater(answer: Promise<Buffer | undefined>, address: string, port: number): void {
    answer
      .then(response => {
        if (response !== undefined && !this.#abort.signal.aborted) this.#socket.send(response, port, address)
      })
      .catch(error => this.#failed(error, address))
  }

  #failed(error: unknown, address: string): void {
    this.#options.log.error({ err: error, client: address }, 'a DNS query could not be handled')
  }
}
