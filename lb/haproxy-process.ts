/** One HAProxy in master-worker mode: a master that is ours, and workers that it replaces without losing a connection. */
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { atMost, type Logger, readLines, runCommand, sleep, withDeadline } from '../kit/index.ts'
import { lbErrors } from './errors.ts'
import { RELOAD_SIGNAL, untilReloadable } from './reload-signal.ts'
import type { HaproxyRunner } from './runner.ts'

/** Milliseconds until a new configuration must be in use, and until a stopped HAProxy must be gone. */
const LOAD_DEADLINE = 60_000
const END_DEADLINE = 5_000

/** Milliseconds that HAProxy may take to look at a configuration. */
const CHECK_DEADLINE = 60_000

/** Milliseconds between two looks at a process that is not our child. */
const LOOK_INTERVAL = 20

const LONGEST_LINE = 64 * 1024

/** Lines of complaint that are kept for an error. */
const KEPT_LINES = 20

interface Events {
  /** The master has loaded, or not loaded, what it was told to. */
  loaded: [successfully: boolean]
  exit: []
}

export interface HaproxyProcessOptions {
  readonly program: string
  readonly configurationFile: string
  /** Where the process id is written down, for the next process of ours. */
  readonly processRecord: string
  readonly log: Logger
  /** Lines of HAProxy's log: requests, changes of states. */
  readonly onLine: (line: string) => void
  /** It ended without having been asked to. */
  readonly onUnexpectedEnd: () => void
}

export class HaproxyProcess implements HaproxyRunner {
  readonly lasting = false
  readonly #options: HaproxyProcessOptions
  readonly #events = new EventEmitter<Events>()
  #child: ChildProcess | undefined
  #complaints: string[] = []
  #ending = false

  constructor(options: HaproxyProcessOptions) {
    this.#options = options
  }

  get running(): boolean {
    return this.#child !== undefined
  }

