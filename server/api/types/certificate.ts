/** Certificates for load balancers. Their private keys come in and never go out again. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { explainError, KeyedLock } from '../../../kit/index.ts'
import { certificateNames } from '../../../protocol/index.ts'
import { type Certificate, modelErrors } from '../../model/index.ts'
import type { ApiContext } from '../context.ts'
import { apiErrors } from '../errors.ts'
import type { ResourceType } from '../resource-type.ts'

/** Longest text of a certificate, a chain or a key. */
const LONGEST = 262_144

const BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g

/** The certificates of a text; nothing else may be in it. */
function certificatesOf(pem: string, field: string): X509Certificate[] {
  const blocks = pem.match(BLOCK) ?? []
  const rest = pem.replace(BLOCK, '').trim()
  try {
    if (rest !== '') throw new Error('there is something besides certificates in it')
    return blocks.map(block => new X509Certificate(block))
  } catch (cause) {
    throw apiErrors.InvalidFormat({
      field,
      object: field,
      message: `is not PEM: ${explainError(cause)}`,
      expected: 'certificates between BEGIN and END lines',
    })
  }
}

/** A key without a passphrase, in the form that HAProxy reads. */
function privateKeyOf(pem: string): {
  readonly key: ReturnType<typeof createPrivateKey>
  readonly text: string
} {
  try {
    const key = createPrivateKey(pem)
    return { key, text: String(key.export({ type: 'pkcs8', format: 'pem' })) }
  } catch {
    // What is wrong with a key is not repeated: the message may hold a part of it.
    throw apiErrors.InvalidFormat({
      field: 'key',
      object: 'key',
      message: 'is not a private key',
      expected: 'a private key as PEM, without a passphrase',
    })
  }
}

type Secrets = Pick<Certificate, 'cert' | 'certChain' | 'sealedKey' | 'fingerprint'>

export function certificateType({ model, sealKey }: ApiContext): ResourceType<'certificate'> {
  const lock = new KeyedLock('certificate', 100)
  /** @throws `InvalidFormat` when key and certificate do not belong together, or are none */
  const secretsOf = (cert: string, certChain: string, key: string): Secrets => {
    const [certificate, ...more] = certificatesOf(cert, 'cert')
    if (certificate === undefined) {
      throw apiErrors.InvalidFormat({ field: 'cert', object: 'cert', expected: 'a certificate as PEM' })
    }
    const chain = [...more, ...certificatesOf(certChain, 'certChain')]
    const secret = privateKeyOf(key)
    if (!certificate.checkPrivateKey(secret.key)) {
      throw apiErrors.InvalidFormat({ field: 'key', object: 'key', expected: 'the key of the certificate' })
    }
    return {
      cert: certificate.toString(),
      certChain: chain.join(''),
      sealedKey: sealKey(secret.text),
      fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    }
  }
  const create = async (input: Record<string, unknown>): Promise<Certificate> => {
    const project = model.projects.get(String(input.accountId))
    if (project === undefined) {
      throw apiErrors.InvalidReference({ object: `project ${input.accountId}`, field: 'accountId' })
    }
    const name = String(input.name)
    if (model.certificates.find('name', `${project.id}/${name}`) !== undefined) {
      throw modelErrors.NotUnique({ object: `certificate ${name}`, field: 'name' })
    }
    if (typeof input.key !== 'string') throw apiErrors.MissingRequired({ field: 'key', object: 'key' })
    return await model.certificates.create({
      name,
      ...(typeof input.description === 'string' ? { description: input.description } : {}),
      state: 'active',
      clusterId: project.clusterId,
      accountId: project.id,
      ...secretsOf(String(input.cert), String(input.certChain ?? ''), input.key),
    })
  }
  const text = { type: 'string', create: true, update: true, maxLength: LONGEST } as const
  return {
    type: 'certificate',
    kind: 'certificate',
    plural: 'certificates',
    fields: {
      name: { type: 'string', create: true, required: true, minLength: 1, maxLength: 255 },
      accountId: { type: 'reference[project]', create: true, required: true },
      clusterId: { type: 'reference[cluster]' },
      cert: { ...text, required: true },
      certChain: { ...text, nullable: true },
      key: text,
      cn: { type: 'string' },
      certFingerprint: { type: 'string' },
      expiresAt: { type: 'date' },
      issuedAt: { type: 'date' },
      issuer: { type: 'string' },
      serialNumber: { type: 'string' },
      subjectAlternativeNames: { type: 'array[string]' },
    },
    show: ({ accountId, clusterId, cert, certChain, fingerprint }) => {
      const certificate = new X509Certificate(cert)
      return {
        ...{ accountId, clusterId, cert, certChain, key: null, certFingerprint: fingerprint },
        cn: /(?:^|\n)CN=(.*)/.exec(certificate.subject)?.[1] ?? null,
        expiresAt: certificate.validToDate.toISOString(),
        issuedAt: certificate.validFromDate.toISOString(),
        issuer: certificate.issuer,
        serialNumber: certificate.serialNumber,
        subjectAlternativeNames: (certificate.subjectAltName ?? '').split(', ').filter(name => name !== ''),
      }
    },
    projectOf: certificate => certificate.accountId,
    create: input => lock.run(`${input.accountId}/${input.name}`, () => create(input)),
    /** A renewed certificate comes with its key. Clients send whole resources back: what was there before says nothing. */
    update: async (
      certificate,
      { cert = certificate.cert, certChain = certificate.certChain, key, description },
    ) => {
      if (key === undefined && cert !== certificate.cert) {
        throw apiErrors.MissingRequired({ field: 'key', object: 'key' })
      }
      const secrets =
        typeof key === 'string'
          ? secretsOf(String(cert), String(certChain), key)
          : { certChain: certificatesOf(String(certChain), 'certChain').join('') }
      return await model.certificates.update(certificate.id, current => ({
        ...current,
        ...secrets,
        ...(typeof description === 'string' ? { description } : {}),
      }))
    },
    remove: async certificate => {
      const user = model.services
        .where('project', certificate.accountId)
        .find(
          ({ lbConfig }) => lbConfig !== undefined && certificateNames(lbConfig).includes(certificate.name),
        )
      if (user !== undefined) {
        throw apiErrors.InvalidState({
          object: `certificate ${certificate.name}`,
          message: `is used by the service ${user.name}`,
          mend: 'take it out of the load balancer first',
        })
      }
      await model.certificates.delete(certificate.id)
      return certificate
    },
  }
}
