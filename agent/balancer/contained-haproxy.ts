/** HAProxy in a balancer's container: it lives as long as that does, whether there is an agent or not. */
import path from 'node:path'
import { sleep } from '../../kit/index.ts'
import { type HaproxyRunner, lbErrors, type RunnerPlace, RuntimeClient } from '../../lb/index.ts'

/** A container that something can be done to. */
export interface BalancerContainer {
  /** Runs a command inside; what it said, both ways. */
  run(command: readonly string[]): Promise<{ readonly exitCode: number; readonly output: string }>
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
  /** The name of the configuration that the container is to have next. */
  readonly #wanted: () => Promise<string>
  #running = false

  /** @param wanted reads the name of the configuration that is to be used now */
  constructor(container: BalancerContainer, place: RunnerPlace, wanted: () => Promise<string>) {
    this.#container = container
    this.#place = place
    this.#wanted = wanted
    this.#worker = new RuntimeClient(place.adminSocket, ASK_DEADLINE)
    this.#master = new RuntimeClient(path.join(path.dirname(place.adminSocket), 'master.sock'), ASK_DEADLINE)
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
    const wanted = await this.#wanted()
    const failures = await this.#failures()
    let askAt = 0
    for (let waited = 0; waited < LOAD_DEADLINE; waited += LOOK_INTERVAL) {
      const used = await this.#used()
      if (used === wanted) return
      if (used !== undefined && waited >= askAt) {
        await this.#container.signalReload()
        askAt = waited + ASK_AGAIN
      }
      if (askAt > 0 && (await this.#failures()) > failures) break
      await sleep(LOOK_INTERVAL)
    }
    throw lbErrors.ReloadFailed({
      object: this.#place.configurationFile,
      mend: "see the log of the balancer's container; what was served before is still served",
    })
  }

  /** The name of the configuration in use; undefined while HAProxy does not answer. */
  async #used(): Promise<string | undefined> {
    try {
      return (await this.#worker.facts()).description
    } catch {
      return undefined
    }
  }

  /** How often the master did not get a configuration to work. */
  async #failures(): Promise<number> {
    try {
      return Number(/\[failed: (\d+)\]/.exec(await this.#master.ask('show proc'))?.[1] ?? 0)
    } catch {
      return 0
    }
  }
}
