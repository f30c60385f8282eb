/**
 * Our own charon: started by an agent, found again by the next one, ended only when the overlay is removed. Tunnels do not
 * notice that an agent ends.
 *
 * The place of charon's own pid file is compiled into it (/run/charon.pid), and it does not start beside another charon of
 * the host: ours has a /run of its own.
 */
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { access, open, readdir, readFile, rm } from 'node:fs/promises'
import {
  kitErrors,
  type Logger,
  processStart,
  sleep,
  systemErrorCode,
  writeFileDurably,
} from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import type { CharonFiles } from './charon-settings.ts'
import { ViciClient } from './vici/index.ts'

/** Where Debian's package strongswan-charon has it. */
export const CHARON_PROGRAM = '/usr/lib/ipsec/charon'

/** Milliseconds within which charon must answer after it was started, and end after it was asked to. */
const START_DEADLINE = 15_000
const END_DEADLINE = 5_000

/** Milliseconds between two looks at something of which no event tells. */
const LOOK_INTERVAL = 50

/** Bytes of a path of a unix socket (unix(7)). */
const SOCKET_PATH_LIMIT = 107

/** What IKE and ESP in UDP use; other hosts expect them there. */
const PORTS = [500, 4500]

/**
 * Runs in a mount namespace of its own. Writes down who it is and becomes charon: there is no moment at which charon runs
 * and cannot be found.
 */
const LAUNCHER = `
const { execFileSync } = require('node:child_process')
const { readFileSync, writeFileSync } = require('node:fs')
const [record, program] = process.argv.slice(1)
execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755,size=1m', 'tmpfs', '/run'])
const start = readFileSync('/proc/self/stat', 'utf8').split(') ').pop().split(' ')[19]
writeFileSync(record, process.pid + ' ' + start + '\\n', { mode: 0o600 })
process.execve(program, [program], { PATH: process.env.PATH, STRONGSWAN_CONF: process.env.STRONGSWAN_CONF })
`

export class CharonProcess {
  readonly #files: CharonFiles
  readonly #program: string
  readonly #log: Logger

  constructor(files: CharonFiles, log: Logger, program = CHARON_PROGRAM) {
    this.#files = files
    this.#log = log
    this.#program = program
  }

