/** Answers: JSON or YAML, compressed when it pays, streamed when they are large. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { constants, createGzip, gzip } from 'node:zlib'
import { stringify } from 'yaml'
import type { Representation } from '../presentation/index.ts'
import { StatusError } from '../status.ts'

const compress = promisify(gzip)

/** Shorter bodies are sent as they are: the saved bytes are not worth the time. As in Kubernetes. */
const GZIP_THRESHOLD = 128 * 1024
/** Bodies longer than this are streamed. */
const STREAM_THRESHOLD = 1024 * 1024
/** Piece of a streamed body. */
const PIECE = 64 * 1024
/** YAML takes long to write, and the event loop waits for it. */
const YAML_LIMIT = 512 * 1024
/** Warnings of one answer, and characters of each: all headers together have a limit at the client. */
const WARNING_LIMIT = 20
const WARNING_LENGTH = 200
const GZIP_OPTIONS = { level: constants.Z_BEST_SPEED }

/** Those that people type into; other programs get lines as short as can be. As in Kubernetes. */
const TYPED_CLIENTS = /^(?:curl|Wget|Mozilla)\//

/** Whether who asks reads the answer: they say so, or are known for it. */
function isRead({ url = '', headers }: IncomingMessage): boolean {
  const [, pretty] = /[?&]pretty=([^&]*)/.exec(url) ?? []
  if (pretty === undefined) return TYPED_CLIENTS.test(headers['user-agent'] ?? '')
  return pretty === '' || pretty === '1' || pretty.toLowerCase() === 'true'
}

function acceptsGzip(request: IncomingMessage): boolean {
  return /\bgzip\b/.test(request.headers['accept-encoding'] ?? '')
}

/** Joins small texts into pieces worth sending. */
function* inPieces(first: readonly string[], rest: Iterator<string>): Generator<string> {
  let piece = first.join('')
  for (let next = rest.next(); next.done !== true; next = rest.next()) {
    piece += next.value
    if (piece.length < PIECE) continue
    yield piece
    piece = ''
  }
  yield piece
}

export class Answer {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly #warnings: string[] = []
  /** The form that errors take, once it is known. */
  media: Representation['media'] = 'json'

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request
    this.response = response
  }

  /** Adds a warning to the answer (RFC 9111 §5.5, code 299); kubectl shows it. */
  warn(text: string): void {
    if (this.#warnings.length >= WARNING_LIMIT) return
    const shown = text
      .slice(0, WARNING_LENGTH)
      .replaceAll(/[^ -~]/g, '?')
      .replaceAll(/["\\]/g, '\\$&')
    this.#warnings.push(`299 - "${shown}"`)
  }

  /** Sends a body. */
  async send(status: number, body: string, contentType?: string): Promise<void> {
    const type = contentType ?? (this.media === 'yaml' ? 'application/yaml' : 'application/json')
    const text = contentType === undefined ? this.#written(body) : body
    this.#setHeaders(type)
    if (text.length < GZIP_THRESHOLD || !acceptsGzip(this.request)) {
      this.response.writeHead(status)
      this.response.end(text)
      return
    }
    const compressed = await compress(text, GZIP_OPTIONS)
    this.response.setHeader('content-encoding', 'gzip')
    this.response.writeHead(status)
    this.response.end(compressed)
  }

  /** Sends a body that is no text. */
  async sendBytes(status: number, body: Buffer, contentType: string): Promise<void> {
    this.#setHeaders(contentType)
    const packed = acceptsGzip(this.request) ? await compress(body, GZIP_OPTIONS) : body
    if (packed !== body) this.response.setHeader('content-encoding', 'gzip')
    this.response.writeHead(status)
    this.response.end(packed)
  }

  /** Sends a body that is made while it is sent. */
  async sendParts(status: number, parts: Iterable<string>): Promise<void> {
    const iterator = parts[Symbol.iterator]()
    const first: string[] = []
    let size = 0
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) {
      first.push(next.value)
      size += next.value.length
      if (size < STREAM_THRESHOLD) continue
      if (this.media === 'yaml') throw tooLargeForYaml()
      await this.#stream(status, inPieces(first, iterator))
      return
    }
    await this.send(status, first.join(''))
  }

  async #stream(status: number, pieces: Iterable<string>): Promise<void> {
    this.#setHeaders('application/json')
    const source = Readable.from(pieces, { objectMode: true })
    if (!acceptsGzip(this.request)) {
      this.response.writeHead(status)
      await pipeline(source, this.response)
      return
    }
    this.response.setHeader('content-encoding', 'gzip')
    this.response.writeHead(status)
    await pipeline(source, createGzip(GZIP_OPTIONS), this.response)
  }

  #written(json: string): string {
    return this.media === 'yaml' ? this.#yaml(json) : this.readable(json)
  }

  /** With lines and indentation, for those who read it themselves. */
  readable(json: string): string {
    if (json.length > STREAM_THRESHOLD || !isRead(this.request)) return json
    return `${JSON.stringify(JSON.parse(json), undefined, 2)}\n`
  }

  #yaml(json: string): string {
    if (json.length > YAML_LIMIT) throw tooLargeForYaml()
    return stringify(JSON.parse(json), { aliasDuplicateObjects: false })
  }

  #setHeaders(contentType: string): void {
    this.response.setHeader('content-type', contentType)
    this.response.setHeader('cache-control', 'no-cache, private')
    if (this.#warnings.length > 0) this.response.setHeader('warning', this.#warnings)
  }
}

function tooLargeForYaml(): StatusError {
  return new StatusError('NotAcceptable', `answers of more than ${YAML_LIMIT} bytes are not written as YAML`)
}
