/** The name servers of this host, which answer what we do not: read from its files, and again when those change. */
import { readFile } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { type Upstream, upstreamsOf } from '../../dns/index.ts'
import {
  type CancelTimer,
  type Clock,
  type Daemon,
  type Logger,
  systemClock,
  systemErrorCode,
} from '../../kit/index.ts'

export interface HostNameServersOptions {
  /**
   * In the form of resolv.conf(5); the first that names a server that may be asked counts. On hosts whose resolver is a
   * loopback (systemd-resolved), the second one has the real ones.
   */
  readonly files: readonly string[]
  readonly onChange: (upstreams: readonly Upstream[]) => void
  readonly log: Logger
  readonly clock?: Clock
}

/** Milliseconds between two looks at the files. */
const INTERVAL = 30_000

async function readOptional(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return ''
    throw error
  }
}

export class HostNameServers implements Daemon {
  readonly name = 'host name servers'
  readonly #options: HostNameServersOptions
  readonly #clock: Clock
  #known: readonly Upstream[] | undefined
  #cancel: CancelTimer | undefined
  #stopped = false

  constructor(options: HostNameServersOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** Tells what there is, also when that is nothing. */
  async start(): Promise<void> {
    await this.#look()
  }

  stop(): Promise<void> {
    this.#stopped = true
    this.#cancel?.()
    return Promise.resolve()
  }

  async #look(): Promise<void> {
    const { onChange, log } = this.#options
    try {
      const upstreams = await this.#read()
      if (!isDeepStrictEqual(upstreams, this.#known)) {
        this.#known = upstreams
        const servers = upstreams.map(({ address }) => address)
        if (servers.length === 0) log.warn('this host names no name server that may be asked')
        else log.info({ servers }, 'asks the name servers of this host')
        onChange(upstreams)
      }
    } catch (error) {
      log.warn({ err: error }, 'the name servers of this host cannot be read')
    }
    if (!this.#stopped) this.#cancel = this.#clock.after(INTERVAL, () => void this.#look())
  }

  async #read(): Promise<readonly Upstream[]> {
    for (const file of this.#options.files) {
      const upstreams = upstreamsOf(await readOptional(file))
      if (upstreams.length > 0) return upstreams
    }
    return []
  }
}
