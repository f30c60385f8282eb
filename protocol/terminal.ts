/** What a client sends into a container's terminal, in frames inside a stream of the link. */
import { encodeFrame, FrameDecoder } from './frames.ts'

/** The size of a terminal, in characters. */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

export type TerminalFrame =
  | { readonly kind: 'input'; readonly data: Buffer }
  | { readonly kind: 'resize'; readonly size: TerminalSize }

const INPUT = 0
const RESIZE = 1

export function encodeTerminalFrame(frame: TerminalFrame): Buffer {
  return frame.kind === 'input'
    ? encodeFrame(INPUT, frame.data)
    : encodeFrame(RESIZE, Buffer.from(JSON.stringify(frame.size)))
}

/** Whether both are numbers of characters that a terminal can have. */
export function isTerminalSize(size: Partial<TerminalSize>): size is TerminalSize {
  return [size.columns, size.rows].every(
    value => Number.isInteger(value) && Number(value) > 0 && Number(value) < 10_000,
  )
}

function readSize(content: Buffer): TerminalSize | undefined {
  try {
    const size = JSON.parse(content.toString('utf8')) as Partial<TerminalSize>
    return isTerminalSize(size) ? { columns: size.columns, rows: size.rows } : undefined
  } catch {
    // Not JSON: no size, and nothing else depends on it.
    return undefined
  }
}

/** Puts frames together from bytes that come in any portions. */
export class TerminalDecoder {
  readonly #frames = new FrameDecoder()

  /**
   * @returns the frames that are complete now; frames of an unknown kind are left out
   * @throws RangeError on a frame that is larger than permitted
   */
  decode(bytes: Buffer): TerminalFrame[] {
    return this.#frames.decode(bytes).flatMap(({ kind, content }): TerminalFrame[] => {
      if (kind === INPUT) return [{ kind: 'input', data: content }]
      const size = kind === RESIZE ? readSize(content) : undefined
      return size === undefined ? [] : [{ kind: 'resize', size }]
    })
  }
}
