/**
 * Requests that somebody else makes for a container: by a proxy that forwards what strangers ask, or by a page in a
 * browser whose name was made to mean this address. Neither may read what the container may.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { METADATA_NAME, OWNED_DOMAINS } from '../../../dns/index.ts'
import { parseIpv4 } from '../../../kit/index.ts'
import { metadataErrors } from './errors.ts'

const accepted = new Set(['', 'localhost', METADATA_NAME])

/** By which names the service may be called: an address, or its own name as a resolver completes it. */
function isOwnName(host: string): boolean {
  const name = host.replace(/:\d*$/, '').toLowerCase()
  if (accepted.has(name) || parseIpv4(name) !== undefined) return true
  return name.startsWith(`${METADATA_NAME}.`) && OWNED_DOMAINS.some(domain => name.endsWith(`.${domain}`))
}

/** @throws `Forbidden` */
export function requireDirectRequest(headers: IncomingHttpHeaders): void {
  if (headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined) {
    throw metadataErrors.Forbidden({ message: 'Forbidden: forwarded requests are not answered' })
  }
  if (!isOwnName(headers.host ?? '')) {
    throw metadataErrors.Forbidden({ message: `Forbidden: the service is not called ${headers.host}` })
  }
}
