/** What is behind one name, encoded once for every answer until it changes. */
import { isIPv6 } from 'node:net'
import { parseIpv4, parseIpv6 } from '../kit/index.ts'
import { CLASS_IN, RECORD_TYPE, TIME_TO_LIVE } from './wire.ts'

/** A pointer to the question's name, type, class, time to live, length of the data. */
const RECORD_HEADER = 12

/** Offset 12 of the message: where the question's name begins (RFC 1035, 4.1.4). */
const QUESTION_POINTER = 0xc00c

export interface Endpoint {
  /** IPv4 or IPv6. */
  readonly address: string
  /** May be given to others while there are better ones? */
  readonly healthy: boolean
}

/** A port under which an endpoint can be reached (RFC 2782). */
export interface PortRecord {
  /** The port that the service itself knows: what `_8080._tcp` asks for. */
  readonly name: string
  readonly protocol: 'tcp' | 'udp'
  /** The port to connect to. */
  readonly port: number
  /** A name that leads to `address`. */
  readonly target: string
  readonly address: string
}

/** Records of one type, each as long as the others, one behind the other. */
export interface EncodedRecords {
  readonly bytes: Buffer
  /** Bytes of one record. */
  readonly size: number
}

function encode(type: number, addresses: readonly Buffer[], length: number): EncodedRecords {
  const size = RECORD_HEADER + length
  const bytes = Buffer.alloc(addresses.length * size)
  for (const [index, address] of addresses.entries()) {
    const offset = index * size
    bytes.writeUInt16BE(QUESTION_POINTER, offset)
    bytes.writeUInt16BE(type, offset + 2)
    bytes.writeUInt16BE(CLASS_IN, offset + 4)
    bytes.writeUInt32BE(TIME_TO_LIVE, offset + 6)
    bytes.writeUInt16BE(length, offset + 10)
    address.copy(bytes, offset + RECORD_HEADER)
  }
  return { bytes, size }
}

function ipv4Bytes(address: string): Buffer | undefined {
  const value = parseIpv4(address)
  if (value === undefined) return undefined
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Those that are healthy; if none is, the last one: an answer that may work is better than none. */
export function published(endpoints: readonly Endpoint[]): readonly string[] {
  const healthy = endpoints.filter(endpoint => endpoint.healthy)
  const chosen = healthy.length > 0 ? healthy : endpoints.slice(-1)
  return [...new Set(chosen.map(({ address }) => address))]
}

export class AddressSet {
  readonly #endpoints: () => readonly Endpoint[]
  readonly #ports: () => readonly PortRecord[]
  #records: EncodedRecords | undefined
  #records6: EncodedRecords | undefined

  /**
   * @param endpoints asked when the name is, for the first time and after every `invalidate`
   * @param ports asked whenever they are asked for, which is seldom
   */
  constructor(endpoints: () => readonly Endpoint[], ports: () => readonly PortRecord[] = () => []) {
    this.#endpoints = endpoints
    this.#ports = ports
  }

  /** A records, without duplicates. */
  get records(): EncodedRecords {
    this.#records ??= encode(
      RECORD_TYPE.A,
      this.#published(false).flatMap(address => ipv4Bytes(address) ?? []),
      4,
    )
    return this.#records
  }

  /** AAAA records, without duplicates. */
  get records6(): EncodedRecords {
    this.#records6 ??= encode(
      RECORD_TYPE.AAAA,
      this.#published(true).flatMap(address => parseIpv6(address) ?? []),
      16,
    )
    return this.#records6
  }

  /** The addresses that are given out now, of both families. */
  addresses(): readonly string[] {
    return published(this.#endpoints())
  }

  ports(): readonly PortRecord[] {
    return this.#ports()
  }

  invalidate(): void {
    this.#records = undefined
    this.#records6 = undefined
  }

  /** Each family for itself: that another address is healthy helps nobody who cannot use it. */
  #published(sixth: boolean): readonly string[] {
    return published(this.#endpoints().filter(({ address }) => isIPv6(address) === sixth))
  }
}

/** A name that stands for another one (RFC 1035, 3.3.1). */
export class CanonicalName {
  /** Lower case, without the last dot. */
  readonly target: string

  constructor(target: string) {
    this.target = target.toLowerCase().replace(/\.$/, '')
  }
}
