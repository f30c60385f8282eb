/** Files of JSON lines, each with its checksum: a torn or flipped one is noticed, and the others are still good. */
import { createReadStream } from 'node:fs'
import { crc32 } from 'node:zlib'
import { systemErrorCode } from '../../../kit/index.ts'

/** Hexadecimal digits of CRC-32, then a space. */
const PREFIX_LENGTH = 9
const NEWLINE = 0x0a

/** Longer lines are never written; a file without newlines must not fill the memory. */
const LONGEST_LINE = 64 * 1024 * 1024

/** What a file says, line by line. */
export type CheckedLine =
  | { readonly kind: 'value'; readonly value: unknown; readonly bytes: number }
  /** Not what was written; `torn` when it is the end of a file that was being written. */
  | { readonly kind: 'bad'; readonly torn: boolean }

export function encodeLine(json: string): string {
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`
}

function decodeLine(line: Buffer): CheckedLine {
  const json = line.subarray(PREFIX_LENGTH)
  const wanted = line.subarray(0, PREFIX_LENGTH).toString('latin1')
  if (wanted !== `${crc32(json).toString(16).padStart(8, '0')} `) return { kind: 'bad', torn: false }
  try {
    return { kind: 'value', value: JSON.parse(json.toString('utf8')), bytes: line.length + 1 }
  } catch {
    // The checksum of nonsense may be right; it is nonsense all the same.
    return { kind: 'bad', torn: false }
  }
}

/** Reads a file; one that does not exist has no lines. @throws the system's error for one that cannot be read */
export async function* readLines(file: string): AsyncGenerator<CheckedLine, void> {
  let rest: Buffer = Buffer.alloc(0)
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 256 * 1024 })) {
      let data = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer])
      for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE)) {
        yield decodeLine(data.subarray(0, end))
        data = data.subarray(end + 1)
      }
      rest = data
      if (rest.length > LONGEST_LINE) break
    }
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
  if (rest.length > 0) yield { kind: 'bad', torn: true }
}
