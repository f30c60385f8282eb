/** Keys that clusters sign with: one per cluster and purpose, derived, never stored. */
import {
  createECDH,
  createHash,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  type KeyObject,
} from 'node:crypto'

/** The number of points of the curve P-256 (NIST SP 800-186). */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
/** Eight more than the order has, so that no scalar is likelier than another (FIPS 186-5, A.2.1). */
const SEED_BYTES = 40
const SCALAR_BYTES = 32
/** Keys of clusters that nobody asked of lately are derived again: it costs a third of a millisecond. */
const MOST_KEPT = 1024

export interface SigningKey {
  readonly id: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** The public half, as it is published (RFC 7517). */
  readonly published: Readonly<Record<string, string>>
}

function derive(secret: string, purpose: string, cluster: string): SigningKey {
  const seed = Buffer.from(hkdfSync('sha256', secret, '', `${purpose} of ${cluster}`, SEED_BYTES))
  const scalar = (BigInt(`0x${seed.toString('hex')}`) % (ORDER - 1n)) + 1n
  const bytes = Buffer.from(scalar.toString(16).padStart(SCALAR_BYTES * 2, '0'), 'hex')
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(bytes)
  // Uncompressed: a byte 4, then both coordinates (SEC 1, 2.3.3).
  const point = curve.getPublicKey()
  const coordinates = {
    kty: 'EC',
    crv: 'P-256',
    x: point.subarray(1, 1 + SCALAR_BYTES).toString('base64url'),
    y: point.subarray(1 + SCALAR_BYTES).toString('base64url'),
  }
  const id = createHash('sha256').update(point).digest('base64url')
  return {
    id,
    privateKey: createPrivateKey({ key: { ...coordinates, d: bytes.toString('base64url') }, format: 'jwk' }),
    publicKey: createPublicKey({ key: coordinates, format: 'jwk' }),
    published: { use: 'sig', alg: 'ES256', kid: id, ...coordinates },
  }
}

export class SigningKeys {
  readonly #secret: string
  readonly #purpose: string
  readonly #kept = new Map<string, SigningKey>()

  /**
   * @param secret of all servers that serve the same clusters
   * @param purpose keys of another one are other keys
   */
  constructor(secret: string, purpose = 'service accounts') {
    this.#secret = secret
    this.#purpose = purpose
  }

  /** The cluster is gone: its key is of no use any more. */
  forget(cluster: string): void {
    this.#kept.delete(cluster)
  }

  /** The key of a cluster, also of one that does not exist. */
  of(cluster: string): SigningKey {
    const kept = this.#kept.get(cluster)
    if (kept !== undefined) return kept
    const key = derive(this.#secret, this.#purpose, cluster)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size >= MOST_KEPT && oldest !== undefined) this.#kept.delete(oldest)
    this.#kept.set(cluster, key)
    return key
  }
}
