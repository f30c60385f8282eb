/** Encoded answers, and which of them are still true. */
import { hash } from 'node:crypto'
import type { Signal } from '../model/index.ts'
import { jsonPieces } from './json-format.ts'
import type { Format } from './negotiation.ts'
import { toText } from './text-format.ts'
import type { ViewValue } from './view-value.ts'
import { yamlPieces } from './yaml-format.ts'

const CONTENT_TYPE: Readonly<Record<Format, string>> = {
  text: 'text/plain; charset=utf-8',
  json: 'application/json',
  yaml: 'application/yaml',
}

/** An answer that fits into memory as it is. */
export interface Answer {
  readonly kind: 'whole'
  readonly status: number
  /** Names and values, alternating. */
  readonly headers: readonly string[]
  readonly body: string | Buffer
  /** Of the body. */
  readonly bytes: number
  readonly etag?: string
}

/** An answer that is made while it is sent. */
export interface LongAnswer {
  readonly kind: 'pieces'
  readonly status: number
  readonly headers: readonly string[]
  readonly pieces: Iterator<string>
}

/** Names a body: the same text has the same one, on every host and after every restart. */
export function etagOf(text: string): string {
  return hash('sha1', text, 'base64url').slice(0, 20)
}

function headersOf(format: Format, etag: string | undefined, length: number | undefined): string[] {
  return [
    'Content-Type',
    CONTENT_TYPE[format],
    'Access-Control-Allow-Origin',
    '*',
    ...(etag === undefined ? [] : ['ETag', etag]),
    'Vary',
    'Accept',
    ...(length === undefined ? [] : ['Content-Length', String(length)]),
  ]
}

/** Characters up to which a body stays text: Node.js sends it with the headers in one piece, a buffer in a second. */
const SHORT = 4_096

function wholeAnswer(status: number, format: Format, text: string): Answer {
  const bytes = Buffer.byteLength(text)
  const etag = status === 200 ? `"${etagOf(text)}"` : undefined
  const body = text.length <= SHORT ? text : Buffer.from(text)
  return {
    kind: 'whole',
    status,
    headers: headersOf(format, etag, bytes),
    body,
    bytes,
    ...(etag === undefined ? {} : { etag }),
  }
}

/** Characters of an answer that is made before it is sent. */
const WHOLE_LIMIT = 256 * 1024

function* startingWith(text: string, rest: Iterator<string>): Generator<string> {
  yield text
  for (let piece = rest.next(); piece.done !== true; piece = rest.next()) yield piece.value
}

/**
 * Encodes a value; a large one only as far as needs be to know that it is.
 *
 * @param version of all that the requester sees: names a large answer without reading it
 */
export function answerOf(value: ViewValue, format: Format, version: () => string): Answer | LongAnswer {
  if (format === 'text') return wholeAnswer(200, format, toText(value))
  const pieces = format === 'json' ? jsonPieces(value) : yamlPieces(value)
  let text = ''
  for (let piece = pieces.next(); piece.done !== true; piece = pieces.next()) {
    text += piece.value
    if (text.length < WHOLE_LIMIT) continue
    return {
      kind: 'pieces',
      status: 200,
      headers: headersOf(format, `W/"v${version()}"`, undefined),
      pieces: startingWith(text, pieces),
    }
  }
  return wholeAnswer(200, format, text)
}

/** Errors in the form that clients know. */
export function errorAnswer(status: number, format: Format, message: string): Answer {
  const fields = { code: status, message, type: 'error' }
  const text =
    format === 'text'
      ? message
      : format === 'json'
        ? JSON.stringify(fields)
        : [...yamlPieces(fields)].join('')
  return wholeAnswer(status, format, text)
}

interface Kept {
  readonly answer: Answer
  readonly signals: readonly Signal[]
  readonly versions: readonly number[]
}

const CAPACITY = 4_096
/** Bytes of all answers that are kept. */
const BYTE_CAPACITY = 16 * 1024 * 1024

export class AnswerCache {
  readonly #kept = new Map<string, Kept>()
  #bytes = 0

  /** The answer, unless something that it was made from has changed. */
  find(key: string): Answer | undefined {
    const kept = this.#kept.get(key)
    if (kept === undefined) return undefined
    const { signals, versions } = kept
    for (let index = 0; index < signals.length; index += 1) {
      if (signals[index]?.version === versions[index]) continue
      this.#remove(key, kept)
      return undefined
    }
    return kept.answer
  }

  /** @param signals of everything that was read for the answer, as they were when it was read */
  keep(key: string, answer: Answer, signals: readonly Signal[]): void {
    const present = this.#kept.get(key)
    if (present !== undefined) this.#remove(key, present)
    this.#kept.set(key, { answer, signals, versions: signals.map(({ version }) => version) })
    this.#bytes += answer.bytes
    while (this.#kept.size > CAPACITY || this.#bytes > BYTE_CAPACITY) {
      const oldest = this.#kept.entries().next().value
      if (oldest === undefined) return
      this.#remove(...oldest)
    }
  }

  #remove(key: string, kept: Kept): void {
    if (this.#kept.delete(key)) this.#bytes -= kept.answer.bytes
  }
}
