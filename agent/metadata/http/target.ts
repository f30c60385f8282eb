/** What a request asks for. */
import { metadataErrors } from './errors.ts'

export interface LongPoll {
  /** The value that the client has: another one is answered at once. */
  readonly value: string
  /** Milliseconds after which the value is answered as it is. */
  readonly maximumWait: number
}

export interface Target {
  /** As the client names it; undefined for the list of versions. */
  readonly version: string | undefined
  readonly path: readonly string[]
  readonly longPoll: LongPoll | undefined
}

/** Seconds. */
const DEFAULT_WAIT = 10
const LONGEST_WAIT = 120

const LONGEST_TARGET = 4_096
const MOST_SEGMENTS = 32

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment.replaceAll('+', ' '))
  } catch (cause) {
    throw metadataErrors.InvalidPath({ cause })
  }
}

function readLongPoll(query: string): LongPoll | undefined {
  const parameters = new URLSearchParams(query)
  const value = parameters.get('value')
  if (parameters.get('wait') !== 'true' || value === null) return undefined
  const seconds = /^\d{1,9}$/.test(parameters.get('maxWait') ?? '') ? Number(parameters.get('maxWait')) : 0
  return { value, maximumWait: Math.min(seconds === 0 ? DEFAULT_WAIT : seconds, LONGEST_WAIT) * 1000 }
}

/** @throws `InvalidPath` */
export function parseTarget(url: string): Target {
  if (url.length > LONGEST_TARGET || !url.startsWith('/')) throw metadataErrors.InvalidPath()
  const mark = url.indexOf('?')
  const [rawPath, query] = mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)]
  const segments = rawPath.split('/').filter(segment => segment !== '')
  if (segments.length > MOST_SEGMENTS) throw metadataErrors.InvalidPath()
  const [version, ...path] = segments.map(decodeSegment)
  return { version, path, longPoll: readLongPoll(query) }
}
