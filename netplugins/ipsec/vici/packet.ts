/** Packets of VICI, and the segments in which they travel: four bytes of length, then so many bytes. */
import { networkErrors } from '../../errors.ts'
import { decodeMessage, encodeMessage, encodeName, ViciReader, type ViciSection } from './message.ts'

/** Bytes of a segment; charon takes and sends no longer ones. */
export const SEGMENT_LIMIT = 512 * 1024

const HEADER_LENGTH = 4

const TYPES = {
  request: 0,
  response: 1,
  unknownCommand: 2,
  register: 3,
  unregister: 4,
  confirm: 5,
  unknownEvent: 6,
  event: 7,
} as const

/** What we send. */
export type ClientPacket =
  | { readonly kind: 'request'; readonly name: string; readonly message: ViciSection }
  | { readonly kind: 'register' | 'unregister'; readonly name: string }

/** What charon sends. */
export type ServerPacket =
  | { readonly kind: 'response'; readonly message: ViciSection }
  | { readonly kind: 'event'; readonly name: string; readonly message: ViciSection }
  | { readonly kind: 'unknownCommand' | 'confirm' | 'unknownEvent' }

function segment(...parts: Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  if (length > SEGMENT_LIMIT) {
    throw networkErrors.MalformedVici({
      object: 'VICI packet',
      message: `has ${length} bytes`,
      expected: `at most ${SEGMENT_LIMIT} bytes`,
    })
  }
  const header = Buffer.alloc(HEADER_LENGTH)
  header.writeUInt32BE(length)
  return Buffer.concat([header, ...parts])
}

/** A packet as bytes for the socket. @throws `MalformedVici` when it is longer than charon reads */
export function encodePacket(packet: ClientPacket): Buffer {
  const head = [Buffer.from([TYPES[packet.kind]]), encodeName(packet.name)]
  return packet.kind === 'request' ? segment(...head, encodeMessage(packet.message)) : segment(...head)
}

/** The content of one segment. @throws `MalformedVici` */
export function decodePacket(bytes: Uint8Array): ServerPacket {
  const reader = new ViciReader(bytes)
  const type = reader.byte()
  switch (type) {
    case TYPES.response:
      return { kind: 'response', message: decodeMessage(reader) }
    case TYPES.event: {
      const name = reader.name()
      return { kind: 'event', name, message: decodeMessage(reader) }
    }
    case TYPES.unknownCommand:
      return { kind: 'unknownCommand' }
    case TYPES.confirm:
      return { kind: 'confirm' }
    case TYPES.unknownEvent:
      return { kind: 'unknownEvent' }
    default:
      throw networkErrors.MalformedVici({ object: 'VICI packet', message: `is of the unknown type ${type}` })
  }
}

/** Cuts what arrives at a socket into segments. Holds at most one segment that is not complete. */
export class SegmentReader {
  #chunks: Buffer[] = []
  #size = 0

  /**
   * @returns the segments that are complete now
   * @throws `MalformedVici` for one that is longer than any can be: there is no way to find the next one
   */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    if (this.#size < this.#needed()) return []
    let rest = Buffer.concat(this.#chunks)
    const segments: Buffer[] = []
    for (;;) {
      const length = lengthOf(rest)
      if (length === undefined || rest.length < HEADER_LENGTH + length) break
      segments.push(rest.subarray(HEADER_LENGTH, HEADER_LENGTH + length))
      rest = rest.subarray(HEADER_LENGTH + length)
    }
    this.#chunks = [rest]
    this.#size = rest.length
    return segments
  }

  /** Bytes without which looking is no use: joining chunks for each one that comes would cost their square. */
  #needed(): number {
    const [first] = this.#chunks
    const length = first === undefined ? undefined : lengthOf(first)
    return HEADER_LENGTH + (length ?? 0)
  }
}

function lengthOf(bytes: Buffer): number | undefined {
  if (bytes.length < HEADER_LENGTH) return undefined
  const length = bytes.readUInt32BE()
  if (length > SEGMENT_LIMIT || length === 0) {
    throw networkErrors.MalformedVici({
      object: 'VICI packet',
      message: `claims to have ${length} bytes`,
      expected: `1 to ${SEGMENT_LIMIT} bytes`,
    })
  }
  return length
}
