/** Bytes that were good once: a small generator of random numbers that can be repeated, and what is done to messages. */

/** How many inputs a fuzz test makes: as an environment variable says, which must be a positive whole number. */
export function countFrom(variable: string, otherwise: number): number {
  const text = process.env[variable]
  if (text === undefined || text === '') return otherwise
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`${variable}=${text} is not a positive whole number`)
  return Number(text)
}

/** Numbers that look random and are the same for the same seed (mulberry32): a failure can be repeated. */
export class RandomNumbers {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }

  /** @throws `RangeError` for an empty list */
  oneOf<T>(list: readonly T[]): T {
    const chosen = list[this.below(list.length)]
    if (chosen === undefined) throw new RangeError('there is nothing to choose from')
    return chosen
  }
}

/** Values at which readers of lengths, pointers, flags and text change their mind. */
const SUSPICIOUS = [0, 1, 0x0a, 0x0d, 0x20, 0x25, 0x2e, 0x3a, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xff]
const MOST_CHANGES = 6
const LONGEST_INSERT = 40

type Change = (bytes: Buffer, random: RandomNumbers, corpus: readonly Buffer[]) => Buffer

function setByte(bytes: Buffer, at: number, value: number): Buffer {
  if (at < bytes.length) bytes[at] = value
  return bytes
}

const CHANGES: readonly Change[] = [
  (bytes, random) => {
    const at = random.below(bytes.length + 1)
    return setByte(bytes, at, (bytes[at] ?? 0) ^ (1 << random.below(8)))
  },
  (bytes, random) => setByte(bytes, random.below(bytes.length + 1), random.below(256)),
  (bytes, random) => setByte(bytes, random.below(bytes.length + 1), random.oneOf(SUSPICIOUS)),
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) => {
    const at = random.below(bytes.length + 1)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(8))])
  },
  (bytes, random) => {
    const at = random.below(bytes.length + 1)
    const more = Buffer.alloc(1 + random.below(LONGEST_INSERT), random.oneOf(SUSPICIOUS))
    return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)])
  },
  (bytes, random) => {
    const from = random.below(bytes.length + 1)
    const part = bytes.subarray(from, from + random.below(LONGEST_INSERT))
    const at = random.below(bytes.length + 1)
    return Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at)])
  },
  (bytes, random, corpus) => {
    const other = random.oneOf(corpus)
    return Buffer.concat([
      bytes.subarray(0, random.below(bytes.length + 1)),
      other.subarray(random.below(other.length + 1)),
    ])
  },
]

/** One of the corpus, changed in one to six places; the corpus itself stays as it is. */
export function mutated(corpus: readonly Buffer[], random: RandomNumbers): Buffer {
  let bytes: Buffer = Buffer.from(random.oneOf(corpus))
  // Half of them are changed once only: what is nearly good gets further than what is rubbish.
  const changes = random.below(2) === 0 ? 1 : 1 + random.below(MOST_CHANGES)
  for (let left = changes; left > 0; left -= 1) bytes = random.oneOf(CHANGES)(bytes, random, corpus)
  return bytes
}
