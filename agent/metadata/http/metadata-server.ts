/** The metadata service of a host: what containers read at http://169.254.169.250. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  atMost,
  type Clock,
  type Daemon,
  HttpListener,
  isDroverError,
  type Logger,
  systemClock,
} from '../../../kit/index.ts'
import { type MetadataModel, Reading, type SignalBoard } from '../model/index.ts'
import type { Requesters } from '../requesters/index.ts'
import { type Answer, AnswerCache, answerOf, errorAnswer, type LongAnswer } from './answers.ts'
import { ContainerViews } from './container-views.ts'
import { metadataErrors } from './errors.ts'
import { isStreamRequest, serveEvents, streamPrefix } from './event-stream.ts'
import { requireDirectRequest } from './guard.ts'
import { type Format, negotiate } from './negotiation.ts'
import { RequestCounts } from './request-counts.ts'
import { type KnownRequester, rootView } from './root-view.ts'
import { type LongPoll, parseTarget, type Target } from './target.ts'
import { toText } from './text-format.ts'
import { VERSIONS } from './versions.ts'
import { type ViewValue, valueAt } from './view-value.ts'
import { WaitingRoom } from './waiting.ts'

export interface MetadataServerOptions {
  readonly host: string
  /** 0 takes any free port; `port` tells which. */
  readonly port: number
  readonly model: MetadataModel
  readonly signals: SignalBoard
  readonly requesters: Requesters
  readonly log: Logger
  readonly clock?: Clock
}

/** The agent has files of its own to open, whatever containers do. */
const MOST_CONNECTIONS = 4_096
/** Milliseconds that a container which was just started waits until it is known who it is. */
const UNKNOWN_WAIT = 5_000
/** Milliseconds that a client may take for a piece of a long answer. */
const DRAIN_DEADLINE = 30_000

/** What a request is about, however it is answered. */
interface Exchange {
  readonly response: ServerResponse
  readonly requester: KnownRequester
  readonly format: Format
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

export class MetadataServer implements Daemon {
  readonly name = 'metadata'
  /** What became of the requests so far. */
  readonly counts = new RequestCounts()
  readonly #options: MetadataServerOptions
  readonly #clock: Clock
  readonly #listener: HttpListener
  readonly #answers = new AnswerCache()
  readonly #containers = new ContainerViews()
  readonly #waiting: WaitingRoom
  /** Added to counts of changes, so that numbers go on growing after a restart. */
  readonly #versionBase: number

