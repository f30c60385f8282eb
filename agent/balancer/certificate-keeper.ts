/** The certificates of this host's balancers, with their keys: asked of the server, kept for when there is none. */
import { mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import {
  explainError,
  type Logger,
  systemErrorCode,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import type { BalancerCertificate, ServiceInfo } from '../../protocol/index.ts'

const certificateSchema = Type.Object({
  name: Type.String({ maxLength: 255 }),
  fingerprint: Type.String({ maxLength: 128 }),
  pem: Type.String({ maxLength: 1_000_000 }),
})
const fileSchema = validatorOf(
  Type.Object({ services: Type.Record(Type.String(), Type.Array(certificateSchema)) }),
)
const answerSchema = validatorOf(Type.Object({ certificates: Type.Array(certificateSchema) }))

type KeptCertificate = ReturnType<typeof answerSchema.parse>['certificates'][number]

export interface CertificateKeeperOptions {
  /** A file that only we may read. */
  readonly file: string
  /** Asks the server for the certificates of a balancer of this host. */
  readonly request: (serviceUuid: string) => Promise<unknown>
  readonly log: Logger
}

export class CertificateKeeper {
  readonly #options: CertificateKeeperOptions
  readonly #listeners = new Set<() => void>()
  #kept: Map<string, KeptCertificate[]> | undefined

  constructor(options: CertificateKeeperOptions) {
    this.#options = options
  }

  /** Calls `listener` when it is worth asking again. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  /** The server is being talked to: what could not be asked before can be now. */
  connected(): void {
    for (const listener of this.#listeners) listener()
  }

  /** What is there of the certificates that a balancer needs, by name; older ones where newer ones cannot be got. */
  async of({ uuid, lbCertificates = [] }: ServiceInfo): Promise<ReadonlyMap<string, string>> {
    const all = await this.#load()
    let own = all.get(uuid) ?? []
    if (!isComplete(own, lbCertificates)) {
      try {
        own = answerSchema.parse(await this.#options.request(uuid), 'certificates').certificates
        all.set(uuid, own)
        await this.#save(all)
      } catch (error) {
        this.#options.log.warn({ service: uuid, reason: explainError(error) }, 'got no certificates')
      }
    }
    const wanted = new Set(lbCertificates.map(({ name }) => name))
    return new Map(own.filter(({ name }) => wanted.has(name)).map(({ name, pem }) => [name, pem]))
  }

  /** Forgets the keys of balancers that are no longer here. @param services whose balancers are */
  async keepOnly(services: ReadonlySet<string>): Promise<void> {
    const all = await this.#load()
    const gone = [...all.keys()].filter(uuid => !services.has(uuid))
    if (gone.length === 0) return
    for (const uuid of gone) all.delete(uuid)
    await this.#save(all)
  }

  async #load(): Promise<Map<string, KeptCertificate[]>> {
    if (this.#kept !== undefined) return this.#kept
    try {
      const content: unknown = JSON.parse(await readFile(this.#options.file, 'utf8'))
      this.#kept = new Map(Object.entries(fileSchema.parse(content, this.#options.file).services))
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') {
        this.#options.log.warn({ reason: explainError(error) }, 'kept certificates cannot be read')
      }
      this.#kept = new Map()
    }
    return this.#kept
  }

  async #save(all: ReadonlyMap<string, readonly KeptCertificate[]>): Promise<void> {
    await mkdir(path.dirname(this.#options.file), { recursive: true, mode: 0o700 })
    await writeFileDurably(this.#options.file, JSON.stringify({ services: Object.fromEntries(all) }))
  }
}

function isComplete(own: readonly KeptCertificate[], wanted: readonly BalancerCertificate[]): boolean {
  return wanted.every(({ name, fingerprint }) =>
    own.some(each => each.name === name && each.fingerprint === fingerprint),
  )
}
