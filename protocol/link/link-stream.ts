/** One stream of bytes inside the link, with flow control by credits so that a slow reader slows its writer only. */
import { Duplex } from 'node:stream'
import { protocolErrors } from '../errors.ts'
import { STREAM_WINDOW } from './messages.ts'

/** How a stream reaches the other side. */
export interface StreamTransport {
  sendData(stream: number, data: Uint8Array): void
  sendEnd(stream: number, error: Error | undefined): void
  sendWindow(stream: number, bytes: number): void
  /** The stream is over in both directions. */
  forget(stream: number): void
}

/** Bytes of one binary message: small enough that other streams get their turn in between. */
const CHUNK = 32 * 1024

export class LinkStream extends Duplex {
  readonly id: number
  readonly #transport: StreamTransport
  /** How many bytes the other side still accepts. */
  #window = STREAM_WINDOW
  /** Bytes that were handed to the reader and not yet given back as credit. */
  #received = 0
  #waiting: (() => void) | undefined
  #sentEnd = false
  #receivedEnd = false
  /** The other side reads nothing any more. */
  #unread = false

  constructor(id: number, transport: StreamTransport) {
    super({ readableHighWaterMark: STREAM_WINDOW, writableHighWaterMark: CHUNK, allowHalfOpen: true })
    this.id = id
    this.#transport = transport
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    let rest = chunk
    const proceed = () => {
      this.#waiting = undefined
      if (this.#unread) {
        callback()
        return
      }
      while (rest.length > 0 && this.#window > 0) {
        const part = rest.subarray(0, Math.min(CHUNK, this.#window))
        rest = rest.subarray(part.length)
        this.#window -= part.length
        this.#transport.sendData(this.id, part)
      }
      if (rest.length === 0) callback()
      else this.#waiting = proceed
    }
    proceed()
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#sendEnd(undefined)
    callback()
  }

  override _read(): void {
    if (this.#received === 0 || this.#receivedEnd) return
    const bytes = this.#received
    // First: the other side may answer within the call.
    this.#received = 0
    this.#transport.sendWindow(this.id, bytes)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // Ending only one direction is not enough to let go; the other side must stop, too.
    if (!this.#sentEnd || !this.#receivedEnd) {
      this.#sentEnd = false
      this.#sendEnd(error ?? protocolErrors.LinkClosed({ message: 'the stream was closed' }))
    }
    this.#transport.forget(this.id)
    callback(error)
  }

  /** Bytes came from the other side. */
  receiveData(data: Buffer): void {
    if (this.#receivedEnd || this.destroyed) return
    this.#received += data.length
    if (this.#received > STREAM_WINDOW) {
      this.destroy(
        protocolErrors.RequestFailed({ message: 'the other side sent more than it was permitted' }),
      )
      return
    }
    if (this.push(data)) this._read()
  }

  /** The other side sends nothing more; with an error, it reads nothing more either. */
  receiveEnd(error: Error | undefined): void {
    const hasSentAll = this.#receivedEnd
    this.#receivedEnd = true
    if (error === undefined) {
      this.push(null)
      return
    }
    this.#sentEnd = true
    if (!hasSentAll || this.readableEnded) {
      this.destroy(error)
      return
    }
    // It closed the stream after it had sent everything, which may be in our hands still, and counts.
    this.#unread = true
    this.#waiting?.()
    this.once('end', () => this.destroy())
  }

  /** The other side accepts so many more bytes. */
  receiveWindow(bytes: number): void {
    this.#window += bytes
    this.#waiting?.()
  }

  /** The connection is gone; nothing can be sent. */
  disconnect(error: Error): void {
    this.#sentEnd = true
    this.#receivedEnd = true
    this.destroy(error)
  }

  #sendEnd(error: Error | undefined): void {
    if (this.#sentEnd) return
    this.#sentEnd = true
    this.#transport.sendEnd(this.id, error)
  }
}
