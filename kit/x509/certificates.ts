/** Makes X.509 certificates (RFC 5280): ECDSA P-256, SHA-256. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'

export const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const DAY = 24 * 60 * 60 * 1000
/** A certificate is valid a little before it was made: other machines' clocks run behind. */
export const CLOCK_SKEW = 60 * 60 * 1000

/** A certificate and its private key, both PEM. */
export interface KeyPair {
  readonly certificate: string
  readonly privateKey: string
}

export interface CertificateRequest {
  readonly commonName: string
  /** Kubernetes reads a client certificate's organizations as groups. */
  readonly organizations?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  /** `peer`: both. */
  readonly usage: 'server' | 'client' | 'peer'
  readonly validDays: number
}

/** Every attribute in a relative name of its own: readers of subjects hardly ever expect several in one. */
function distinguishedName(commonName: string, organizations: readonly string[] = []) {
  return [...organizations.map(organization => ({ O: [organization] })), { CN: [commonName] }]
}

async function exportPrivateKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = await webcrypto.subtle.exportKey('pkcs8', key)
  return PemConverter.encode(der, 'PRIVATE KEY')
}

export async function importPrivateKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = PemConverter.decodeFirst(pem)
  return await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign'])
}

export function serialNumber(): string {
  const bytes = Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)))
  // The first bit clear keeps the number positive in DER.
  bytes.writeUInt8(bytes.readUInt8(0) & 0x7f, 0)
  return bytes.toString('hex')
}

/** Makes a self-signed certificate authority. */
export async function createCertificateAuthority(commonName: string, validDays: number): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await selfSigned(keys, commonName, validDays)
  return { certificate, privateKey: await exportPrivateKey(keys.privateKey) }
}

/** The certificate of an authority whose key is there already. @param keys ECDSA P-256, as JWK */
export async function certifyAuthority(
  keys: { readonly private: webcrypto.JsonWebKey; readonly public: webcrypto.JsonWebKey },
  commonName: string,
  validDays: number,
): Promise<string> {
  const [privateKey, publicKey] = await Promise.all([
    webcrypto.subtle.importKey('jwk', keys.private, ALGORITHM, false, ['sign']),
    webcrypto.subtle.importKey('jwk', keys.public, ALGORITHM, true, ['verify']),
  ])
  return await selfSigned({ privateKey, publicKey }, commonName, validDays)
}

async function selfSigned(
  keys: webcrypto.CryptoKeyPair,
  commonName: string,
  validDays: number,
): Promise<string> {
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: distinguishedName(commonName),
    notBefore: new Date(Date.now() - CLOCK_SKEW),
    notAfter: new Date(Date.now() + validDays * DAY),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(
        KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature,
        true,
      ),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return certificate.toString('pem')
}

/** Makes a key and a certificate for it, signed by `authority`. */
export async function issueCertificate(authority: KeyPair, request: CertificateRequest): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const issuer = new X509Certificate(authority.certificate)
  const names = [
    ...(request.dnsNames ?? []).map(value => ({ type: 'dns' as const, value })),
    ...(request.ipAddresses ?? []).map(value => ({ type: 'ip' as const, value })),
  ]
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: distinguishedName(request.commonName, request.organizations),
    issuer: issuer.subject,
    notBefore: new Date(Date.now() - CLOCK_SKEW),
    notAfter: new Date(Date.now() + request.validDays * DAY),
    publicKey: keys.publicKey,
    signingKey: await importPrivateKey(authority.privateKey),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([
        ...(request.usage === 'client' ? [] : [ExtendedKeyUsage.serverAuth]),
        ...(request.usage === 'server' ? [] : [ExtendedKeyUsage.clientAuth]),
      ]),
      await AuthorityKeyIdentifierExtension.create(issuer),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names)]),
    ],
  })
  return { certificate: certificate.toString('pem'), privateKey: await exportPrivateKey(keys.privateKey) }
}
