/** Asks one after the other without waiting long for any: the first good answer wins. */
import type { Clock } from '../kit/index.ts'
import { RESPONSE_CODE } from './wire.ts'

export interface RaceOptions<Candidate> {
  /** At least one, in the order in which they are asked. */
  readonly candidates: readonly Candidate[]
  readonly ask: (candidate: Candidate, signal: AbortSignal) => Promise<Buffer>
  /** Milliseconds after which the next one is asked as well. */
  readonly headStart: (candidate: Candidate) => number
  /** Ends the race without a winner. */
  readonly signal: AbortSignal
  readonly clock: Clock
}

/** Whether the server knew; one that could not find out, or did not want to, is no reason to ask no other. */
function isAnswer(response: Buffer): boolean {
  const code = response.readUInt16BE(2) & 0xf
  return code === RESPONSE_CODE.noError || code === RESPONSE_CODE.nameError
}

export class Race<Candidate> {
  readonly #options: RaceOptions<Candidate>
  readonly #result = Promise.withResolvers<Buffer>()
  readonly #end = new AbortController()
  readonly #signal: AbortSignal
  #next = 0
  #running = 0
  #cancelNext = () => {}
  /** What somebody said who did not know. */
  #consolation: Buffer | undefined

  constructor(options: RaceOptions<Candidate>) {
    this.#options = options
    this.#signal = AbortSignal.any([options.signal, this.#end.signal])
  }

  /** @throws what the last one to fail threw; the signal's reason */
  async run(): Promise<Buffer> {
    this.#begin()
    try {
      return await this.#result.promise
    } finally {
      this.#cancelNext()
      this.#end.abort()
    }
  }

  #begin(): void {
    const { candidates, ask, headStart, clock } = this.#options
    this.#cancelNext()
    const candidate = candidates[this.#next]
    if (candidate === undefined) return
    this.#next += 1
    this.#running += 1
    this.#cancelNext = clock.after(headStart(candidate), () => this.#begin())
    ask(candidate, this.#signal).then(
      response => {
        if (isAnswer(response)) this.#result.resolve(response)
        this.#consolation ??= response
        this.#goOn(undefined)
      },
      error => this.#goOn(error),
    )
  }

  #goOn(error: unknown): void {
    this.#running -= 1
    if (this.#end.signal.aborted) return
    if (this.#next < this.#options.candidates.length && !this.#options.signal.aborted) this.#begin()
    else if (this.#running > 0) return
    else if (this.#consolation === undefined) this.#result.reject(error)
    else this.#result.resolve(this.#consolation)
  }
}
