/** Frames inside a stream of the link: four bytes length of the content (big-endian), one byte kind, the content. */

const HEADER = 5
/** Largest content of a frame in bytes. */
const FRAME_LIMIT = 1024 * 1024

export interface Frame {
  /** 0 to 255. */
  readonly kind: number
  readonly content: Buffer
}

/** One frame with `content`; as many as it takes, one after the other, when that is more than one may hold. */
export function encodeFrame(kind: number, content: Uint8Array): Buffer {
  const parts: Uint8Array[] = []
  let at = 0
  do {
    const part = content.subarray(at, at + FRAME_LIMIT)
    const header = Buffer.alloc(HEADER)
    header.writeUInt32BE(part.length, 0)
    header.writeUInt8(kind, 4)
    parts.push(header, part)
    at += FRAME_LIMIT
  } while (at < content.length)
  return Buffer.concat(parts)
}

/** Puts frames together from bytes that come in any portions. */
export class FrameDecoder {
  #rest: Buffer = Buffer.alloc(0)

  /**
   * @returns the frames that are complete now
   * @throws RangeError on a frame that is larger than permitted
   */
  decode(bytes: Buffer): Frame[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const frames: Frame[] = []
    while (this.#rest.length >= HEADER) {
      const length = this.#rest.readUInt32BE(0)
      if (length > FRAME_LIMIT) throw new RangeError(`a frame of ${length} bytes is too large`)
      if (this.#rest.length < HEADER + length) break
      frames.push({ kind: this.#rest.readUInt8(4), content: this.#rest.subarray(HEADER, HEADER + length) })
      this.#rest = this.#rest.subarray(HEADER + length)
    }
    return frames
  }
}
