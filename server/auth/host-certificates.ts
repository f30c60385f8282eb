/**
 * Certificates by which the hosts of a cluster know each other. Their authority is another one than the server's: no host can
 * pass for a server.
 */
import { createHash } from 'node:crypto'
import path from 'node:path'
import { makePrivateDirectory, removeFileDurably } from '../../kit/index.ts'
import { createCertificateAuthority, issueCertificate, type KeyPair } from '../../kit/x509/index.ts'
import type { HostCredentials } from '../../protocol/index.ts'
import { readPair, writePair } from './certificates.ts'

const AUTHORITY_DAYS = 3650
const CERTIFICATE_DAYS = 365

/** Of the files with its authority. */
function nameOf(clusterUuid: string): string {
  return createHash('sha256').update(clusterUuid).digest('hex').slice(0, 32)
}

export class HostCertificates {
  readonly #directory: string
  readonly #authorities = new Map<string, Promise<KeyPair>>()

  /** @param directory holds an authority for each cluster */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** A new certificate for a host. */
  async issue(clusterUuid: string, hostUuid: string): Promise<HostCredentials> {
    const authority = await this.#authorityOf(clusterUuid)
    const { certificate, privateKey } = await issueCertificate(authority, {
      commonName: hostUuid,
      usage: 'peer',
      validDays: CERTIFICATE_DAYS,
    })
    return { authority: authority.certificate, certificate, privateKey }
  }

  /** The cluster is gone: nobody is to be certified as one of its hosts any more. */
  async forget(clusterUuid: string): Promise<void> {
    // One that is being made is on disk before it is removed.
    await this.#authorities.get(clusterUuid)?.catch(() => undefined)
    this.#authorities.delete(clusterUuid)
    for (const kind of ['key', 'crt']) {
      await removeFileDurably(path.join(this.#directory, `${nameOf(clusterUuid)}.${kind}`))
    }
  }

  #authorityOf(clusterUuid: string): Promise<KeyPair> {
    const present = this.#authorities.get(clusterUuid)
    if (present !== undefined) return present
    const made = this.#load(clusterUuid)
    this.#authorities.set(clusterUuid, made)
    // What failed is tried again for the next host.
    made.catch(() => this.#authorities.delete(clusterUuid))
    return made
  }

  async #load(clusterUuid: string): Promise<KeyPair> {
    await makePrivateDirectory(this.#directory)
    const name = nameOf(clusterUuid)
    const present = await readPair(this.#directory, name)
    if (present !== undefined) return present
    const authority = await createCertificateAuthority(`drover hosts of ${clusterUuid}`, AUTHORITY_DAYS)
    await writePair(this.#directory, name, authority)
    return authority
  }
}
