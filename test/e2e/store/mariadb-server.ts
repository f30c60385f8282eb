/** A MariaDB server of its own, on a free port and a temporary directory. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Connection, createConnection } from 'mysql2/promise'
import { runCommand } from '../../../kit/index.ts'

const SERVER = '/usr/sbin/mariadbd'
/** Milliseconds for it to answer; it makes its files first. */
const START_DEADLINE = 60_000
const USER = 'drover'
const PASSWORD = 'p@ss/word:1'

/** Why tests with a database are skipped; false when they are not. */
export async function missingMariadb(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'needs root'
  try {
    await access(SERVER)
    return false
  } catch {
    return 'mariadb-server is not installed'
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Tests run many servers side by side. */
const SMALL = ['--innodb-buffer-pool-size=64M']

export class MariadbServer {
  readonly #directory: string
  readonly #port: number
  readonly #options: readonly string[]
  #process: ChildProcess | undefined

  private constructor(directory: string, port: number, options: readonly string[]) {
    this.#directory = directory
    this.#port = port
    this.#options = options
  }

  /**
   * Starts a server.
   *
   * @param atEnd takes what ends it and removes its files
   * @param options of its command line
   */
  static async start(
    atEnd: (end: () => Promise<void>) => unknown,
    options: readonly string[] = SMALL,
  ): Promise<MariadbServer> {
    // Below the system's own place for sockets, whose names may only be short.
    const directory = await mkdtemp(path.join(tmpdir(), 'mdb-'))
    const server = new MariadbServer(directory, await freePort(), options)
    atEnd(async () => {
      await server.kill()
      await rm(directory, { recursive: true, force: true })
    })
    await mkdir(server.#temporary)
    await runCommand(
      'mariadb-install-db',
      [
        '--no-defaults',
        `--datadir=${server.#data}`,
        `--tmpdir=${server.#temporary}`,
        '--user=root',
        '--auth-root-authentication-method=normal',
        '--skip-test-db',
      ],
      { deadline: START_DEADLINE },
    )
    const grant = path.join(directory, 'init.sql')
    await writeFile(
      grant,
      `CREATE USER '${USER}'@'%' IDENTIFIED BY '${PASSWORD}';\nGRANT ALL ON *.* TO '${USER}'@'%';\n`,
    )
    await server.resume([`--init-file=${grant}`])
    return server
  }

  get #data(): string {
    return path.join(this.#directory, 'data')
  }

  /** Its own: names there are made of process ids, which are the same in different namespaces. */
  get #temporary(): string {
    return path.join(this.#directory, 'tmp')
  }

  /** Starts it again on the same data. */
  async resume(options: readonly string[] = []): Promise<void> {
    const child = spawn(
      SERVER,
      [
        '--no-defaults',
        '--user=root',
        `--datadir=${this.#data}`,
        `--tmpdir=${this.#temporary}`,
        `--socket=${path.join(this.#directory, 's')}`,
        `--pid-file=${path.join(this.#directory, 'pid')}`,
        `--port=${this.#port}`,
        '--bind-address=127.0.0.1',
        ...this.#options,
        '--skip-name-resolve',
        '--skip-log-bin',
        ...options,
      ],
      { stdio: 'ignore' },
    )
    this.#process = child
    const deadline = Date.now() + START_DEADLINE
    for (;;) {
      try {
        const connection = await this.connect('')
        await connection.end()
        return
      } catch (error) {
        if (child.exitCode !== null || Date.now() > deadline) throw error
        await new Promise(resolve => setTimeout(resolve, 50))
      }
    }
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async connect(database: string): Promise<Connection> {
    return await createConnection({
      host: '127.0.0.1',
      port: this.#port,
      user: USER,
      password: PASSWORD,
      multipleStatements: true,
      ...(database === '' ? {} : { database }),
    })
  }

  /** Where a database of this server is, for `openStore`. */
  url(database: string): string {
    return `mysql://${USER}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${this.#port}/${database}`
  }

  async createDatabase(name: string): Promise<string> {
    const connection = await this.connect('')
    await connection.query(`CREATE DATABASE \`${name}\``)
    await connection.end()
    return this.url(name)
  }
}
