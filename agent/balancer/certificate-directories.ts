/**
 * Certificates in directories of a balancer's container, as its labels name them: a mounted volume that somebody renews
 * certificates in.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { Readable } from 'node:stream'
import { extract } from 'tar-stream'
import { explainError } from '../../kit/index.ts'
import { type BalancerConfig, LABEL, type ServiceInfo } from '../../protocol/index.ts'

/** What certbot calls them. */
const [CHAIN, KEY] = ['fullchain.pem', 'privkey.pem']

/** Milliseconds between two looks: nobody tells what happens in a container's files. */
export const CERTIFICATES_LOOK = 30_000

/** Bytes of one file, and directories. */
const LARGEST_FILE = 256 * 1024
const MOST_CERTIFICATES = 1_000

/** The certificate and the key, by the name of their directory; '' for those directly in the one that was read. */
type Files = Map<string, { chain?: string; key?: string }>

interface Found {
  /** PEM of the chain and the key, by the path of their directory. */
  readonly certificates: ReadonlyMap<string, string>
  readonly defaultCertificate: string | undefined
  readonly problems: readonly string[]
}

const NOTHING: Found = { certificates: new Map(), defaultCertificate: undefined, problems: [] }

async function filesOf(archive: Buffer): Promise<Files> {
  const files: Files = new Map()
  const entries = extract()
  Readable.from([archive]).pipe(entries)
  for await (const entry of entries) {
    const [file = '', directory = '', ...above] = entry.header.name
      .replace(/^\.\//, '')
      .split('/')
      .toReversed()
    const wanted = entry.header.type === 'file' && above.length === 0 && (file === CHAIN || file === KEY)
    const chunks: Buffer[] = []
    const fits = wanted && (entry.header.size ?? 0) <= LARGEST_FILE && files.size < MOST_CERTIFICATES
    for await (const chunk of entry) if (fits) chunks.push(chunk as Buffer)
    if (!fits) continue
    const text = Buffer.concat(chunks).toString('utf8')
    files.set(directory, { ...files.get(directory), ...(file === CHAIN ? { chain: text } : { key: text }) })
  }
  return files
}

/** @throws what is wrong with them: HAProxy would refuse everything because of one certificate */
function pemOf({ chain, key }: { chain?: string; key?: string }): string {
  if (chain === undefined) throw new Error(`has no ${CHAIN}`)
  if (key === undefined) throw new Error(`has no ${KEY}`)
  const certificate = new X509Certificate(chain)
  if (!certificate.checkPrivateKey(createPrivateKey(key)))
    throw new Error(`${KEY} is not the key of ${CHAIN}`)
  return `${chain.trim()}\n${key.trim()}\n`
}

function isAbsolute(directory: string): boolean {
  return directory.startsWith('/') && directory.length <= 200 && /^[^\0\n]*$/.test(directory)
}

export class CertificateDirectories {
  readonly #read: (directory: string) => Promise<Buffer>
  #labels = ''
  #found = NOTHING
  #lookedAt = Number.NEGATIVE_INFINITY

  /** @param read a directory of the container as a tar archive, with what links in it lead to */
  constructor(read: (directory: string) => Promise<Buffer>) {
    this.#read = read
  }

  /**
   * A balancer's service with the certificates of its directories beside those it names. What cannot be read any more
   * stays what it was.
   *
   * @param certificates with their keys, by name
   */
  async extend(
    service: ServiceInfo,
    certificates: ReadonlyMap<string, string>,
  ): Promise<{
    readonly service: ServiceInfo
    readonly certificates: ReadonlyMap<string, string>
    readonly problems: readonly string[]
  }> {
    const many = service.labels[LABEL.balancerCertificates]?.trim() ?? ''
    const one = service.labels[LABEL.balancerDefaultCertificate]?.trim() ?? ''
    if ((many === '' && one === '') || service.lbConfig === undefined) {
      return { service, certificates, problems: [] }
    }
    await this.#look(many, one)
    const { defaultCertificate, problems } = this.#found
    const config: BalancerConfig = {
      ...service.lbConfig,
      ...(defaultCertificate === undefined ? {} : { defaultCertificate }),
      certificates: [...service.lbConfig.certificates, ...this.#found.certificates.keys()],
    }
    return {
      service: { ...service, lbConfig: config },
      certificates: new Map([...certificates, ...this.#found.certificates]),
      problems,
    }
  }

  async #look(many: string, one: string): Promise<void> {
    const labels = JSON.stringify([many, one])
    const fresh = performance.now() - this.#lookedAt < CERTIFICATES_LOOK * 0.9
    if (labels === this.#labels && fresh) return
    if (labels !== this.#labels) this.#found = NOTHING
    this.#labels = labels
    this.#lookedAt = performance.now()
    const certificates = new Map<string, string>()
    const problems: string[] = []
    for (const [directory, direct] of [
      [many, false],
      [one, true],
    ] as const) {
      if (directory !== '')
        await this.#readInto(directory.replace(/\/+$/, ''), direct, certificates, problems)
    }
    const place = one.replace(/\/+$/, '')
    const defaultCertificate = certificates.has(place) ? place : undefined
    this.#found = { certificates, defaultCertificate, problems }
  }

  /** @param direct whether the certificate is in the directory itself, not in one below */
  async #readInto(
    directory: string,
    direct: boolean,
    certificates: Map<string, string>,
    problems: string[],
  ): Promise<void> {
    const isOwn = (place: string) =>
      direct ? place === directory : place.startsWith(`${directory}/`) || place === directory
    const keep = () => {
      for (const [place, pem] of this.#found.certificates) if (isOwn(place)) certificates.set(place, pem)
    }
    if (!isAbsolute(directory)) {
      problems.push(`certificates in ${JSON.stringify(directory.slice(0, 200))}: a path begins with /`)
      return
    }
    let files: Files
    try {
      files = await filesOf(await this.#read(directory))
    } catch (error) {
      problems.push(`certificates in ${directory}: ${explainError(error)}`)
      keep()
      return
    }
    for (const [name, each] of files) {
      if (direct !== (name === '')) continue
      const place = direct ? directory : `${directory}/${name}`
      try {
        certificates.set(place, pemOf(each))
      } catch (error) {
        problems.push(`certificate in ${place}: ${explainError(error)}`)
        const before = this.#found.certificates.get(place)
        if (before !== undefined) certificates.set(place, before)
      }
    }
    if (direct && !files.has('')) problems.push(`certificate in ${directory}: has no ${CHAIN}`)
  }
}
