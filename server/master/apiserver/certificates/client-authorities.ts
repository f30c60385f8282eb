/**
 * The authority of each cluster for certificates of its clients: its key is derived and never stored, so that every
 * server of a fleet signs and believes the same. A certificate of one cluster is nothing in another.
 */
import { X509Certificate } from 'node:crypto'
import {
  type CertificateRequest,
  certifyAuthority,
  issueCertificate,
  type KeyPair,
  type SigningOptions,
  signRequest,
} from '../../../../kit/x509/index.ts'
import type { Identity } from '../access/index.ts'
import { SigningKeys } from '../tokens/index.ts'

const CLIENT_AUTHENTICATION = '1.3.6.1.5.5.7.3.2'
const VALID_DAYS = 3650
const MOST_KEPT = 256
const LARGEST_CERTIFICATE = 16 * 1024

export class ClientAuthorities {
  readonly #keys: SigningKeys
  readonly #pairs = new Map<string, Promise<KeyPair>>()

  /**
   * @param secret of all servers that serve the same clusters
   * @param purpose whose certificates they are
   */
  constructor(secret: string, purpose = 'client certificates') {
    this.#keys = new SigningKeys(secret, purpose)
  }

  /** The authority's certificate in PEM: who has it believes the cluster's clients, and its kubelets. */
  async certificate(cluster: string): Promise<string> {
    return (await this.#pairOf(cluster)).certificate
  }

  /** The cluster is gone. */
  forget(cluster: string): void {
    this.#pairs.delete(cluster)
    this.#keys.forget(cluster)
  }

  /** Signs a request that was read before. @returns PEM */
  async sign(cluster: string, request: string, options: SigningOptions): Promise<string> {
    return await signRequest(await this.#pairOf(cluster), request, options)
  }

  /** Makes a key and a certificate for somebody. */
  async issue(cluster: string, request: CertificateRequest): Promise<KeyPair> {
    return await issueCertificate(await this.#pairOf(cluster), request)
  }

  /**
   * Who holds a certificate; undefined when this cluster did not sign it, or it is not valid now.
   *
   * @param der of the connection, whose other end has proved that it holds the key
   * @param now milliseconds since 1970
   */
  identify(cluster: string, der: Uint8Array, now: number): Identity | undefined {
    if (der.length > LARGEST_CERTIFICATE) return undefined
    let certificate: X509Certificate
    try {
      certificate = new X509Certificate(der)
    } catch {
      // It comes from outside, and OpenSSL says nothing that would help.
      return undefined
    }
    if (!certificate.verify(this.#keys.of(cluster).publicKey)) return undefined
    const valid = Date.parse(certificate.validFrom) <= now && now <= Date.parse(certificate.validTo)
    if (!valid || certificate.keyUsage?.includes(CLIENT_AUTHENTICATION) !== true) return undefined
    const { CN: name, O: organizations = [] } = certificate.toLegacyObject().subject as {
      CN?: string | string[]
      O?: string | string[]
    }
    if (typeof name !== 'string' || name === '') return undefined
    return { user: name, groups: [organizations].flat() }
  }

  #pairOf(cluster: string): Promise<KeyPair> {
    let pair = this.#pairs.get(cluster)
    if (pair === undefined) {
      const [oldest] = this.#pairs.keys()
      if (this.#pairs.size >= MOST_KEPT && oldest !== undefined) this.#pairs.delete(oldest)
      pair = this.#make(cluster)
      this.#pairs.set(cluster, pair)
    }
    return pair
  }

  async #make(cluster: string): Promise<KeyPair> {
    const { privateKey, published } = this.#keys.of(cluster)
    const { kty = '', crv = '', x = '', y = '' } = published
    const keys = { private: privateKey.export({ format: 'jwk' }), public: { kty, crv, x, y } }
    const certificate = await certifyAuthority(keys, `clients of ${cluster}`, VALID_DAYS)
    return { certificate, privateKey: String(privateKey.export({ format: 'pem', type: 'pkcs8' })) }
  }
}
