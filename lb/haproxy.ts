/** A HAProxy that does what a model says. */
import path from 'node:path'
import {
  Backoff,
  type CancelTimer,
  type Clock,
  type Daemon,
  explainError,
  KeyedLock,
  type Logger,
  systemClock,
} from '../kit/index.ts'
import { lbErrors } from './errors.ts'
import { Generations } from './generation.ts'
import { HaproxyProcess } from './haproxy-process.ts'
import type { HaproxyModel } from './model.ts'
import { requireModel } from './model-check.ts'
import { commandsAfterLoading, planChange } from './plan.ts'
import type { ConfigurationFiles } from './render.ts'
import type { HaproxyRunner, RunnerPlace } from './runner.ts'
import { RuntimeClient } from './runtime-client.ts'

export interface HaproxyOptions {
  /** What it is for, in logs. */
  readonly name: string
  /** For configurations and sockets: at most 70 bytes. Whatever is in it is ours. */
  readonly directory: string
  readonly log: Logger
  /** Lines of HAProxy's log. */
  readonly onLine?: (line: string) => void
  /** It ended and runs again: what it knew of its servers is lost. */
  readonly onRestart?: () => void
  readonly program?: string
  /** Makes what runs HAProxy; absent: it is a process of ours. */
  readonly runner?: (place: RunnerPlace) => HaproxyRunner
  /** The directory for HAProxy's sockets. Default: the same. */
  readonly sockets?: string
  readonly clock?: Clock
}

/** How a model was brought about. */
export interface Applied {
  readonly how: 'nothing' | 'commands' | 'reload' | 'start'
  readonly commands: number
}

/** A unix socket's path has at most 107 bytes, and HAProxy adds some while it binds. */
const LONGEST_DIRECTORY = 70

export class Haproxy implements Daemon {
  readonly name: string
  /** For questions; whatever changes something goes through `apply`. */
  readonly runtime: RuntimeClient
  readonly #options: HaproxyOptions
  readonly #generations: Generations
  readonly #process: HaproxyRunner
  readonly #lock = new KeyedLock('HAProxy')
  readonly #backoff = new Backoff({ initial: 100, maximum: 30_000 })
  #applied: { readonly model: HaproxyModel; readonly files: ConfigurationFiles } | undefined
  /** Where HAProxy listens for commands now, and when it has what it is being given. */
  #socket = ''
  #nextSocket = ''
  #cancelRestart: CancelTimer | undefined
  #stopped = false
  /** Loaded, but the commands that belong to it were not all carried out. */
  #incomplete = false

  /** @throws `PathTooLong`; `InvalidModel` for a directory with characters that mean something to HAProxy */
  constructor(options: HaproxyOptions) {
    const { directory, log, program = 'haproxy' } = options
    if (Buffer.byteLength(directory) > LONGEST_DIRECTORY) {
      throw lbErrors.PathTooLong({ object: directory, expected: `at most ${LONGEST_DIRECTORY} bytes` })
    }
    if (!/^\/[A-Za-z0-9/_.-]*$/.test(directory)) {
      throw lbErrors.InvalidModel({
        object: `directory ${directory}`,
        expected: 'an absolute path of letters, digits and / _ . -',
      })
    }
    this.name = options.name
    this.#options = options
    const { sockets = directory } = options
    this.runtime = new RuntimeClient(() => this.#socket)
    this.#generations = new Generations(directory, sockets, file => this.#process.check(file))
    const place = {
      configurationFile: this.#generations.configurationFile,
      adminSocket: () => this.#nextSocket,
      onUnexpectedEnd: () => this.#restartLater(),
    }
    this.#process =
      options.runner?.(place) ??
      new HaproxyProcess({
        ...place,
        program,
        processRecord: path.join(directory, 'master.pid'),
        log,
        onLine: line => options.onLine?.(line),
      })
  }

  /** The model that HAProxy does now. */
  get model(): HaproxyModel | undefined {
    return this.#applied?.model
  }

  /** Process id of the master; undefined while none runs. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Clears away what an earlier process left. HAProxy itself starts with the first model. */
  async start(): Promise<void> {
    this.#stopped = false
    await this.#process.endLeftOver()
    if (!this.#process.lasting) await this.#generations.removeAll()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelRestart?.()
    await this.#lock.run('process', async () => {
      await this.#process.stop()
      if (!this.#process.lasting) await this.#generations.removeAll()
      this.#applied = undefined
    })
  }

  /**
   * Brings HAProxy to do what `model` says: by commands where they suffice, by a reload otherwise.
   *
   * @throws `InvalidModel`, `ConfigurationRefused`, `ReloadFailed`, `StartFailed`. What was served before is served on, and
   *   `model` is still what it was.
   */
  async apply(model: HaproxyModel): Promise<Applied> {
    requireModel(model)
    return await this.#lock.run('process', () => this.#applyNow(model))
  }

  async #applyNow(model: HaproxyModel): Promise<Applied> {
    if (this.#stopped) throw lbErrors.NotRunning({ object: this.name, message: 'is stopped' })
    if (this.#applied === undefined || !this.#process.running) return await this.#load(model, 'start')
    if (this.#incomplete) return await this.#load(model, 'reload')
    const plan = planChange(this.#applied.model, model, this.#applied.files)
    if (plan.how === 'nothing') {
      this.#applied = { ...this.#applied, model }
      return { how: 'nothing', commands: 0 }
    }
    if (plan.how === 'commands') {
      try {
        await this.runtime.change(plan.commands)
        this.#applied = { ...this.#applied, model }
        return { how: 'commands', commands: plan.commands.length }
      } catch (error) {
        this.#options.log.warn(
          { part: this.name, reason: explainError(error) },
          'a command was refused; reloading',
        )
      }
    } else this.#options.log.debug({ part: this.name, reason: plan.reason }, 'reloading')
    return await this.#load(model, 'reload')
  }

  async #load(model: HaproxyModel, how: 'start' | 'reload'): Promise<Applied> {
    const before = this.#applied
    const files = await this.#generations.write(model)
    await this.#generations.use(files)
    this.#nextSocket = this.#generations.adminSocket(files)
    try {
      if (how === 'start') await this.#process.start()
      else await this.#process.reload()
    } catch (error) {
      // Also a master that starts again by itself must find what worked.
      if (before !== undefined) await this.#generations.use(before.files)
      await this.#generations.remove(files)
      throw error
    }
    this.#cancelRestart?.()
    this.#socket = this.#nextSocket
    this.#applied = { model, files }
    if (before !== undefined) await this.#generations.remove(before.files)
    else await this.#generations.removeOthers(files)
    const commands = commandsAfterLoading(model)
    this.#incomplete = true
    await this.runtime.change(commands)
    this.#incomplete = false
    return { how, commands: commands.length }
  }

  #restartLater(): void {
    if (this.#stopped) return
    const { clock = systemClock, log } = this.#options
    this.#cancelRestart?.()
    this.#cancelRestart = clock.after(this.#backoff.next(), () => {
      this.#lock
        .run('process', async () => {
          if (this.#stopped || this.#process.running || this.#applied === undefined) return
          await this.#load(this.#applied.model, 'start')
          this.#backoff.reset()
          this.#options.onRestart?.()
        })
        .catch(error => {
          log.error({ err: error, part: this.name }, 'HAProxy does not start again; it is tried later')
          this.#restartLater()
        })
    })
  }
}
