/**
 * Listens to charon's log while there is something to be learned from it: charon writes a line for every packet that a
 * stranger sends it, and a flood of them must not become ours.
 */
import { parseLogEvent } from './failures.ts'
import type { Failure } from './peer-machine.ts'
import type { ViciClient } from './vici/index.ts'

/** Lines after which it is not listened to any more, until the next look at peers. */
const LINE_LIMIT = 5_000

export interface HeardFailure {
  /** Of the connection that it is about. */
  readonly name: string
  readonly failure: Failure
}

export class CharonLog {
  readonly #client: ViciClient
  readonly #heard: (failure: HeardFailure) => void
  #stop: (() => Promise<void>) | undefined
  #lines = 0

  constructor(client: ViciClient, heard: (failure: HeardFailure) => void) {
    this.#client = client
    this.#heard = heard
  }

  /** Begins or ends listening. @throws `CharonRefused`, `DeadlineExceeded`, `Stopped` */
  async follow(isWanted: boolean): Promise<void> {
    const stop = this.#stop
    if (stop !== undefined && (!isWanted || this.#lines > LINE_LIMIT)) {
      this.#stop = undefined
      await stop()
    } else if (stop === undefined && isWanted) {
      this.#lines = 0
      this.#stop = await this.#client.listen('log', event => {
        this.#lines += 1
        const heard = this.#lines > LINE_LIMIT ? undefined : parseLogEvent(event)
        if (heard !== undefined) this.#heard(heard)
      })
    }
  }
}
