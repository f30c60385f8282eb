import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import {
  decodeMessage,
  encodeMessage,
  listOf,
  sectionOf,
  sectionsOf,
  textOf,
  ViciReader,
  type ViciSection,
} from '../../../../netplugins/ipsec/vici/message.ts'
import {
  decodePacket,
  encodePacket,
  SEGMENT_LIMIT,
  SegmentReader,
} from '../../../../netplugins/ipsec/vici/packet.ts'

const key = fc.string({ maxLength: 60 })

const { section } = fc.letrec<{ section: ViciSection }>(tie => ({
  section: fc.dictionary(
    key,
    fc.oneof({ depthSize: 'small' }, fc.string(), fc.array(fc.string()), tie('section')),
    { noNullPrototype: false },
  ),
}))

/** Without prototypes, which are nothing of the message. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

/** How deep sections are within each other. */
function depthOf(message: ViciSection): number {
  return Math.max(0, ...sectionsOf(message).map(([, inner]) => 1 + depthOf(inner)))
}

function decode(bytes: Uint8Array): ViciSection {
  return decodeMessage(new ViciReader(bytes))
}

t.test('the example of the protocol', async t => {
  const message = {
    key1: 'value1',
    section1: { 'sub-section': { key2: 'value2' }, list1: ['item1', 'item2'] },
  }
  const bytes = Buffer.concat([
    Buffer.from('\x03\x04key1\0\x06value1', 'latin1'),
    Buffer.from('\x01\x08section1\x01\x0bsub-section\x03\x04key2\0\x06value2\x02', 'latin1'),
    Buffer.from('\x04\x05list1\x05\0\x05item1\x05\0\x05item2\x06\x02', 'latin1'),
  ])
  t.same(encodeMessage(message), bytes)
  t.same(plain(decode(bytes)), message)
})

t.test('messages arrive as they were sent', async t => {
  fc.assert(
    fc.property(section, message => {
      fc.pre(depthOf(message) <= 16)
      return isDeepStrictEqual(plain(decode(encodeMessage(message))), plain(message))
    }),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('whatever arrives, it is read or refused', async t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      try {
        decodePacket(bytes)
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'MalformedVici')) throw error
      }
    }),
    { numRuns: 2_000 },
  )
  t.pass()
})

t.test('what is wrong with a message is said', async t => {
  const nested = Buffer.from('\x01\x01a', 'latin1')
  for (const [bytes, message] of [
    [Buffer.from('\x03\x04key', 'latin1'), /ends after/],
    [Buffer.from('\x02', 'latin1'), /ends a section that never began|does not end/],
    [Buffer.from('\x02\x02', 'latin1'), /never began/],
    [Buffer.from('\x01\x01a', 'latin1'), /does not end every section/],
    [Buffer.from('\x04\x01a\x03', 'latin1'), /of type 3 in a list/],
    [Buffer.from('\x09', 'latin1'), /unknown type 9/],
    [Buffer.concat(Array.from({ length: 40 }, () => nested)), /more than 16 sections/],
  ] as const) {
    t.throws(() => decode(bytes), { code: 'MalformedVici', message })
  }
  t.throws(() => encodeMessage({ ['k'.repeat(256)]: '' }), { code: 'MalformedVici' })
  t.throws(() => encodeMessage({ key: 'v'.repeat(65_536) }), { code: 'MalformedVici' })
})

t.test('a key called __proto__ is a key', async t => {
  const message = decode(Buffer.from('\x03\x09__proto__\0\x01v', 'latin1'))
  t.equal(textOf(message, '__proto__'), 'v')
  t.equal(textOf(message, 'constructor'), undefined)
})

t.test('asking for something of another kind answers nothing', async t => {
  const message = { text: 'a', list: ['b'], section: { inner: 'c' } }
  t.equal(textOf(message, 'list'), undefined)
  t.same(listOf(message, 'text'), [])
  t.same(listOf(message, 'section'), [])
  t.equal(sectionOf(message, 'list'), undefined)
  t.same(sectionsOf(message), [['section', { inner: 'c' }]])
  t.equal(textOf(undefined, 'text'), undefined)
})

t.test('packets', async t => {
  t.same(
    encodePacket({ kind: 'request', name: 'version', message: {} }),
    Buffer.from('\0\0\0\x09\0\x07version', 'latin1'),
  )
  t.same(encodePacket({ kind: 'register', name: 'log' }), Buffer.from('\0\0\0\x05\x03\x03log', 'latin1'))
  t.same(decodePacket(Buffer.from([5])), { kind: 'confirm' })
  t.same(decodePacket(Buffer.from([2])), { kind: 'unknownCommand' })
  t.same(decodePacket(Buffer.from([6])), { kind: 'unknownEvent' })
  t.match(decodePacket(Buffer.from('\x07\x03log\x03\x01a\0\x01b', 'latin1')), {
    kind: 'event',
    name: 'log',
    message: { a: 'b' },
  })
  t.throws(() => decodePacket(Buffer.from([0])), { code: 'MalformedVici' })
  const list = Array.from({ length: 20 }, () => 'x'.repeat(60_000))
  t.throws(() => encodePacket({ kind: 'request', name: 'load-conn', message: { list } }), {
    code: 'MalformedVici',
    message: /has 12\d+ bytes/,
  })
})

t.test('segments are found however they are cut', async t => {
  const packets = fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 10 })
  fc.assert(
    fc.property(packets, fc.array(fc.integer({ min: 1, max: 9 })), (contents, cuts) => {
      const stream = Buffer.concat(
        contents.map(content => {
          const header = Buffer.alloc(4)
          header.writeUInt32BE(content.length)
          return Buffer.concat([header, content])
        }),
      )
      const reader = new SegmentReader()
      const found: Buffer[] = []
      let position = 0
      for (let index = 0; position < stream.length; index += 1) {
        const length = cuts[index % Math.max(1, cuts.length)] ?? 7
        found.push(...reader.push(stream.subarray(position, position + length)))
        position += length
      }
      return Buffer.concat(found).equals(Buffer.concat(contents)) && found.length === contents.length
    }),
  )
  t.pass()
})

t.test('a segment that is too long, or empty, is refused at once', async t => {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(SEGMENT_LIMIT + 1)
  t.throws(() => new SegmentReader().push(header), { code: 'MalformedVici' })
  t.throws(() => new SegmentReader().push(Buffer.alloc(4)), { code: 'MalformedVici' })
})
