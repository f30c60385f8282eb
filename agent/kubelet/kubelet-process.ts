/**
 * The process of a kubelet: started with its output in a log, ended with the agent; one that an agent left behind when it
 * was killed is found again and ended.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, open, readFile, rm, stat, truncate } from 'node:fs/promises'
import {
  explainError,
  type Logger,
  processStart,
  sleep,
  systemErrorCode,
  writeFileDurably,
} from '../../kit/index.ts'
import type { KubeletFiles } from './configuration.ts'
import { kubeletErrors } from './errors.ts'

/** Milliseconds for which it may end by itself; the last of them it is killed in. */
const END_DEADLINE = 5_000
/** Milliseconds between two looks at whether it has ended. */
const LOOK_INTERVAL = 50
/** Bytes of its log, after which a new one is begun; one old one is kept. */
const LOG_LIMIT = 16 * 1024 * 1024
/** Characters of its last words. */
const WORDS = 600
/** Bytes at the end of its log that these are looked for in. */
const WORDS_READ = 64 * 1024

type Files = Pick<KubeletFiles, 'log' | 'processRecord'>

/** What there is to be said about its end. */
export interface Ended {
  readonly exitCode: number | null
  readonly signal: string | null
  /** The end of what it wrote. */
  readonly words: string
}

export class KubeletProcess {
  readonly #files: Files
  readonly #log: Logger

  constructor(files: Files, log: Logger) {
    this.#files = files
    this.#log = log
  }

  /** Its process id; undefined when it does not run. */
  async pid(): Promise<number | undefined> {
    const record = await readFile(this.#files.processRecord, 'utf8').catch(() => '')
    const [, pid, start] = /^(\d+) (\d+)\n$/.exec(record) ?? []
    return pid !== undefined && (await processStart(Number(pid))) === start ? Number(pid) : undefined
  }

  /**
   * Starts it; resolves when it runs.
   *
   * @param onEnd called once, however it ends
   * @throws `KubeletEnded` when it cannot be started
   */
  async start(program: string, args: readonly string[], onEnd: (ended: Ended) => void): Promise<void> {
    await this.end()
    await this.turnLog()
    const output = await open(this.#files.log, 'a', 0o600)
    try {
      const child = spawn(program, args, { stdio: ['ignore', output.fd, output.fd], cwd: '/' })
      await once(child, 'spawn')
      child.once('exit', (exitCode, signal) => {
        void this.#lastWords().then(words => onEnd({ exitCode, signal, words }))
      })
      const { pid = 0 } = child
      const start = await processStart(pid)
      // One that has ended already has said so.
      if (start !== undefined) await writeFileDurably(this.#files.processRecord, `${pid} ${start}\n`)
      this.#log.info({ pid }, 'started the kubelet')
    } catch (cause) {
      throw kubeletErrors.KubeletEnded({ object: program, message: 'cannot be started', cause })
    } finally {
      await output.close()
    }
  }

  /** Ends it, if it runs; pods go on. Idempotent. */
  async end(): Promise<void> {
    const pid = await this.pid()
    if (pid !== undefined) {
      this.#signal(pid, 'SIGTERM')
      if (!(await this.#isGone())) {
        this.#signal(pid, 'SIGKILL')
        if (!(await this.#isGone()))
          throw kubeletErrors.KubeletEnded({ object: `kubelet (process ${pid})`, message: 'does not end' })
      }
    }
    await rm(this.#files.processRecord, { force: true })
  }

  /** Begins its log anew when it is long; what it said before stays beside it, once. It goes on writing meanwhile. */
  async turnLog(): Promise<void> {
    const { log } = this.#files
    const size = await stat(log).then(
      facts => facts.size,
      () => 0,
    )
    if (size <= LOG_LIMIT) return
    await copyFile(log, `${log}.1`)
    await truncate(log)
  }

  /** The end of its log, of which there may be more than fits in memory. */
  async #lastWords(): Promise<string> {
    try {
      const log = await open(this.#files.log, 'r')
      try {
        const { size } = await log.stat()
        const length = Math.min(size, WORDS_READ)
        const { buffer, bytesRead } = await log.read(Buffer.alloc(length), 0, length, size - length)
        const text = buffer.subarray(0, bytesRead).toString('utf8')
        return text.trim().split('\n').slice(-3).join(' | ').slice(-WORDS)
      } finally {
        await log.close()
      }
    } catch (error) {
      return `its log cannot be read: ${explainError(error)}`
    }
  }

  #signal(pid: number, signal: NodeJS.Signals): void {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (systemErrorCode(error) !== 'ESRCH') throw error
    }
  }

  async #isGone(): Promise<boolean> {
    const latest = performance.now() + END_DEADLINE
    while ((await this.pid()) !== undefined) {
      if (performance.now() > latest) return false
      await sleep(LOOK_INTERVAL)
    }
    return true
  }
}
