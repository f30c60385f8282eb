/** Frames inside of a stream: put together from any portions, and never larger than the other side takes. */
import t from 'tap'
import { encodeFrame, FrameDecoder } from '../../../protocol/index.ts'

t.test('whatever the length of the content', async t => {
  for (const length of [0, 1, 1024 * 1024, 1024 * 1024 + 1, 3 * 1024 * 1024]) {
    const content = Buffer.alloc(length, 'x')
    const bytes = encodeFrame(7, content)
    const decoder = new FrameDecoder()
    const frames = []
    for (let at = 0; at < bytes.length; at += 100_000)
      frames.push(...decoder.decode(bytes.subarray(at, at + 100_000)))
    t.ok(
      frames.every(({ kind }) => kind === 7),
      `${length} bytes`,
    )
    t.ok(frames.length >= 1 && Buffer.concat(frames.map(frame => frame.content)).equals(content))
  }
})

t.test('one that is too large is refused', async t => {
  t.throws(() => new FrameDecoder().decode(Buffer.alloc(5, 0xff)), RangeError)
})
