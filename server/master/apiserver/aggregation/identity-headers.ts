/** How servers inside of a cluster are told who asks (Kubernetes "Authenticating Proxy"), and which headers go on to them. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import { type Identity, TOKEN_PROTOCOL } from '../access/index.ts'

/** Names that servers believe of who has the proxy's certificate; what others send under them is dropped. */
export const IDENTITY_HEADERS = {
  user: 'X-Remote-User',
  uid: 'X-Remote-Uid',
  group: 'X-Remote-Group',
  extraPrefix: 'X-Remote-Extra-',
} as const

/** Of one connection only (RFC 9110, 7.6.1), what proves who somebody is to this server, and what says it to others. */
const NOT_FORWARDED =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|host|expect|authorization|cookie|impersonate-.*|x-remote-.*)$/
/** Also to servers that take underscores for hyphens. */
const UNDERSCORED = /^x_remote_/
/** Characters of a token (RFC 9110, 5.6.2) but `%`, which escapes the others. */
const NOT_TOKEN = /[^\w!#$&'*+.^`|~-]/g

/** What goes on of a request's headers. @param headers in lower case, as they came */
export function forwardedHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  // A connection may name headers that are for this server only.
  const named = new Set((headers.connection ?? '').split(',').map(name => name.trim().toLowerCase()))
  const forwarded: OutgoingHttpHeaders = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || NOT_FORWARDED.test(name) || UNDERSCORED.test(name) || named.has(name)) continue
    forwarded[name] = value
  }
  const protocols = withoutTokens(headers['sec-websocket-protocol'])
  if (protocols !== undefined) forwarded['sec-websocket-protocol'] = protocols
  else delete forwarded['sec-websocket-protocol']
  return forwarded
}

function withoutTokens(protocols: string | undefined): string | undefined {
  const left = (protocols ?? '')
    .split(',')
    .map(protocol => protocol.trim())
    .filter(protocol => protocol !== '' && !protocol.startsWith(TOKEN_PROTOCOL))
  return left.length === 0 ? undefined : left.join(', ')
}

/** Who somebody is, for a server that believes the proxy. */
export function identityHeaders({ user, uid, groups, extra = {} }: Identity): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {
    [IDENTITY_HEADERS.user]: encode(user),
    [IDENTITY_HEADERS.group]: groups.map(encode),
  }
  if (uid !== undefined && uid !== '') headers[IDENTITY_HEADERS.uid] = encode(uid)
  for (const [key, values] of Object.entries(extra)) {
    const name = key.toLowerCase().replaceAll(NOT_TOKEN, escapeCharacter)
    headers[`${IDENTITY_HEADERS.extraPrefix}${name}`] = values.map(encode)
  }
  return headers
}

function escapeCharacter(character: string): string {
  return [...Buffer.from(character)]
    .map(byte => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('')
}

/** Headers are of bytes: names in other letters go as UTF-8. */
function encode(value: string): string {
  return Buffer.from(value, 'utf8').toString('latin1')
}
