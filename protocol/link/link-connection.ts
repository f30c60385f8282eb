/** One side of the link: messages, requests with answers, and streams over one websocket. */
import type { RawData, WebSocket } from 'ws'
import { DroverError, kitErrors, type Logger, type Validator } from '../../kit/index.ts'
import { protocolErrors } from '../errors.ts'
import { closeReason } from './close-reason.ts'
import { LinkStream, type StreamTransport } from './link-stream.ts'
import {
  type AgentMessage,
  decodeStreamData,
  ERROR_CODE_LIMIT,
  ERROR_MESSAGE_LIMIT,
  encodeStreamData,
  LINK_PING_INTERVAL,
  LINK_SILENCE_LIMIT,
  type ServerMessage,
} from './messages.ts'
import { isPacked, unpackMessage } from './packed-message.ts'

type AnyMessage = AgentMessage | ServerMessage
type ControlType = 'request' | 'response' | 'stream.open' | 'stream.end' | 'stream.window'
/** Messages that the connection leaves to its owner. */
export type OwnMessage<Message extends AnyMessage> = Exclude<Message, { type: ControlType }>

export interface LinkConnectionOptions<Incoming extends AnyMessage> {
  readonly socket: WebSocket
  readonly incoming: Validator<Incoming>
  readonly log: Logger
  readonly onMessage: (message: OwnMessage<Incoming>) => void
  /** Answers a request of the other side; a thrown error is its answer. */
  readonly onRequest: (method: string, params: unknown) => Promise<unknown>
  /** Takes over a stream that the other side opened; without it streams are refused. */
  readonly onStream?: (kind: string, params: unknown, stream: LinkStream) => void
  /** Called once, when nothing can be sent or received any more. */
  readonly onClose: (reason: string) => void
}

