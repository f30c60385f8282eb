/**
 * One side of a SPDY connection: streams that the other side opens, where it is the client, or that this side does.
 *
 * Kubernetes' clients neither keep to windows nor open them, so a slow reader is slowed by TCP: when a stream has
 * enough waiting, nothing more is read from the connection.
 */
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { encodeControl, encodeData, SpdyDecoder, type SpdyFrame, TYPE, words } from './frames.ts'
import { HeaderReader, type Headers, HeaderWriter } from './header-blocks.ts'

/** Streams open at a time: a port that is forwarded needs two for each connection. */
const MOST_STREAMS = 1024
/** Bytes that wait for the reader of one stream before the whole connection waits for it. */
const STREAM_BUFFER = 256 * 1024
/** Bytes of one frame that this side sends, so that other streams get their turn. */
const CHUNK = 32 * 1024
const REFUSED = 3
const CANCEL = 5

type Done = (error?: Error | null) => void
type SendFrame = (frame: Buffer, done: Done) => void

export class SpdyStream extends Duplex {
  readonly id: number
  readonly headers: Headers
  readonly #send: SendFrame
  #reading: (() => void) | undefined
  #ended = false
  #receivedEnd = false

  constructor(id: number, headers: Headers, send: SendFrame) {
    super({ readableHighWaterMark: STREAM_BUFFER, writableHighWaterMark: CHUNK, allowHalfOpen: true })
    this.id = id
    this.headers = headers
    this.#send = send
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: Done): void {
    const rest = chunk.subarray(CHUNK)
    this.#send(encodeData(this.id, chunk.subarray(0, CHUNK), false), error => {
      if (error || rest.length === 0) done(error)
      else this._write(rest, encoding, done)
    })
  }

  override _final(done: Done): void {
    this.#ended = true
    this.#send(encodeData(this.id, Buffer.alloc(0), true), done)
  }

  override _read(): void {
    this.#reading?.()
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#reading?.()
    if (!this.#ended) {
      this.#ended = true
      this.#send(encodeControl(TYPE.reset, 0, words(this.id, CANCEL)), () => undefined)
    }
    done(error)
  }

  /** Bytes of the other side; resolves when more may come. */
  async receive(data: Buffer): Promise<void> {
    // One that goes on after the end it declared is not heard.
    if (this.destroyed || this.#receivedEnd || this.push(data)) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#reading = resolve
    await promise
    this.#reading = undefined
  }

  /** The other side sends no more. */
  receiveEnd(): void {
    if (this.destroyed || this.#receivedEnd) return
    this.#receivedEnd = true
    this.push(null)
  }

  /** The other side neither sends nor takes any more; what it has sent can be read. */
  receiveClose(): void {
    this.#ended = true
    this.receiveEnd()
  }
}

export class SpdySession {
  readonly #transport: Duplex
  readonly #streams = new Map<number, SpdyStream>()
  readonly #reader = new HeaderReader()
  readonly #writer = new HeaderWriter()
  readonly #onStream: (stream: SpdyStream) => void
  /** Clients open streams with odd numbers. */
  #nextId = 1

  /**
   * @param transport the connection after its upgrade; the session owns it
   * @param onStream told of streams that the other side opens
   */
  constructor(transport: Duplex, onStream: (stream: SpdyStream) => void = stream => stream.destroy()) {
    this.#transport = transport
    this.#onStream = onStream
    transport.on('error', () => transport.destroy())
  }

  /** Reads until the connection ends; all streams end with it. @throws RangeError for what is not SPDY */
  async run(): Promise<void> {
    const decoder = new SpdyDecoder()
    try {
      for await (const bytes of this.#transport as AsyncIterable<Buffer>) {
        for (const frame of decoder.decode(bytes)) await this.#receive(frame)
      }
    } finally {
      this.#transport.destroy()
      this.#reader.close()
      this.#writer.close()
      for (const stream of this.#streams.values()) this.#close(stream)
    }
  }

  /** Opens a stream, as the client. One after the other: `run` must be going on. */
  async open(headers: Headers): Promise<SpdyStream> {
    const id = this.#nextId
    this.#nextId += 2
    const stream = this.#add(id, headers)
    const block = await this.#writer.write(headers)
    // Not associated with another stream, of the usual priority.
    await this.#write(encodeControl(TYPE.open, 0, Buffer.concat([words(id, 0), Buffer.alloc(2), block])))
    return stream
  }

  /** Ends the connection after everything that was written is sent. */
  end(): void {
    this.#transport.end()
  }

  async #receive(frame: SpdyFrame): Promise<void> {
    switch (frame.type) {
      case 'open':
        return await this.#open(frame)
      case 'data': {
        const stream = this.#streams.get(frame.stream)
        if (frame.data.length > 0) await stream?.receive(frame.data)
        if (frame.end) stream?.receiveEnd()
        return
      }
      case 'reply':
      case 'headers': {
        // Read also when nobody wants them: the compressor goes on from there.
        await this.#reader.read(frame.block)
        if (frame.end) this.#streams.get(frame.stream)?.receiveEnd()
        return
      }
      case 'reset': {
        const stream = this.#streams.get(frame.stream)
        if (stream !== undefined) this.#close(stream)
        return
      }
      case 'ping':
        return await this.#write(encodeControl(TYPE.ping, 0, words(frame.id)))
      case 'goAway':
      case 'other':
    }
  }

  /** Clients that leave a stream want no more of it; servers do that with one that they are done with. */
  #close(stream: SpdyStream): void {
    if (stream.id < this.#nextId) stream.receiveClose()
    else stream.destroy()
  }

  async #open({ stream: id, end, block }: SpdyFrame & { readonly type: 'open' }): Promise<void> {
    const headers = await this.#reader.read(block)
    if (this.#streams.size >= MOST_STREAMS || this.#streams.has(id)) {
      await this.#write(encodeControl(TYPE.reset, 0, words(id, REFUSED)))
      return
    }
    const stream = this.#add(id, headers)
    await this.#write(encodeControl(TYPE.reply, 0, Buffer.concat([words(id), await this.#writer.write()])))
    this.#onStream(stream)
    if (end) stream.receiveEnd()
  }

  #add(id: number, headers: Headers): SpdyStream {
    const stream = new SpdyStream(id, headers, (frame, done) => {
      if (this.#transport.destroyed) done()
      else this.#transport.write(frame, done)
    })
    this.#streams.set(id, stream)
    stream.once('close', () => this.#streams.delete(id))
    stream.on('error', () => stream.destroy())
    return stream
  }

  async #write(frame: Buffer): Promise<void> {
    if (!this.#transport.write(frame) && !this.#transport.destroyed) {
      await Promise.race([once(this.#transport, 'drain'), once(this.#transport, 'close')])
    }
  }
}