  /** Its process id; undefined when it does not run. */
  async pid(): Promise<number | undefined> {
    const record = await readFile(this.#files.processRecord, 'utf8').catch(() => '')
    const [, pid, start] = /^(\d+) (\d+)\n$/.exec(record) ?? []
    return pid !== undefined && (await processStart(Number(pid))) === start ? Number(pid) : undefined
  }

  /** Connects to the one that runs; undefined when none does, or it does not answer. */
  async find(): Promise<ViciClient | undefined> {
    if ((await this.pid()) === undefined) return undefined
    return await ViciClient.connect(this.#files.socket, LOOK_INTERVAL * 20).catch(() => undefined)
  }

  /**
   * Starts it with these settings, instead of the one that may be there.
   *
   * @throws `StrongSwanMissing`, `PortInUse` when another IKE daemon runs on the host, `CharonFailed` with what it wrote
   */
  async start(settings: string): Promise<ViciClient> {
    await this.end()
    await this.#requireAbility()
    const { settings: settingsFile, socket, log, processRecord } = this.#files
    await writeFileDurably(settingsFile, settings)
    await rm(socket, { force: true })
    const output = await open(log, 'w', 0o600)
    try {
      const child = spawn(
        'unshare',
        [
          ...['--mount', '--propagation', 'private'],
          ...[process.execPath, '--eval', LAUNCHER, processRecord, this.#program],
        ],
        {
          // It outlives us, and signals from a terminal are not meant for it.
          detached: true,
          stdio: ['ignore', output.fd, output.fd],
          cwd: '/',
          env: { PATH: process.env.PATH, STRONGSWAN_CONF: settingsFile },
        },
      )
      const failure = new AbortController()
      const ended = Promise.race([
        once(child, 'error', { signal: failure.signal }),
        once(child, 'exit', { signal: failure.signal }),
      ])
      ended.catch(() => undefined)
      const client = await this.#connect(ended.then(() => undefined))
      failure.abort()
      child.unref()
      this.#log.info({ pid: child.pid }, 'started charon')
      return client
    } finally {
      await output.close()
    }
  }

  /** Ends it, if it runs; it tells its peers. Idempotent. */
  async end(): Promise<void> {
    const pid = await this.pid()
    if (pid !== undefined) {
      await this.#signal(pid, 'SIGTERM')
      if (!(await this.#isGone(END_DEADLINE))) {
        await this.#signal(pid, 'SIGKILL')
        if (!(await this.#isGone(END_DEADLINE)))
          throw networkErrors.CharonFailed({ object: `charon (process ${pid})`, message: 'does not end' })
      }
    }
    await rm(this.#files.processRecord, { force: true })
    await rm(this.#files.socket, { force: true })
  }

  /** Names of the TUN devices that it has open. */
  async tunNames(): Promise<readonly string[]> {
    const pid = await this.pid()
    if (pid === undefined) return []
    const directory = `/proc/${pid}/fdinfo`
    const names = new Set<string>()
    for (const descriptor of await readdir(directory).catch(() => [])) {
      const text = await readFile(`${directory}/${descriptor}`, 'utf8').catch(() => '')
      const name = /^iff:\s+(\S+)$/m.exec(text)?.[1]
      if (name !== undefined) names.add(name)
    }
    return [...names]
  }

  async #requireAbility(): Promise<void> {
    const { socket } = this.#files
    if (Buffer.byteLength(socket) > SOCKET_PATH_LIMIT) {
      throw kitErrors.InvalidFormat({
        object: `socket ${socket}`,
        message: 'has too long a path',
        expected: `at most ${SOCKET_PATH_LIMIT} bytes`,
        mend: 'name a data directory with a shorter path',
      })
    }
    await access(this.#program).catch((cause: unknown) => {
      throw networkErrors.StrongSwanMissing({ object: this.#program, cause })
    })
    for (const port of PORTS) await requireFreePort(port)
  }

  async #connect(ended: Promise<void>): Promise<ViciClient> {
    let hasEnded = false
    void ended.then(
      () => (hasEnded = true),
      () => undefined,
    )
    const latest = performance.now() + START_DEADLINE
    for (;;) {
      const client = await ViciClient.connect(this.#files.socket).catch(() => undefined)
      if (client !== undefined) return client
      if (hasEnded || performance.now() > latest) break
      await sleep(LOOK_INTERVAL)
    }
    if (!hasEnded) await this.end()
    const lines = (await readFile(this.#files.log, 'utf8').catch(() => '')).trim().split('\n')
    throw networkErrors.CharonFailed({
      object: 'charon',
      message: `${hasEnded ? 'ended while it was starting' : 'did not answer'}: ${lines.slice(-4).join(' | ').slice(-600)}`,
    })
  }

  async #signal(pid: number, signal: NodeJS.Signals): Promise<void> {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (systemErrorCode(error) !== 'ESRCH') throw error
    }
  }

  async #isGone(deadline: number): Promise<boolean> {
    const latest = performance.now() + deadline
    while ((await this.pid()) !== undefined) {
      if (performance.now() > latest) return false
      await sleep(LOOK_INTERVAL)
    }
    return true
  }
}

/** @throws `PortInUse` */
async function requireFreePort(port: number): Promise<void> {
  const socket = createSocket('udp4')
  try {
    socket.bind(port)
    await once(socket, 'listening')
  } catch (cause) {
    if (systemErrorCode(cause) !== 'EADDRINUSE') throw cause
    throw networkErrors.PortInUse({
      object: `UDP port ${port}`,
      message: 'is used by another process, most likely another IKE daemon of this host',
      mend: 'end that daemon (systemctl disable --now strongswan-starter strongswan), or choose another kind of network',
      cause,
    })
  } finally {
    socket.close()
  }
}
