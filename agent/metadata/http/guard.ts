/**
 * Requests that somebody else makes for a container: by a proxy that forwards what strangers ask, or by a page in a
 * browser whose name was made to mean this address. Neither may read what the container may.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { METADATA_NAME, OWNED_DOMAINS } from '../../../dns/index.ts'
import { parseIpv4 } from '../../../kit/index.ts'
import { metadataErrors } from './errors.ts'

const SHORT_NAMES = new Set(['', 'localhost', METADATA_NAME])

/** By which names the service may be called: an address, or its own name as a resolver completes it. */
function isOwnName(host: string): boolean {
  const name = host.replace(/:\d*$/, '').toLowerCase()
  if (SHORT_NAMES.has(name) || parseIpv4(name) !== undefined) return true
  return name.startsWith(`${METADATA_NAME}.`) && OWNED_DOMAINS.some(domain => name.endsWith(`.${domain}`))
}

/** What was found to be good lately: every request names one of a handful. */
const known = new Set<string>()
const KNOWN_CAPACITY = 64

function requireOwnName(host: string): void {
  if (known.has(host)) return
  if (!isOwnName(host)) {
    throw metadataErrors.Forbidden({ message: `Forbidden: the service is not called ${host}` })
  }
  if (known.size >= KNOWN_CAPACITY) known.clear()
  known.add(host)
}

/** @throws `Forbidden` */
export function requireDirectRequest(headers: IncomingHttpHeaders): void {
  if (headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined) {
    throw metadataErrors.Forbidden({ message: 'Forbidden: forwarded requests are not answered' })
  }
  requireOwnName(headers.host ?? '')
}
