/** What hosts prove to each other with, and how charon is told. */
import { createHash } from 'node:crypto'
import type { Peer } from '../overlay/index.ts'
import { textOf, type ViciClient, type ViciSection } from './vici/index.ts'

/** A secret that all hosts of the cluster share; the previous one counts while they change over. */
export interface SharedKeys {
  readonly kind: 'psk'
  readonly current: string
  readonly previous?: string
}

/** A certificate from the cluster's authority. */
export interface HostCertificate {
  readonly kind: 'certificate'
  /** PEM. */
  readonly certificate: string
  /** PEM, PKCS #8. */
  readonly privateKey: string
  /** PEM; who is signed by it belongs to the cluster. */
  readonly authority: string
  /** This host's name: a subject alternative name of its certificate. */
  readonly identity: string
  /** A peer's, likewise: by it a host is told from another one with a valid certificate. */
  readonly identityOf: (peer: Peer) => string
}

export type Credentials = SharedKeys | HostCertificate

/** The names by which charon keeps them. */
const CURRENT_KEY = 'drover-current'
const PREVIOUS_KEY = 'drover-previous'

/** Which keys may be somebody's: of several that fit, charon proves itself with the one that fits best. */
const CURRENT_OWNERS = ['0.0.0.0/0']
const PREVIOUS_OWNERS = ['%any']

/** A short name for a secret that tells nothing of it. */
export function fingerprint(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 8)
}

/** Which credential the host proves itself with: changes whenever security associations are to be made anew. */
export function credentialName(credentials: Credentials): string {
  return credentials.kind === 'psk'
    ? fingerprint('psk', credentials.current)
    : fingerprint('certificate', credentials.certificate, credentials.authority)
}

/** Every credential that peers are still believed with, by `credentialName`. */
export function acceptedCredentials(credentials: Credentials): readonly string[] {
  const previous = credentials.kind === 'psk' ? credentials.previous : undefined
  return [
    credentialName(credentials),
    ...(previous === undefined ? [] : [credentialName({ kind: 'psk', current: previous })]),
  ]
}

/** How both ends of a connection are proved, as `load-conn` wants it. */
export function authenticationSections(
  credentials: Credentials,
  ownAddress: string,
  peer: Peer,
): { readonly local: ViciSection; readonly remote: ViciSection } {
  if (credentials.kind === 'psk') {
    return {
      local: { auth: 'psk', id: ownAddress },
      remote: { auth: 'psk', id: peer.address },
    }
  }
  return {
    local: { auth: 'pubkey', id: credentials.identity, certs: [credentials.certificate] },
    remote: { auth: 'pubkey', id: credentials.identityOf(peer), cacerts: [credentials.authority] },
  }
}

/**
 * Makes charon know exactly these credentials. Security associations that were made with others stay.
 *
 * @throws `CharonRefused`, `DeadlineExceeded`
 */
export async function loadCredentials(client: ViciClient, credentials: Credentials): Promise<void> {
  await client.request('clear-creds')
  if (credentials.kind === 'certificate') {
    await client.request('load-cert', { type: 'X509', flag: 'CA', data: credentials.authority })
    await client.request('load-cert', { type: 'X509', flag: 'NONE', data: credentials.certificate })
    await client.request('load-key', { type: 'any', data: credentials.privateKey })
    return
  }
  const { current, previous } = credentials
  await client.request('load-shared', {
    id: CURRENT_KEY,
    type: 'IKE',
    data: current,
    owners: CURRENT_OWNERS,
  })
  if (previous !== undefined) {
    await client.request('load-shared', {
      id: PREVIOUS_KEY,
      type: 'IKE',
      data: previous,
      owners: PREVIOUS_OWNERS,
    })
  }
}

/** What charon says of itself, for the log. */
export async function charonVersion(client: ViciClient): Promise<string> {
  return textOf(await client.request('version'), 'version') ?? 'unknown'
}
