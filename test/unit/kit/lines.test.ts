import { PassThrough, Readable } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { readLines } from '../../../kit/index.ts'

async function collect(stream: Readable, limit = 1000): Promise<string[]> {
  const lines: string[] = []
  for await (const line of readLines(stream, limit)) lines.push(line)
  return lines
}

t.test('lines do not depend on how the bytes were cut', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }).map(text => text.replaceAll(/[\r\n]/g, ''))),
      fc.integer({ min: 1, max: 7 }),
      async (lines, size) => {
        const bytes = Buffer.from(lines.map(line => `${line}\n`).join(''))
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        )
        t.strictSame(await collect(Readable.from(chunks)), lines)
      },
    ),
    { numRuns: 50 },
  )
})

t.test('a last line without an end counts', async t => {
  t.strictSame(await collect(Readable.from([Buffer.from('a\r\nb')])), ['a', 'b'])
})

t.test('a line that is too long is refused', async t => {
  await t.rejects(collect(Readable.from([Buffer.alloc(600, 'a'), Buffer.alloc(600, 'a')])), {
    code: 'BodyTooLarge',
  })
})

t.test('a stream that is destroyed from elsewhere ends the iteration', async t => {
  const stream = new PassThrough()
  stream.write('first\nsecond')
  const reading = collect(stream)
  setImmediate(() => stream.destroy())
  await t.rejects(reading, { code: 'ERR_STREAM_PREMATURE_CLOSE' })
})
