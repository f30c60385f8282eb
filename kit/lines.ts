/** Lines of a byte stream. */
import type { Readable } from 'node:stream'
import { kitErrors } from './errors.ts'

/**
 * The lines of a stream, without their ends. Unlike `node:readline`, the iteration also ends, by an error, when the stream
 * is destroyed from elsewhere.
 *
 * @param limit longest line in bytes
 * @throws `BodyTooLarge` for a longer line; the stream's error; ERR_STREAM_PREMATURE_CLOSE when it was cut off
 */
export async function* readLines(stream: Readable, limit: number): AsyncGenerator<string, void, undefined> {
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let begin = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, begin)) {
      parts.push(chunk.subarray(begin, end))
      const line = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
      yield line.toString('utf8').replace(/\r$/, '')
      parts = []
      size = 0
      begin = end + 1
    }
    if (begin === chunk.length) continue
    const rest = chunk.subarray(begin)
    parts.push(rest)
    size += rest.length
    if (size > limit) throw kitErrors.BodyTooLarge({ object: 'line', expected: `at most ${limit} bytes` })
  }
  if (size > 0) yield Buffer.concat(parts).toString('utf8')
}