  constructor(options: MetadataServerOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#waiting = new WaitingRoom(this.#clock)
    this.#versionBase = this.#clock.now()
    this.#listener = new HttpListener({
      name: 'metadata',
      host: options.host,
      port: options.port,
      maximumConnections: MOST_CONNECTIONS,
      onRequest: (request, response) => this.#handle(request, response),
    })
  }

  /** Requests that wait now: for changes, or until it is known who asks. */
  get waiting(): number {
    return this.#waiting.size
  }

  get port(): number {
    return this.#listener.port
  }

  /** @throws `AddressInUse` */
  async start(): Promise<void> {
    await this.#listener.start()
  }

  async stop(): Promise<void> {
    await this.#listener.stop()
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const format = negotiate(request.headers.accept)
    try {
      if (request.method !== 'GET' && request.method !== 'HEAD') throw metadataErrors.MethodNotAllowed()
      requireDirectRequest(request.headers)
      const address = request.socket.remoteAddress ?? ''
      const requester = this.#options.requesters.of(address)
      const url = request.url ?? '/'
      if (requester === undefined) throw metadataErrors.Forbidden()
      const asked = { response, format, url, headers: request.headers }
      if (requester.kind === 'unknown') this.#serveUnknown(address, asked)
      else this.#serve({ ...asked, requester })
    } catch (error) {
      this.#fail(response, format, error)
    }
  }

  /** A container may ask before anybody said which one it is. */
  #serveUnknown(address: string, asked: Omit<Exchange, 'requester'>): void {
    const { requesters } = this.#options
    const { response, format } = asked
    const closed = closingOf(response)
    this.#waiting
      .admit(() => requesters.whenKnown(address, UNKNOWN_WAIT, closed))
      .then(() => {
        const requester = requesters.of(address)
        if (requester === undefined || requester.kind === 'unknown') throw metadataErrors.UnknownRequester()
        this.#serve({ ...asked, requester })
      })
      .catch(error => this.#fail(response, format, error))
  }

  #serve(exchange: Exchange): void {
    const { requester, format, url, response, headers } = exchange
    if (isStreamRequest(url)) {
      this.#stream(exchange)
      return
    }
    const key = `${requester.kind === 'host' ? '' : requester.instance.uuid} ${format} ${url}`
    const known = this.#answers.find(key)
    if (known !== undefined) {
      this.counts.answered += 1
      sendUnlessKnown(response, headers, known)
      return
    }
    const target = parseTarget(url)
    if (target.longPoll !== undefined && target.version !== undefined) {
      this.#poll(exchange, target, target.longPoll)
      return
    }
    const reading = this.#reading()
    const value = this.#value(requester, target, reading)
    const answer = answerOf(value, format, () => this.#versionFor(requester, reading))
    this.counts.answered += 1
    if (answer.kind === 'pieces') {
      this.#sendPieces(response, answer)
      return
    }
    this.#answers.keep(key, answer, reading.signals)
    sendUnlessKnown(response, headers, answer)
  }

  #reading(): Reading {
    return new Reading(this.#options.model, this.#options.signals)
  }

  /** @throws `NotFound` */
  #value(requester: KnownRequester, { version: name, path }: Target, reading: Reading): ViewValue {
    if (name === undefined) return Object.fromEntries([...VERSIONS.keys()].map(key => [key, `/${key}`]))
    const version = VERSIONS.get(name)
    if (version === undefined) throw metadataErrors.NotFound()
    const root = rootView({
      reader: reading,
      version,
      containers: this.#containers,
      requester: this.#current(requester, reading),
      hostUuid: this.#options.requesters.hostUuid,
      dataVersion: () => this.#versionFor(requester, reading),
    })
    const value = valueAt(root, path)
    if (value === undefined) throw metadataErrors.NotFound()
    return value
  }

  /** Changes with whatever the requester sees. */
  #versionFor(requester: KnownRequester, reading: Reading): string {
    const environmentUuid = requester.kind === 'host' ? undefined : requester.instance.environmentUuid
    return String(this.#versionBase + reading.changesOf(environmentUuid))
  }

  #stream({ requester, url, headers, response, format }: Exchange): void {
    const prefix = streamPrefix(url)
    const target = parseTarget(prefix)
    const closed = closingOf(response)
    const observe = () => {
      const reading = this.#reading()
      return {
        value: this.#valueIfAny(requester, target, reading),
        signals: () => reading.signals,
        version: () => this.#versionFor(requester, reading),
      }
    }
    this.counts.streams += 1
    const lastEventId = headers['last-event-id']
    this.#waiting
      .admit(() =>
        serveEvents({
          response,
          prefix,
          lastEventId: typeof lastEventId === 'string' ? lastEventId : undefined,
          observe,
          waiting: this.#waiting,
          closed,
        }),
      )
      .catch(error => {
        if (response.headersSent) response.destroy()
        else this.#fail(response, format, error)
      })
  }

  #valueIfAny(requester: KnownRequester, target: Target, reading: Reading): ViewValue | undefined {
    try {
      return this.#value(requester, target, reading)
    } catch (error) {
      if (isDroverError(error, 'NotFound')) return undefined
      throw error
    }
  }

  /** The requester as the model shows it now, which for a request that waited may be otherwise than it was. */
  #current(requester: KnownRequester, reading: Reading): KnownRequester {
    if (requester.kind === 'host') return requester
    const instance = reading.get('instance', requester.instance.uuid)
    if (instance === undefined) throw metadataErrors.NotFound()
    return { kind: 'container', instance }
  }

  #poll(exchange: Exchange, target: Target, longPoll: LongPoll): void {
    const { response, format } = exchange
    const closed = closingOf(response)
    this.#waiting
      .admit(() => this.#untilChanged(exchange, target, longPoll, closed))
      .then(
        answer => {
          if (closed.aborted) return
          this.counts.answered += 1
          if (answer.kind === 'pieces') this.#sendPieces(response, answer)
          else send(response, answer)
        },
        error => {
          if (!closed.aborted) this.#fail(response, format, error)
        },
      )
  }

  /** Waits for another value than the client has; looks only when something was changed that the value is made of. */
  async #untilChanged(
    { requester, format }: Exchange,
    target: Target,
    { value: old, maximumWait }: LongPoll,
    closed: AbortSignal,
  ): Promise<Answer | LongAnswer> {
    const end = this.#clock.monotonic() + maximumWait
    for (;;) {
      const reading = this.#reading()
      const value = this.#value(requester, target, reading)
      const remaining = end - this.#clock.monotonic()
      if (remaining <= 0 || closed.aborted || toText(value) !== old) {
        return answerOf(value, format, () => this.#versionFor(requester, reading))
      }
      await this.#waiting.change(reading.signals, remaining, closed)
    }
  }

  #sendPieces(response: ServerResponse, answer: LongAnswer): void {
    writePieces(response, answer).catch(error => {
      this.#options.log.debug({ err: error }, 'a long answer was given up')
      response.destroy()
    })
  }

  #fail(response: ServerResponse, format: Format, error: unknown): void {
    if (!isDroverError(error)) this.#options.log.error({ err: error }, 'a metadata request failed')
    const [status, message] = isDroverError(error)
      ? [error.status, error.message]
      : [500, 'Internal server error']
    this.counts.add(status)
    if (status === 405) response.setHeader('Allow', 'GET, HEAD')
    if (status === 503) response.setHeader('Retry-After', '1')
    send(response, errorAnswer(status, format, message))
  }
}

