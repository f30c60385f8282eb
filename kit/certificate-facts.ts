/** What certificates say of themselves. Reading them needs nothing but Node.js; making them (`x509/`) a heavy library. */
import { createHash, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'

const DAY = 24 * 60 * 60 * 1000

/** SHA-256 over the certificate's DER bytes, in lower-case hex: what a registration token pins. */
export function certificateChecksum(certificatePem: string): string {
  return createHash('sha256').update(new X509Certificate(certificatePem).raw).digest('hex')
}

/** Whether `certificate` still covers all of `names` (DNS names or addresses) for at least `days` more days. */
export function certificateCovers(certificatePem: string, names: readonly string[], days: number): boolean {
  const certificate = new X509Certificate(certificatePem)
  if (Date.parse(certificate.validTo) < Date.now() + days * DAY) return false
  return names.every(name =>
    isIP(name) === 0 ? certificate.checkHost(name) !== undefined : certificate.checkIP(name) !== undefined,
  )
}