  /** Process id of the master. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /**
   * Starts it with the configuration file that is there.
   *
   * @throws `HaproxyMissing`, `StartFailed` with what it said
   */
  async start(): Promise<void> {
    const { program, configurationFile, processRecord } = this.#options
    this.#complaints = []
    this.#ending = false
    const child = spawn(program, ['-W', '-db', '-f', configurationFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: '/',
      // Signals from a terminal are for us alone.
      detached: true,
    })
    this.#child = child
    // At once: however soon this process ends, the next one finds HAProxy.
    if (child.pid !== undefined) writeFileSync(processRecord, `${child.pid}`, { mode: 0o600 })
    child.once('error', error => {
      this.#complaints.push(error.message)
      this.#ended(child)
    })
    child.once('close', () => this.#ended(child))
    void this.#readLog(child)
    void this.#readComplaints(child)
    if (!(await this.#nextLoad('start'))) {
      await this.stop()
      if (this.#complaints.some(line => line.includes('ENOENT')))
        throw lbErrors.HaproxyMissing({ object: program })
      throw lbErrors.StartFailed({ object: program, message: `HAProxy did not start: ${this.#reason()}` })
    }
  }

  /**
   * Replaces the workers by ones with the configuration file as it is now. Sockets are handed over; the old workers end when
   * their connections have.
   *
   * @throws `ReloadFailed` with what it said; the old workers go on then
   */
  async reload(): Promise<void> {
    const pid = this.pid
    if (pid === undefined) throw lbErrors.NotRunning({ object: this.#options.program })
    await withDeadline(LOAD_DEADLINE, 'HAProxy: reload', signal => untilReloadable(pid, signal))
    this.#complaints = []
    const loaded = this.#nextLoad('reload')
    process.kill(pid, RELOAD_SIGNAL)
    if (!(await loaded)) {
      throw lbErrors.ReloadFailed({
        object: 'reload',
        message: `HAProxy did not take the new configuration: ${this.#reason()}`,
      })
    }
  }

  /** Ends it at once; connections end with it. Idempotent. */
  async stop(): Promise<void> {
    this.#ending = true
    const child = this.#child
    if (child === undefined) return
    const gone = once(this.#events, 'exit')
    child.kill('SIGTERM')
    try {
      await atMost(END_DEADLINE, 'HAProxy', gone)
    } catch {
      child.kill('SIGKILL')
      await atMost(END_DEADLINE, 'HAProxy', gone)
    }
  }

  async check(file: string): Promise<string> {
    // It can wait: the requests that are being answered cannot.
    const command = ['-n', '19', this.#options.program, '-c', '-f', file]
    const { exitCode, stderr } = await runCommand('nice', command, {
      deadline: CHECK_DEADLINE,
      acceptedExitCodes: [0, 1, 2],
    })
    return exitCode === 0 ? '' : stderr || `exit code ${exitCode}`
  }

  /** Ends one that an earlier process of ours left, if there is one. */
  async endLeftOver(): Promise<void> {
    const { processRecord, log } = this.#options
    const pid = Number(await readFile(processRecord, 'utf8').catch(() => ''))
    if (await this.#isOurs(pid)) {
      process.kill(pid, 'SIGTERM')
      if (!(await this.#isGone(pid))) {
        process.kill(pid, 'SIGKILL')
        await this.#isGone(pid)
      }
      log.info({ pid }, 'ended the HAProxy of an earlier process')
    }
    await rm(processRecord, { force: true })
  }

  /** A process id alone says little: it may be another process's by now. */
  async #isOurs(pid: number): Promise<boolean> {
    if (!Number.isSafeInteger(pid) || pid <= 1) return false
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
    return words.includes(this.#options.configurationFile)
  }

  /** The kernel tells only parents of an end. */
  async #isGone(pid: number): Promise<boolean> {
    for (let waited = 0; waited < END_DEADLINE; waited += LOOK_INTERVAL) {
      if (!(await this.#isOurs(pid))) return true
      await sleep(LOOK_INTERVAL)
    }
    return false
  }

  async #nextLoad(what: string): Promise<boolean> {
    const stop = new AbortController()
    const loaded = once(this.#events, 'loaded', { signal: stop.signal }).then(
      ([successfully]) => successfully === true,
    )
    const ended = once(this.#events, 'exit', { signal: stop.signal }).then(() => false)
    try {
      return await atMost(LOAD_DEADLINE, `HAProxy: ${what}`, Promise.race([loaded, ended]))
    } finally {
      stop.abort()
      await Promise.allSettled([loaded, ended])
    }
  }

  #reason(): string {
    const alerts = this.#complaints.filter(
      line => !line.includes('[NOTICE]') && !line.includes('Loading failure'),
    )
    const texts = alerts.map(line => line.replace(/^\[\w+\]\s+\(\d+\)\s*:\s*/, ''))
    return texts.slice(0, 4).join(' | ').slice(0, 600)
  }

  #ended(child: ChildProcess): void {
    if (this.#child !== child) return
    this.#child = undefined
    this.#events.emit('exit')
    if (!this.#ending) {
      this.#options.log.error({ said: this.#reason() }, 'HAProxy ended')
      this.#options.onUnexpectedEnd()
    }
  }

  async #readLog(child: ChildProcess): Promise<void> {
    if (child.stdout === null) return
    try {
      for await (const line of readLines(child.stdout, LONGEST_LINE)) this.#options.onLine(line)
    } catch (error) {
      this.#options.log.debug({ err: error }, 'the log of HAProxy ended')
      child.stdout.resume()
    }
  }

  /** The master says here whether it loaded a configuration: an event, where its socket would have to be asked again and again. */
  async #readComplaints(child: ChildProcess): Promise<void> {
    if (child.stderr === null) return
    try {
      for await (const line of readLines(child.stderr, LONGEST_LINE)) {
        if (line.includes('Loading success.')) this.#events.emit('loaded', true)
        else if (line.includes('Loading failure!')) this.#events.emit('loaded', false)
        else if (this.#complaints.length < KEPT_LINES) this.#complaints.push(line)
      }
    } catch (error) {
      this.#options.log.debug({ err: error }, 'the messages of HAProxy ended')
      child.stderr.resume()
    }
  }
}
