/** Frames of SPDY 3.1 (draft-mbelshe-httpbis-spdy-00, 2.2), as far as Kubernetes' clients and kubelets send them. */

const VERSION = 3
const HEADER = 8
/** Bytes of a frame; clients copy through buffers of 32 KiB. */
const FRAME_LIMIT = 1024 * 1024
export const FLAG_END = 0x01

export const TYPE = {
  open: 1,
  reply: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  window: 9,
} as const

export type SpdyFrame =
  | { readonly type: 'data'; readonly stream: number; readonly end: boolean; readonly data: Buffer }
  | { readonly type: 'open'; readonly stream: number; readonly end: boolean; readonly block: Buffer }
  | { readonly type: 'reply'; readonly stream: number; readonly end: boolean; readonly block: Buffer }
  | { readonly type: 'headers'; readonly stream: number; readonly end: boolean; readonly block: Buffer }
  | { readonly type: 'reset'; readonly stream: number }
  | { readonly type: 'ping'; readonly id: number }
  | { readonly type: 'goAway' }
  /** Nothing that this side acts on: settings, windows. */
  | { readonly type: 'other' }

const STREAM_MASK = 0x7fffffff

function controlFrame(type: number, flags: number, body: Buffer): SpdyFrame {
  const stream = () => body.readUInt32BE(0) & STREAM_MASK
  const end = (flags & FLAG_END) !== 0
  switch (type) {
    case TYPE.open:
      return { type: 'open', stream: stream(), end, block: body.subarray(10) }
    case TYPE.reply:
      return { type: 'reply', stream: stream(), end, block: body.subarray(4) }
    case TYPE.headers:
      return { type: 'headers', stream: stream(), end, block: body.subarray(4) }
    case TYPE.reset:
      return { type: 'reset', stream: stream() }
    case TYPE.ping:
      return { type: 'ping', id: body.readUInt32BE(0) }
    case TYPE.goAway:
      return { type: 'goAway' }
    default:
      return { type: 'other' }
  }
}

/** Puts frames together from bytes that come in any portions. */
export class SpdyDecoder {
  #rest: Buffer = Buffer.alloc(0)

  /** @throws RangeError for what is no frame of this version, or too large */
  decode(bytes: Buffer): SpdyFrame[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const frames: SpdyFrame[] = []
    while (this.#rest.length >= HEADER) {
      const first = this.#rest.readUInt32BE(0)
      const flags = this.#rest.readUInt8(4)
      const length = this.#rest.readUIntBE(5, 3)
      if (length > FRAME_LIMIT) throw new RangeError(`a SPDY frame of ${length} bytes is too large`)
      if (this.#rest.length < HEADER + length) break
      const body = this.#rest.subarray(HEADER, HEADER + length)
      this.#rest = this.#rest.subarray(HEADER + length)
      if (first <= STREAM_MASK) {
        frames.push({ type: 'data', stream: first, end: (flags & FLAG_END) !== 0, data: body })
        continue
      }
      const version = (first >>> 16) & 0x7fff
      if (version !== VERSION) throw new RangeError(`SPDY version ${version} is not spoken here`)
      frames.push(controlFrame(first & 0xffff, flags, body))
    }
    return frames
  }
}

export function encodeControl(type: number, flags: number, body: Uint8Array): Buffer {
  const frame = Buffer.alloc(HEADER + body.length)
  frame.writeUInt16BE(0x8000 | VERSION, 0)
  frame.writeUInt16BE(type, 2)
  frame.writeUInt8(flags, 4)
  frame.writeUIntBE(body.length, 5, 3)
  frame.set(body, HEADER)
  return frame
}

export function encodeData(stream: number, data: Uint8Array, end: boolean): Buffer {
  const frame = Buffer.alloc(HEADER + data.length)
  frame.writeUInt32BE(stream, 0)
  frame.writeUInt8(end ? FLAG_END : 0, 4)
  frame.writeUIntBE(data.length, 5, 3)
  frame.set(data, HEADER)
  return frame
}

/** Numbers of 32 bits, one after the other. */
export function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value, index * 4)
  })
  return bytes
}
