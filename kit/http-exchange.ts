/** Reading requests and writing answers over node:http, with bounds. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { DroverError, explainError, kitErrors } from './errors.ts'

/** Largest request body that is read, in bytes, unless a route says otherwise. */
export const DEFAULT_BODY_LIMIT = 3 * 1024 * 1024

/** Path and query of a request, split once. `path` is as received, still percent-encoded. */
export interface RequestTarget {
  readonly path: string
  readonly query: URLSearchParams
}

export function requestTarget(request: IncomingMessage): RequestTarget {
  const raw = request.url ?? '/'
  const mark = raw.indexOf('?')
  return mark < 0
    ? { path: raw, query: new URLSearchParams() }
    : { path: raw.slice(0, mark), query: new URLSearchParams(raw.slice(mark + 1)) }
}

/** Milliseconds in which a body has come. */
const BODY_DEADLINE = 60_000

/**
 * Reads the whole body.
 *
 * @param deadline milliseconds; a client that needs longer is cut off
 * @throws `BodyTooLarge` as soon as more than `limit` bytes came or were announced, `DeadlineExceeded`
 */
export async function readBody(
  request: IncomingMessage,
  limit = DEFAULT_BODY_LIMIT,
  deadline = BODY_DEADLINE,
): Promise<Buffer> {
  const tooLarge = () => kitErrors.BodyTooLarge({ expected: `at most ${limit} bytes` })
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge()
  const late = kitErrors.DeadlineExceeded({
    object: 'request body',
    expected: `all of it within ${deadline} ms`,
  })
  const timer = setTimeout(() => request.destroy(late), deadline)
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > limit) throw tooLarge()
      chunks.push(chunk)
    }
  } finally {
    clearTimeout(timer)
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
}

/**
 * Reads a JSON body; an absent body is undefined.
 *
 * @throws `InvalidFormat` when it is not JSON
 */
export async function readJsonBody(request: IncomingMessage, limit = DEFAULT_BODY_LIMIT): Promise<unknown> {
  const body = await readBody(request, limit)
  if (body.length === 0) return undefined
  try {
    return JSON.parse(body.toString('utf8'))
  } catch (cause) {
    throw kitErrors.InvalidFormat({
      object: 'request body',
      message: `is not JSON: ${explainError(cause)}`,
      cause,
    })
  }
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value))
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length })
  response.end(body)
}

export function sendText(response: ServerResponse, status: number, text: string): void {
  const body = Buffer.from(text)
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': body.length })
  response.end(body)
}

/** The HTTP status of any thrown value: that of ours, 500 for what nobody expected. */
export function statusOf(error: unknown): number {
  return error instanceof DroverError ? error.status : 500
}
