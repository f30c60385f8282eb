/** Packets that nobody should send: never an exception, never an answer that is larger than what provoked it. */
import dns2 from 'dns2'
import fc from 'fast-check'
import t from 'tap'
import { Forwarder } from '../../../dns/index.ts'
import { negativeLifetime } from '../../../dns/negative-cache.ts'
import { dottedName, parseQuery } from '../../../dns/query.ts'
import { Resolver } from '../../../dns/resolver.ts'
import { createLogger } from '../../../kit/index.ts'
import { queryMessage, TYPE } from './messages.ts'
import { SmallDirectory, shopClient } from './small-world.ts'

const { Packet } = dns2
const CLIENT = '10.42.0.5'

const clients = new SmallDirectory()
clients.set(CLIENT, shopClient)
const resolver = new Resolver({
  clients,
  forwarder: new Forwarder({ upstreams: [] }),
  log: createLogger('test', 'silent'),
})

const names = [
  'web.shop',
  'big.shop.prod.discover.internal',
  'nobody.rancher.internal',
  'rancher-metadata',
  'x.example',
]

/** Good queries with some bytes changed, removed or added. */
const damaged = fc
  .record({
    name: fc.constantFrom(...names),
    type: fc.constantFrom(1, 28, 6, 255, 33),
    edns: fc.option(fc.integer({ min: 0, max: 65_535 }), { nil: undefined }),
    changes: fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 }),
    cut: fc.option(fc.nat(80), { nil: undefined }),
    tail: fc.uint8Array({ maxLength: 40 }),
  })
  .map(({ name, type, edns, changes, cut, tail }) => {
    const message = queryMessage(name, edns === undefined ? { type } : { type, edns })
    for (const [offset, value] of changes) if (offset < message.length) message[offset] = value
    return Buffer.concat([message.subarray(0, cut ?? message.length), tail])
  })

const anything = fc.oneof(
  { weight: 4, arbitrary: damaged },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 600 }).map(bytes => Buffer.from(bytes)) },
)

t.test('any packet', async t => {
  await fc.assert(
    fc.asyncProperty(
      anything,
      fc.constantFrom('udp' as const, 'tcp' as const),
      async (message, transport) => {
        const answer = await resolver.answer(message, CLIENT, transport, new AbortController().signal)
        const parsed = parseQuery(message)
        if (parsed.kind === 'nothing') return answer === undefined
        if (answer === undefined || answer.readUInt16BE(0) !== message.readUInt16BE(0)) return false
        if ((answer.readUInt16BE(2) & 0x8000) === 0) return false
        if (parsed.kind === 'refusal') return answer.length <= message.length
        return transport === 'tcp' || answer.length <= Math.max(512, Math.min(parsed.query.udpSize, 1232))
      },
    ),
    { numRuns: 20_000 },
  )
  t.pass()
})

t.test('dns2 reads the same question', async t => {
  const label = fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/)
  await fc.assert(
    fc.property(
      fc.array(label, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 254 }),
      (labels, type) => {
        const message = queryMessage(labels.join('.'), { type })
        const parsed = parseQuery(message)
        const question = Packet.parse(message).questions[0]
        return (
          parsed.kind === 'query' &&
          parsed.query.type === question?.type &&
          dottedName(parsed.query.wireName) === question.name.toLowerCase()
        )
      },
    ),
    { numRuns: 2_000 },
  )
  t.pass()
})

t.test('names that are too long, or lead in circles', async t => {
  const header = queryMessage('x').subarray(0, 12)
  const question = Buffer.from([0, 1, 0, 1])
  const label = Buffer.concat([Buffer.from([63]), Buffer.alloc(63, 0x61)])
  const name = (count: number) =>
    Buffer.concat([header, ...Array(count).fill(label), Buffer.from([0]), question])
  t.equal(parseQuery(name(3)).kind, 'query')
  t.equal(parseQuery(name(4)).kind, 'refusal', 'more than 255 bytes')
  const ten = Buffer.concat([
    header,
    ...Array(10_000).fill(Buffer.from([1, 0x61])),
    Buffer.from([0]),
    question,
  ])
  t.equal(parseQuery(ten).kind, 'refusal', '10,000 labels')
  for (const pointer of [0xc00c, 0xc000, 0xc0ff, 0x4001, 0x8001]) {
    const bytes = Buffer.from([pointer >>> 8, pointer & 255])
    t.equal(parseQuery(Buffer.concat([header, bytes, question])).kind, 'refusal', pointer.toString(16))
  }
  t.equal(dottedName('\x03a.b\x00'), undefined, 'a dot inside a label is none between two')
})

t.test('answers of others that are nonsense', async t => {
  await fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      const lifetime = negativeLifetime(Buffer.from(bytes))
      return lifetime >= 0
    }),
    { numRuns: 5_000 },
  )
  const answer = queryMessage('nobody.example', { type: TYPE.A })
  answer.writeUInt16BE(0x8183, 2)
  t.equal(negativeLifetime(answer), 0, 'without SOA nothing is remembered')
})
