/** Answers that come through the proxy: which headers go on, and what becomes of links. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createDeflateRaw, createGunzip, createGzip, createInflateRaw } from 'node:zlib'
import { linkThroughProxy, PageLinks, type PagePlace } from './page-links.ts'

/** Of one connection only (RFC 9110, 7.6.1), and what proves who somebody is to the API: no pod may have that. */
const NOT_FORWARDED =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|authorization|cookie|impersonate-.*)$/
/** Who may read the answers of this server is not for others to say. */
const NOT_RETURNED = /^access-control-allow-(credentials|headers|methods|origin)$/

/** @param uri the whole path at this server */
export function forwardedHeaders(request: IncomingMessage, uri: string): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined && !NOT_FORWARDED.test(name)) headers[name] = value
  }
  return { ...headers, 'x-forwarded-uri': uri }
}

/** Unpacks and packs again; undefined for what is packed in another way. */
function packing(encoding: string): { readonly unpack: Duplex[]; readonly pack: Duplex[] } | undefined {
  switch (encoding) {
    case '':
      return { unpack: [], pack: [] }
    case 'gzip':
      return { unpack: [createGunzip()], pack: [createGzip()] }
    case 'deflate':
      // As it is written in fact, and by Kubernetes: without the header of zlib.
      return { unpack: [createInflateRaw()], pack: [createDeflateRaw()] }
    default:
      return undefined
  }
}

/** What a page passes through; empty for what is none, or cannot be read. */
function rewriting(answer: IncomingMessage, place: PagePlace): Duplex[] {
  const [type = ''] = (answer.headers['content-type'] ?? '').split(';')
  if (answer.headers.location !== undefined || type.trim() !== 'text/html') return []
  const packed = packing(answer.headers['content-encoding'] ?? '')
  return packed === undefined ? [] : [...packed.unpack, new PageLinks(place), ...packed.pack]
}

/** Sends an answer on. */
export async function passOn(
  answer: IncomingMessage,
  response: ServerResponse,
  place: PagePlace,
): Promise<void> {
  const { location } = answer.headers
  const steps = rewriting(answer, place)
  const headers = Object.fromEntries(
    Object.entries(answer.headers).filter(
      ([name]) =>
        !NOT_FORWARDED.test(name) &&
        !NOT_RETURNED.test(name) &&
        // Nobody knows it before the last link is written.
        !(steps.length > 0 && name === 'content-length'),
    ),
  )
  if (location !== undefined) headers.location = linkThroughProxy(location, place)
  response.writeHead(answer.statusCode ?? 502, headers)
  await pipeline([answer, ...steps, response])
}
