/**
 * What a client sends into a container's terminal, inside a stream of the link: frames of four bytes length
 * (big-endian), one byte kind, then the content.
 */

/** The size of a terminal, in characters. */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

export type TerminalFrame =
  | { readonly kind: 'input'; readonly data: Buffer }
  | { readonly kind: 'resize'; readonly size: TerminalSize }

const HEADER = 5
const INPUT = 0
const RESIZE = 1
/** Largest content of a frame in bytes. */
const FRAME_LIMIT = 1024 * 1024

export function encodeTerminalFrame(frame: TerminalFrame): Buffer {
  const content = frame.kind === 'input' ? frame.data : Buffer.from(JSON.stringify(frame.size))
  const header = Buffer.alloc(HEADER)
  header.writeUInt32BE(content.length, 0)
  header.writeUInt8(frame.kind === 'input' ? INPUT : RESIZE, 4)
  return Buffer.concat([header, content])
}

function readSize(content: Buffer): TerminalSize | undefined {
  try {
    const { columns, rows } = JSON.parse(content.toString('utf8')) as Partial<TerminalSize>
    const fits = [columns, rows].every(
      value => Number.isInteger(value) && Number(value) > 0 && Number(value) < 10_000,
    )
    return fits ? { columns: Number(columns), rows: Number(rows) } : undefined
  } catch {
    // Not JSON: no size, and nothing else depends on it.
    return undefined
  }
}

/** Puts frames together from bytes that come in any portions. */
export class TerminalDecoder {
  #rest: Buffer = Buffer.alloc(0)

  /**
   * @returns the frames that are complete now; frames of an unknown kind are left out
   * @throws RangeError on a frame that is larger than permitted
   */
  decode(bytes: Buffer): TerminalFrame[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const frames: TerminalFrame[] = []
    while (this.#rest.length >= HEADER) {
      const length = this.#rest.readUInt32BE(0)
      if (length > FRAME_LIMIT) throw new RangeError(`a terminal frame of ${length} bytes is too large`)
      if (this.#rest.length < HEADER + length) break
      const kind = this.#rest.readUInt8(4)
      const content = this.#rest.subarray(HEADER, HEADER + length)
      this.#rest = this.#rest.subarray(HEADER + length)
      if (kind === INPUT) frames.push({ kind: 'input', data: content })
      const size = kind === RESIZE ? readSize(content) : undefined
      if (size !== undefined) frames.push({ kind: 'resize', size })
    }
    return frames
  }
}
