/** The server's certificate authority and certificate, made at first start, renewed when they stop to fit. */
import { readFile } from 'node:fs/promises'
import { hostname, networkInterfaces } from 'node:os'
import path from 'node:path'
import {
  certificateChecksum,
  certificateCovers,
  makePrivateDirectory,
  systemErrorCode,
  writeFileDurably,
} from '../../kit/index.ts'
import { createCertificateAuthority, issueCertificate, type KeyPair } from '../../kit/x509/index.ts'

const AUTHORITY_DAYS = 3650
const CERTIFICATE_DAYS = 365
/** A certificate that ends within so many days is made anew at the next start. */
const RENEW_DAYS = 60

/** How the pods of every cluster know its API. */
const INSIDE_NAMES = [
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
]
/** The address of the service `kubernetes` in every cluster. */
const INSIDE_ADDRESS = '10.43.0.1'

export interface ServerCertificates {
  /** The authority's certificate, PEM. */
  readonly authority: string
  readonly authorityFile: string
  /** SHA-256 of the authority: what registration tokens carry. */
  readonly authorityChecksum: string
  readonly server: KeyPair
}

export async function readPair(directory: string, name: string): Promise<KeyPair | undefined> {
  try {
    const [certificate, privateKey] = await Promise.all([
      readFile(path.join(directory, `${name}.crt`), 'utf8'),
      readFile(path.join(directory, `${name}.key`), 'utf8'),
    ])
    return { certificate, privateKey }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

export async function writePair(directory: string, name: string, pair: KeyPair): Promise<void> {
  // The key first: a certificate without its key would be taken for a complete pair after a crash.
  await writeFileDurably(path.join(directory, `${name}.key`), pair.privateKey)
  await writeFileDurably(path.join(directory, `${name}.crt`), pair.certificate, 0o644)
}

/** Every name and address by which this machine may be reached. */
function ownNames(advertised: readonly string[]): { dnsNames: string[]; ipAddresses: string[] } {
  const addresses = Object.values(networkInterfaces()).flatMap(list =>
    (list ?? []).filter(entry => !entry.address.startsWith('fe80:')).map(entry => entry.address),
  )
  const isAddress = (name: string) => /^[0-9.]+$|:/.test(name)
  const names = advertised.filter(name => !isAddress(name))
  // Clusters have server names of their own below each of these.
  const wildcards = ['localhost', ...names].map(name => `*.k8s.${name}`)
  return {
    dnsNames: [...new Set(['localhost', hostname(), ...names, ...wildcards, ...INSIDE_NAMES])],
    ipAddresses: [
      ...new Set(['127.0.0.1', '::1', INSIDE_ADDRESS, ...addresses, ...advertised.filter(isAddress)]),
    ],
  }
}

/**
 * Loads or makes the certificates in `directory`.
 *
 * @param advertised further names or addresses that clients use
 */
export async function loadCertificates(
  directory: string,
  advertised: readonly string[],
): Promise<ServerCertificates> {
  await makePrivateDirectory(directory)
  let authority = await readPair(directory, 'ca')
  if (authority === undefined) {
    authority = await createCertificateAuthority('drover-ca', AUTHORITY_DAYS)
    await writePair(directory, 'ca', authority)
  }
  const names = ownNames(advertised)
  let server = await readPair(directory, 'server')
  if (
    server === undefined ||
    !certificateCovers(server.certificate, [...names.dnsNames, ...names.ipAddresses], RENEW_DAYS)
  ) {
    server = await issueCertificate(authority, {
      commonName: 'drover-server',
      ...names,
      usage: 'server',
      validDays: CERTIFICATE_DAYS,
    })
    await writePair(directory, 'server', server)
  }
  return {
    authority: authority.certificate,
    authorityFile: path.join(directory, 'ca.crt'),
    authorityChecksum: certificateChecksum(authority.certificate),
    server,
  }
}
