/**
 * Large messages travel compressed, as binary messages of stream 0, which no stream ever has. One packed message may go to
 * any number of connections.
 */
import { gunzipSync, gzipSync } from 'node:zlib'
import { decodeStreamData, encodeStreamData, LINK_MESSAGE_LIMIT } from './messages.ts'

const PACKED_STREAM = 0
/** Characters from which packing is worth its time. */
const SMALLEST = 4 * 1024
/** Packed messages that are kept for the next connection: agents are sent the same one after the other. */
const CAPACITY = 16

export function isPacked(frame: Buffer): boolean {
  return frame.length > 4 && frame.readUInt32BE(0) === PACKED_STREAM
}

/** @throws the decompressor's error for what is no packed message, or one that is too large */
export function unpackMessage(frame: Buffer): string {
  const data = decodeStreamData(frame)?.data ?? Buffer.alloc(0)
  // In order with what comes after it; the fastest level packs, so a message takes a few milliseconds at most.
  return gunzipSync(data, { maxOutputLength: LINK_MESSAGE_LIMIT }).toString('utf8')
}

/** Packs each message once, however many connections it goes to. */
export class MessagePacker {
  readonly #packed = new Map<string, Buffer>()

  /** The message as it should travel. */
  pack(text: string): string | Buffer {
    if (text.length < SMALLEST) return text
    const known = this.#packed.get(text)
    if (known !== undefined) return known
    const packed = encodeStreamData(PACKED_STREAM, gzipSync(text, { level: 1 }))
    this.#packed.set(text, packed)
    if (this.#packed.size > CAPACITY) {
      const oldest = this.#packed.keys().next().value
      if (oldest !== undefined) this.#packed.delete(oldest)
    }
    return packed
  }
}
