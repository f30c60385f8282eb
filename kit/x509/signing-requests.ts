/** Requests for certificates (PKCS #10, RFC 2986), read and signed. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { ALGORITHM, CLOCK_SKEW, importPrivateKey, type KeyPair, serialNumber } from './certificates.ts'

export interface SigningRequest {
  readonly commonName: string
  readonly organizations: readonly string[]
  /** As text, such as `dns:example.com`. */
  readonly alternativeNames: readonly string[]
}

function alternativeNamesOf(request: Pkcs10CertificateRequest): SubjectAlternativeNameExtension | undefined {
  return request.extensions.find(extension => extension instanceof SubjectAlternativeNameExtension)
}

/** Reads a request in PEM whose sender holds its key; undefined for anything else. */
export async function readSigningRequest(pem: string): Promise<SigningRequest | undefined> {
  let request: Pkcs10CertificateRequest
  try {
    request = new Pkcs10CertificateRequest(pem)
    if (!(await request.verify())) return undefined
  } catch {
    // Whatever is wrong with it: it comes from outside.
    return undefined
  }
  const names = alternativeNamesOf(request)
  return {
    commonName: request.subjectName.getField('CN')[0] ?? '',
    organizations: request.subjectName.getField('O'),
    alternativeNames: names?.names.items.map(({ type, value }) => `${type}:${value}`) ?? [],
  }
}

export interface SigningOptions {
  readonly usage: 'server' | 'client'
  /** Milliseconds since 1970. */
  readonly from: number
  readonly validMilliseconds: number
}

/** Signs a request that was read before. @returns the certificate in PEM */
export async function signRequest(
  authority: KeyPair,
  pem: string,
  { usage, from, validMilliseconds }: SigningOptions,
): Promise<string> {
  const request = new Pkcs10CertificateRequest(pem)
  const issuer = new X509Certificate(authority.certificate)
  const names = alternativeNamesOf(request)
  const publicKey = await request.publicKey.export(webcrypto as Crypto)
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: request.subjectName.toJSON(),
    issuer: issuer.subject,
    notBefore: new Date(from - CLOCK_SKEW),
    notAfter: new Date(from + validMilliseconds),
    publicKey,
    signingKey: await importPrivateKey(authority.privateKey),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      new ExtendedKeyUsageExtension([
        usage === 'client' ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth,
      ]),
      await AuthorityKeyIdentifierExtension.create(issuer),
      await SubjectKeyIdentifierExtension.create(publicKey),
      ...(names === undefined ? [] : [names]),
    ],
  })
  // Whole lines: kubelets put their key right behind it.
  return `${certificate.toString('pem')}\n`
}
