/** HAProxy in a balancer's container: it lives as long as that does, whether there is an agent or not. */
import path from 'node:path'
import { sleep } from '../../kit/index.ts'
import { type HaproxyRunner, lbErrors, type RunnerPlace, RuntimeClient } from '../../lb/index.ts'

/** A container that something can be done to. */
export interface BalancerContainer {
  /** Runs a command inside; what it said, both ways. */
  run(command: readonly string[]): Promise<{ readonly exitCode: number; readonly output: string }>
  /** A directory of its file system as a tar archive, with what links in it lead to inside. */
  readDirectory(directory: string): Promise<Buffer>
  /** Has HAProxy read its configuration again. */
  signalReload(): Promise<void>
}

/** Milliseconds until a configuration must be in use. */
const LOAD_DEADLINE = 30_000

/** Milliseconds between two looks: HAProxy tells nobody that it has loaded. */
const LOOK_INTERVAL = 15

/** Milliseconds after which it is asked again: a master that has just loaded may not hear it. */
const ASK_AGAIN = 1_000

/** Milliseconds for one question. */
const ASK_DEADLINE = 2_000

export class ContainedHaproxy implements HaproxyRunner {
  readonly lasting = true
  readonly pid = undefined
  readonly #container: BalancerContainer
  readonly #place: RunnerPlace
  readonly #worker: RuntimeClient
  readonly #master: RuntimeClient
  #running = false

  /** @param sockets the directory for HAProxy's sockets */
  constructor(container: BalancerContainer, place: RunnerPlace, sockets: string) {
    this.#container = container
    this.#place = place
    const master = path.join(sockets, 'master.sock')
    this.#worker = new RuntimeClient(place.adminSocket, ASK_DEADLINE)
    this.#master = new RuntimeClient(() => master, ASK_DEADLINE)
  }

  get running(): boolean {
    return this.#running
  }

  async check(file: string): Promise<string> {
    const { exitCode, output } = await this.#container.run(['/usr/sbin/haproxy', '-c', '-f', file])
    return exitCode === 0 ? '' : output || `exit code ${exitCode}`
  }

  /** It starts by itself with its first configuration, or runs already with one of an earlier agent. */
  async start(): Promise<void> {
    await this.#load()
    this.#running = true
  }

  async reload(): Promise<void> {
    await this.#load()
  }

  stop(): Promise<void> {
    this.#running = false
    return Promise.resolve()
  }

  endLeftOver(): Promise<void> {
    return Promise.resolve()
  }

  async #load(): Promise<void> {
    const before = await this.#failures()
    let askAt = 0
    for (let waited = 0; waited < LOAD_DEADLINE; waited += LOOK_INTERVAL) {
      if (await this.#hasLoaded()) return
      const failures = await this.#failures()
      if (askAt > 0 && (failures ?? 0) > (before ?? 0)) break
      if (failures !== undefined && waited >= askAt) {
        await this.#container.signalReload()
        askAt = waited + ASK_AGAIN
      }
      await sleep(LOOK_INTERVAL)
    }
    throw lbErrors.ReloadFailed({
      object: this.#place.configurationFile,
      mend: "see the log of the balancer's container; what was served before is still served",
    })
  }

  /** Whether there are workers of earlier configurations, which end with their last connection; also when it is not known. */
  async hasOldWorkers(): Promise<boolean> {
    try {
      return /^# old workers\n\d/m.test(await this.#master.ask('show proc;quit'))
    } catch {
      return true
    }
  }

  /** A worker with the configuration that is there listens for commands. */
  async #hasLoaded(): Promise<boolean> {
    try {
      return (await this.#worker.facts()).Pid !== undefined
    } catch {
      return false
    }
  }

  /** How often the master did not get a configuration to work; undefined while there is none. */
  async #failures(): Promise<number | undefined> {
    try {
      // The master, unlike its workers, leaves the connection open for more.
      const answer = await this.#master.ask('show proc;quit')
      return Number(/\[failed: (\d+)\]/.exec(answer)?.[1] ?? 0)
    } catch {
      return undefined
    }
  }
}
