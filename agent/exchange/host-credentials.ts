/** This host's certificate for other hosts: asked of the server, kept for when there is none. */
import { X509Certificate } from 'node:crypto'
import { explainError, type Logger, readJsonFile, writeFileDurably } from '../../kit/index.ts'
import { type HostCredentials, hostCredentials } from '../../protocol/index.ts'

/** One that ends within so many milliseconds is replaced. */
const RENEW_BEFORE = 60 * 24 * 60 * 60 * 1000

export interface HostCredentialsOptions {
  /** A file that only we may read. */
  readonly file: string
  readonly hostUuid: string
  readonly request: () => Promise<unknown>
  readonly log: Logger
}

export class HostCredentialsKeeper {
  readonly #options: HostCredentialsOptions
  readonly #listeners = new Set<(credentials: HostCredentials) => void>()
  #present: HostCredentials | undefined

  constructor(options: HostCredentialsOptions) {
    this.#options = options
  }

  get present(): HostCredentials | undefined {
    return this.#present
  }

  onChange(listener: (credentials: HostCredentials) => void): void {
    this.#listeners.add(listener)
  }

  async load(): Promise<void> {
    try {
      this.#take(await readJsonFile(this.#options.file, hostCredentials))
    } catch (error) {
      this.#options.log.warn({ reason: explainError(error) }, 'the certificate of this host cannot be read')
    }
  }

  /** The server is being talked to. */
  async connected(): Promise<void> {
    const { request, file, log } = this.#options
    if (this.#present !== undefined && !this.#ends(this.#present)) return
    try {
      const credentials = hostCredentials.parse(await request(), 'certificate')
      await writeFileDurably(file, JSON.stringify(credentials))
      this.#take(credentials)
    } catch (error) {
      log.warn({ reason: explainError(error) }, 'got no certificate for talking to other hosts')
    }
  }

  #take(credentials: HostCredentials | undefined): void {
    if (credentials === undefined) return
    this.#present = credentials
    for (const listener of this.#listeners) listener(credentials)
  }

  #ends({ certificate }: HostCredentials): boolean {
    const read = new X509Certificate(certificate)
    const other = !read.subject.includes(this.#options.hostUuid)
    return other || read.validToDate.getTime() - Date.now() < RENEW_BEFORE
  }
}
