/** The addresses of one name, encoded once for every answer until they change. */
import { parseIpv4 } from '../kit/index.ts'
import { CLASS_IN, RECORD_TYPE, TIME_TO_LIVE } from './wire.ts'

/** A pointer to the question's name, type, class, time to live, length of the data. */
const RECORD_HEADER = 12

/** Bytes of an A record whose owner is the name that was asked for. */
export const ADDRESS_RECORD_SIZE = RECORD_HEADER + 4

/** Offset 12 of the message: where the question's name begins (RFC 1035, 4.1.4). */
const QUESTION_POINTER = 0xc00c

export interface Endpoint {
  readonly address: string
  /** May be given to others while there are better ones? */
  readonly healthy: boolean
}

function encode(addresses: readonly string[]): Buffer {
  const values = addresses.map(parseIpv4).filter(value => value !== undefined)
  const records = Buffer.alloc(values.length * ADDRESS_RECORD_SIZE)
  for (const [index, value] of values.entries()) {
    const offset = index * ADDRESS_RECORD_SIZE
    records.writeUInt16BE(QUESTION_POINTER, offset)
    records.writeUInt16BE(RECORD_TYPE.A, offset + 2)
    records.writeUInt16BE(CLASS_IN, offset + 4)
    records.writeUInt32BE(TIME_TO_LIVE, offset + 6)
    records.writeUInt16BE(4, offset + 10)
    records.writeUInt32BE(value, offset + RECORD_HEADER)
  }
  return records
}

/** Those that are healthy; if none is, the last one: an answer that may work is better than none. */
export function published(endpoints: readonly Endpoint[]): readonly string[] {
  const healthy = endpoints.filter(endpoint => endpoint.healthy)
  const chosen = healthy.length > 0 ? healthy : endpoints.slice(-1)
  return [...new Set(chosen.map(({ address }) => address))]
}

export class AddressSet {
  readonly #endpoints: () => readonly Endpoint[]
  #records: Buffer | undefined

  /** @param endpoints asked when the name is, for the first time and after every `invalidate` */
  constructor(endpoints: () => readonly Endpoint[]) {
    this.#endpoints = endpoints
  }

  /** A records, one behind the other, without duplicates. */
  get records(): Buffer {
    this.#records ??= encode(published(this.#endpoints()))
    return this.#records
  }

  invalidate(): void {
    this.#records = undefined
  }
}
