/**
 * Changes as they happen: `GET /v1/stream?prefix=/latest/services/web`, as server-sent events
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * The first event holds the value below the prefix, every later one the value after a change. A value that is too large
 * to be sent again for every change is announced without it. The id of an event names the value: a client that comes
 * back with it (`Last-Event-ID`) gets no event until there is another one.
 */
import type { ServerResponse } from 'node:http'
import type { Signal } from '../model/index.ts'
import { etagOf } from './answers.ts'
import { metadataErrors } from './errors.ts'
import { jsonPieces } from './json-format.ts'
import type { ViewValue } from './view-value.ts'
import type { WaitingRoom } from './waiting.ts'

/** Characters of a value that is sent with every change. */
const VALUE_LIMIT = 64 * 1024
/** Milliseconds after which a comment keeps the connection from looking dead. */
const HEARTBEAT = 15_000

/** A value as it is now, and what tells when it may be another one. */
export interface Observation {
  /** Undefined when there is nothing below the prefix. */
  readonly value: ViewValue | undefined
  /** Of what was read so far: parts of the value are read when they are shown. */
  readonly signals: () => readonly Signal[]
  /** Changes with whatever the requester can see. */
  readonly version: () => string
}

export interface EventStreamOptions {
  readonly response: ServerResponse
  readonly prefix: string
  readonly lastEventId: string | undefined
  readonly observe: () => Observation
  readonly waiting: WaitingRoom
  /** Aborts when the client is gone. */
  readonly closed: AbortSignal
}

interface Event {
  readonly id: string
  readonly data: Record<string, unknown>
}

/** The path that a client wants to follow. @throws `InvalidPath` */
export function streamPrefix(url: string): string {
  const mark = url.indexOf('?')
  const prefix = mark < 0 ? null : new URLSearchParams(url.slice(mark + 1)).get('prefix')
  if (prefix === null) return '/latest'
  if (!prefix.startsWith('/')) throw metadataErrors.InvalidPath()
  return prefix
}

export function isStreamRequest(url: string): boolean {
  return url === '/v1/stream' || url.startsWith('/v1/stream?')
}

function eventOf(prefix: string, { value, version }: Observation): Event {
  if (value === undefined) return { id: 'none', data: { path: prefix, removed: true } }
  let text = ''
  for (const piece of jsonPieces(value)) {
    text += piece
    if (text.length > VALUE_LIMIT) return { id: `v${version()}`, data: { path: prefix, large: true } }
  }
  return { id: etagOf(text), data: { path: prefix, value: JSON.parse(text) as unknown } }
}

function room(response: ServerResponse, closed: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  response.once('drain', resolve)
  closed.addEventListener('abort', () => resolve(), { once: true })
  if (closed.aborted) resolve()
  return promise
}

/** Serves one stream until the client goes. A slow client gets fewer events, not later ones. */
export async function serveEvents(options: EventStreamOptions): Promise<void> {
  const { response, prefix, observe, waiting, closed } = options
  response.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-store',
    'Access-Control-Allow-Origin': '*',
  })
  response.flushHeaders()
  let last = options.lastEventId
  while (!closed.aborted) {
    const observation = observe()
    const { id, data } = eventOf(prefix, observation)
    const text =
      id === last ? ': still here\n\n' : `id: ${id}\nevent: change\ndata: ${JSON.stringify(data)}\n\n`
    last = id
    if (!response.write(text)) await room(response, closed)
    await waiting.change(observation.signals(), HEARTBEAT, closed)
  }
}