/** Aborts when nobody is there any more to be answered. */
function closingOf(response: ServerResponse): AbortSignal {
  const closed = new AbortController()
  response.once('close', () => closed.abort())
  return closed.signal
}

/** Whether the client has this body already (RFC 9110, 13.1.2). */
function hasAlready({ 'if-none-match': known }: IncomingHttpHeaders, { etag }: Answer): boolean {
  if (known === undefined || etag === undefined) return false
  return known.split(',').some(tag => tag.trim().replace(/^W\//, '') === etag || tag.trim() === '*')
}

function sendUnlessKnown(response: ServerResponse, headers: IncomingHttpHeaders, answer: Answer): void {
  if (!hasAlready(headers, answer)) {
    send(response, answer)
    return
  }
  response.writeHead(304, { ETag: answer.etag, 'Access-Control-Allow-Origin': '*', Vary: 'Accept' })
  response.end()
}

function send(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, headers as string[])
  response.end(body)
}

/** Sends a long answer as fast as it is taken, with room for others in between. */
async function writePieces(response: ServerResponse, { status, headers, pieces }: LongAnswer): Promise<void> {
  response.writeHead(status, headers as string[])
  let text = ''
  for (let piece = pieces.next(); piece.done !== true; piece = pieces.next()) {
    text += piece.value
    if (text.length < 64 * 1024) continue
    const room = response.write(text)
    text = ''
    if (!room) await drained(response)
    await nextTurn()
    if (response.destroyed) return
  }
  response.end(text)
}

async function drained(response: ServerResponse): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  response.once('drain', resolve)
  response.once('close', resolve)
  try {
    await atMost(DRAIN_DEADLINE, 'long answer', promise)
  } finally {
    response.off('drain', resolve)
    response.off('close', resolve)
  }
}
