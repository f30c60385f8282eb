/** How long changes are collected by a controller whose looks cost more, the more there is to look at. */

/** A look shall take no more than one part in so many of the time. */
const SHARE = 20

export class Pace {
  readonly #shortest: number
  #last = 0

  /** @param shortest milliseconds for which changes are collected at least */
  constructor(shortest: number) {
    this.#shortest = shortest
  }

  /** Milliseconds until the next look. */
  get wait(): number {
    return Math.max(this.#shortest, this.#last * SHARE)
  }

  /** Runs a look and remembers how long it took. */
  async measure<T>(look: () => Promise<T>): Promise<T> {
    const begin = performance.now()
    try {
      return await look()
    } finally {
      this.#last = performance.now() - begin
    }
  }
}
