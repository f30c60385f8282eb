/** SPDY as it comes from outside: in any portions, broken, too large. */
import { PassThrough } from 'node:stream'
import { constants, deflateSync, inflateSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { DICTIONARY } from '../../../../server/master/apiserver/streams/spdy/dictionary.ts'
import {
  encodeControl,
  encodeData,
  SpdyDecoder,
  TYPE,
  words,
} from '../../../../server/master/apiserver/streams/spdy/frames.ts'
import { SpdySession, type SpdyStream } from '../../../../server/master/apiserver/streams/spdy/index.ts'

/** A block of headers, as clients make them. */
function block(headers: Readonly<Record<string, string>>): Buffer {
  const text = (value: string) => Buffer.concat([words(Buffer.byteLength(value)), Buffer.from(value)])
  const entries = Object.entries(headers)
  const plain = [words(entries.length), ...entries.flatMap(([name, value]) => [text(name), text(value)])]
  return deflateSync(Buffer.concat(plain), { dictionary: DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH })
}

function open(id: number, headers: Readonly<Record<string, string>>): Buffer {
  return encodeControl(TYPE.open, 0, Buffer.concat([words(id, 0), Buffer.alloc(2), block(headers)]))
}

/** A session on a connection whose other end is the test. */
function session() {
  const incoming = new PassThrough()
  const sent: Buffer[] = []
  const transport = Object.assign(incoming, {
    write: (bytes: Buffer, done?: () => void) => {
      sent.push(bytes)
      done?.()
      return true
    },
  })
  const streams: SpdyStream[] = []
  const running = new SpdySession(transport, stream => {
    streams.push(stream)
    stream.on('error', () => undefined)
  }).run()
  const feed = (bytes: Buffer) => PassThrough.prototype.push.call(incoming, bytes)
  return { feed, streams, sent, running, transport }
}

t.test('the dictionary is the one of the protocol', async t => {
  // Its checksum stands at the beginning of everything that is compressed with it.
  t.equal(deflateSync('x', { dictionary: DICTIONARY }).readUInt32BE(2), 0xe3c6a7c2)
  t.equal(
    inflateSync(deflateSync('x', { dictionary: DICTIONARY }), { dictionary: DICTIONARY }).toString(),
    'x',
  )
})

t.test('frames come in any portions', async () => {
  const bytes = Buffer.concat([open(1, { streamType: 'stdin' }), encodeData(1, Buffer.from('hello'), true)])
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length)), cuts => {
      const decoder = new SpdyDecoder()
      const ends = [...new Set([...cuts, bytes.length])].sort((a, b) => a - b)
      const frames = ends.flatMap((end, index) => decoder.decode(bytes.subarray(ends[index - 1] ?? 0, end)))
      return frames.map(({ type }) => type).join() === 'open,data'
    }),
  )
})

t.test('a stream has the headers and bytes that the client sent', async t => {
  const { feed, streams, sent, running, transport } = session()
  feed(open(1, { streamType: 'stdin', port: '80' }))
  feed(encodeData(1, Buffer.from('hello'), true))
  feed(encodeControl(TYPE.ping, 0, words(7)))
  transport.end()
  PassThrough.prototype.push.call(transport, null)
  await running.catch(() => undefined)
  t.equal(streams.length, 1)
  t.equal(streams[0]?.headers.get('streamtype'), 'stdin')
  t.ok(sent.some(frame => frame.readUInt16BE(2) === TYPE.reply))
  t.ok(sent.some(frame => frame.readUInt16BE(2) === TYPE.ping && frame.readUInt32BE(8) === 7))
})

t.test('what is no SPDY ends the session, and nothing else', async () => {
  const good = [
    open(1, { streamType: 'error' }),
    encodeData(1, Buffer.from('hello'), false),
    open(3, { a: 'b' }),
  ]
  const bytes = Buffer.concat(good)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      async changes => {
        const broken = Buffer.from(bytes)
        for (const [at, value] of changes) broken[at] = value
        const { feed, running } = session()
        feed(broken)
        feed(null as unknown as Buffer)
        const outcome = await running.then(
          () => 'ended',
          () => 'refused',
        )
        return outcome === 'ended' || outcome === 'refused'
      },
    ),
    { numRuns: 200 },
  )
})

t.test('headers that grow without end are refused', async t => {
  const { feed, running } = session()
  const bomb = deflateSync(Buffer.alloc(64 * 1024 * 1024), {
    dictionary: DICTIONARY,
    finishFlush: constants.Z_SYNC_FLUSH,
  })
  feed(encodeControl(TYPE.open, 0, Buffer.concat([words(1, 0), Buffer.alloc(2), bomb])))
  await t.rejects(running, RangeError)
})
