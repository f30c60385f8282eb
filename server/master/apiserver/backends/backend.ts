/** Who is behind a part of a cluster's API: a service inside of it, or a URL outside; spoken to by HTTPS only. */
import { createHash } from 'node:crypto'
import type { KeyPair } from '../../../../kit/x509/index.ts'

export type BackendAddress =
  /** `port` is the service's. */
  | { readonly type: 'service'; readonly namespace: string; readonly name: string; readonly port: number }
  /** Scheme, host and port count; an `https:` one. */
  | { readonly type: 'url'; readonly url: URL }

/** Whom to believe that they are who was meant. */
export type Trust =
  /** Whose certificate leads to one of these, in PEM. */
  | { readonly type: 'authority'; readonly certificates: string }
  /** Whose certificate leads to an authority that everybody believes. */
  | { readonly type: 'public' }
  | { readonly type: 'anyone' }

export interface Backend {
  readonly address: BackendAddress
  readonly trust: Trust
  /** Whom it is asked as; nobody in particular when absent. */
  readonly identity?: KeyPair
}

/** The name that the certificate has to bear. */
export function serverName({ address }: Backend): string {
  if (address.type === 'service') return `${address.name}.${address.namespace}.svc`
  return address.url.hostname.replace(/^\[(.*)\]$/, '$1')
}

/** Host and port, as in a URL and the header `Host`. */
export function hostOf({ address }: Backend): string {
  if (address.type === 'service') return `${address.name}.${address.namespace}.svc:${address.port}`
  return address.url.host
}

/** Tells connections apart that must not stand for each other. */
export function trustKey({ trust, identity }: Backend): string {
  const believed = trust.type === 'authority' ? trust.certificates : trust.type
  if (trust.type !== 'authority' && identity === undefined) return believed
  return createHash('sha256')
    .update(`${believed}\0${identity?.certificate ?? ''}`)
    .digest('base64url')
}