interface PendingRequest {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

/** A side that does not take what it is sent is cut off at so many waiting bytes. */
const BACKLOG_LIMIT = 64 * 1024 * 1024
const MAXIMUM_STREAMS = 1024
/** Requests of the other side that are being answered. */
const MAXIMUM_REQUESTS = 1024
/** Application-defined websocket close code (RFC 6455, 7.4.2): a message that breaks the protocol. */
const PROTOCOL_VIOLATION = 4400

/** Every stream has a last listener: an error that nobody waits for must not end the process. */
function ignoreError(): void {}

/** As much of it as the other side takes: what users asked for may be in the message, and of any length. */
function describe(error: unknown): { code: string; message: string; status?: number } {
  const { code, message, ...status } =
    error instanceof DroverError
      ? { code: error.code, message: error.explain(), status: error.status }
      : { code: 'RequestFailed', message: error instanceof Error ? error.message : String(error) }
  return { code: code.slice(0, ERROR_CODE_LIMIT), message: message.slice(0, ERROR_MESSAGE_LIMIT), ...status }
}

function revive(error: { code: string; message: string; status?: number }): DroverError {
  return new DroverError(error.code, { status: error.status ?? 502, message: error.message })
}

export class LinkConnection<Incoming extends AnyMessage, Outgoing extends AnyMessage>
  implements StreamTransport
{
  readonly #options: LinkConnectionOptions<Incoming>
  readonly #pending = new Map<number, PendingRequest>()
  readonly #streams = new Map<number, LinkStream>()
  #answering = 0
  readonly #ping: NodeJS.Timeout
  #lastHeard = performance.now()
  #nextRequest = 1
  #nextStream = 1
  #closed = false

  constructor(options: LinkConnectionOptions<Incoming>) {
    this.#options = options
    const { socket } = options
    socket.on('message', (data, binary) => this.#receive(data, binary))
    socket.on('ping', () => this.#heard())
    socket.on('pong', () => this.#heard())
    socket.on('error', error => this.#end(error.message))
    socket.on('close', (code, reason) =>
      this.#end(reason.length > 0 ? reason.toString() : `close code ${code}`),
    )
    this.#ping = setInterval(() => this.#keepAlive(), LINK_PING_INTERVAL)
  }

  /** Bytes that were sent and not yet taken by the network. */
  get backlog(): number {
    return this.#options.socket.bufferedAmount
  }

  /** Sends a message; on a closed connection it goes nowhere, as it would have a moment later. */
  send(message: OwnMessage<Outgoing>): void {
    this.#sendText(JSON.stringify(message))
  }

  /** Sends a message that is encoded already, and perhaps packed: one that many connections get. */
  sendEncoded(message: string | Buffer): void {
    this.#sendText(message)
  }

  /**
   * Asks the other side.
   *
   * @param deadline milliseconds
   * @throws the error that the other side answered, `DeadlineExceeded`, `LinkClosed`
   */
  request(method: string, params: unknown, deadline: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(protocolErrors.LinkClosed())
        return
      }
      const id = this.#nextRequest
      this.#nextRequest += 1
      const timer = setTimeout(() => {
        this.#pending.delete(id)
        reject(kitErrors.DeadlineExceeded({ object: method, expected: `an answer within ${deadline} ms` }))
      }, deadline)
      this.#pending.set(id, { resolve, reject, timer })
      this.#sendText(JSON.stringify({ type: 'request', id, method, params }))
    })
  }

  /** Opens a stream; errors, also that of a refusal, come as the stream's. */
  openStream(kind: string, params: unknown): LinkStream {
    const id = this.#nextStream
    this.#nextStream += 1
    const stream = new LinkStream(id, this)
    stream.on('error', ignoreError)
    if (this.#closed) stream.disconnect(protocolErrors.LinkClosed())
    else if (this.#streams.size >= MAXIMUM_STREAMS) {
      stream.disconnect(kitErrors.QueueFull({ object: 'streams of the connection' }))
    } else {
      this.#streams.set(id, stream)
      this.#sendText(JSON.stringify({ type: 'stream.open', stream: id, kind, params }))
    }
    return stream
  }

  close(reason: string): void {
    this.#options.socket.close(1000, closeReason(reason))
    this.#end(reason)
  }

  /** Ends the connection without waiting for the other side. */
  terminate(reason: string): void {
    this.#options.socket.terminate()
    this.#end(reason)
  }

  sendData(stream: number, data: Uint8Array): void {
    if (!this.#closed) this.#options.socket.send(encodeStreamData(stream, data))
  }

  sendEnd(stream: number, error: Error | undefined): void {
    const described = error === undefined ? {} : { error: describe(error) }
    this.#sendText(JSON.stringify({ type: 'stream.end', stream, ...described }))
  }

  sendWindow(stream: number, bytes: number): void {
    this.#sendText(JSON.stringify({ type: 'stream.window', stream, bytes }))
  }

  forget(stream: number): void {
    this.#streams.delete(stream)
  }

  #sendText(text: string | Buffer): void {
    if (this.#closed) return
    const { socket } = this.#options
    if (socket.bufferedAmount > BACKLOG_LIMIT) this.terminate('the other side does not take what it is sent')
    else socket.send(text)
  }

  #heard(): void {
    this.#lastHeard = performance.now()
  }

  #keepAlive(): void {
    if (performance.now() - this.#lastHeard > LINK_SILENCE_LIMIT) this.terminate('silent for too long')
    else this.#options.socket.ping()
  }

  #receive(data: RawData, binary: boolean): void {
    this.#heard()
    if (this.#closed) return
    const buffer = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer)
    if (binary && !isPacked(buffer)) {
      const frame = decodeStreamData(buffer)
      if (frame !== undefined) this.#streams.get(frame.stream)?.receiveData(frame.data)
      return
    }
    let message: Incoming
    try {
      const text = binary ? unpackMessage(buffer) : buffer.toString('utf8')
      message = this.#options.incoming.parse(JSON.parse(text), 'message')
    } catch (error) {
      this.#options.log.warn({ err: error }, 'received a message that breaks the protocol')
      this.#options.socket.close(PROTOCOL_VIOLATION, 'a message breaks the protocol')
      this.#end('received a message that breaks the protocol')
      return
    }
    this.#dispatch(message)
  }

  #dispatch(message: AnyMessage): void {
    switch (message.type) {
      case 'request':
        void this.#answer(message.id, message.method, message.params)
        return
      case 'response':
        this.#settle(message)
        return
      case 'stream.open':
        this.#accept(message.stream, message.kind, message.params)
        return
      case 'stream.end':
        this.#streams
          .get(message.stream)
          ?.receiveEnd(message.error === undefined ? undefined : revive(message.error))
        return
      case 'stream.window':
        this.#streams.get(message.stream)?.receiveWindow(message.bytes)
        return
      default:
        this.#options.onMessage(message as OwnMessage<Incoming>)
    }
  }

  async #answer(id: number, method: string, params: unknown): Promise<void> {
    this.#answering += 1
    try {
      if (this.#answering > MAXIMUM_REQUESTS)
        throw kitErrors.QueueFull({ object: 'requests of the connection' })
      const result = await this.#options.onRequest(method, params)
      this.#sendText(JSON.stringify({ type: 'response', id, result: result ?? null }))
    } catch (error) {
      this.#sendText(JSON.stringify({ type: 'response', id, error: describe(error) }))
    } finally {
      this.#answering -= 1
    }
  }

  #settle(message: Extract<AnyMessage, { type: 'response' }>): void {
    const pending = this.#pending.get(message.id)
    if (pending === undefined) return
    this.#pending.delete(message.id)
    clearTimeout(pending.timer)
    if (message.error === undefined) pending.resolve(message.result)
    else pending.reject(revive(message.error))
  }

  #accept(id: number, kind: string, params: unknown): void {
    const stream = new LinkStream(id, this)
    this.#streams.set(id, stream)
    stream.on('error', ignoreError)
    const { onStream } = this.#options
    if (onStream === undefined || this.#streams.size > MAXIMUM_STREAMS) {
      stream.destroy(protocolErrors.RequestFailed({ message: 'streams are refused' }))
    } else onStream(kind, params, stream)
  }

  #end(reason: string): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#ping)
    const error = protocolErrors.LinkClosed({ message: `the connection was closed: ${reason}` })
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer)
      reject(error)
    }
    this.#pending.clear()
    for (const stream of [...this.#streams.values()]) stream.disconnect(error)
    this.#options.onClose(reason)
  }
}
