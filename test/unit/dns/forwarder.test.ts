/** Asking others, who may be slow, dead, wrong or hostile. */
import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import dns2 from 'dns2'
import t, { type Test } from 'tap'
import { DnsServer, Forwarder, type Upstream, upstreamsOf } from '../../../dns/index.ts'
import { parseQuery, type Query } from '../../../dns/query.ts'
import { isForbidden } from '../../../dns/upstream.ts'
import { createLogger } from '../../../kit/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { askByTcp, askByUdp } from './ask.ts'
import { queryMessage, readAnswer, TYPE } from './messages.ts'
import { SmallDirectory, shopClient } from './small-world.ts'

const { Packet } = dns2
const skip = inPrivateNetwork(import.meta.filename)
const log = createLogger('test', 'silent')
const FIRST = '192.0.2.1'
const SECOND = '192.0.2.2'

if (skip === false) {
  for (const address of [FIRST, SECOND]) execFileSync('ip', ['address', 'add', `${address}/32`, 'dev', 'lo'])
}

/** Makes an answer to a query; undefined keeps silent. */
type Behaviour = (query: Buffer, transport: 'udp' | 'tcp') => Buffer | undefined

interface Other extends Upstream {
  readonly asked: string[]
}

/** A name server that somebody else runs. */
async function otherServer(t: Test, address: string, behave: Behaviour): Promise<Other> {
  const asked: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (message, { port, address: client }) => {
    asked.push('udp')
    const answer = behave(message, 'udp')
    if (answer !== undefined) socket.send(answer, port, client)
  })
  await new Promise<void>(resolve => socket.bind(0, address, resolve))
  const { port } = socket.address()
  const server = createServer(connection => {
    connection.on('error', () => connection.destroy())
    connection.on('data', (data: Buffer) => {
      asked.push('tcp')
      const answer = behave(data.subarray(2), 'tcp')
      if (answer === undefined) return
      const length = Buffer.alloc(2)
      length.writeUInt16BE(answer.length)
      connection.write(Buffer.concat([length, answer]))
    })
  })
  await new Promise<void>(resolve => server.listen(port, address, resolve))
  t.teardown(() => {
    socket.close()
    server.close()
  })
  return { address, port, asked }
}

interface AnswerParts {
  readonly code?: number
  readonly addresses?: readonly string[]
  readonly truncated?: boolean
  readonly negativeTtl?: number
}

function answerTo(query: Buffer, { code = 0, addresses = [], truncated, negativeTtl }: AnswerParts): Buffer {
  const packet = Packet.parse(query)
  const { questions, header } = packet
  const answer = new Packet(
    new Packet.Header({ id: header.id, qr: 1, rd: 1, ra: 1, rcode: code, tc: truncated ? 1 : 0 }),
  )
  answer.questions = questions
  const name = questions[0]?.name ?? ''
  for (const address of addresses) {
    answer.answers.push({ name, type: TYPE.A, class: 1, ttl: 300, address } as never)
  }
  if (negativeTtl !== undefined) {
    const numbers = { serial: 1, refresh: 1, retry: 1, expiration: 1, minimum: negativeTtl }
    const soa = {
      name: 'example',
      type: TYPE.SOA,
      class: 1,
      ttl: 3600,
      primary: 'ns.example',
      admin: 'x.example',
    }
    answer.authorities.push({ ...soa, ...numbers } as never)
  }
  return answer.toBuffer()
}

function query(name: string, type = TYPE.A as number): { message: Buffer; query: Query } {
  const message = queryMessage(name, { type, id: 99 })
  const parsed = parseQuery(message)
  if (parsed.kind !== 'query') throw new Error('is no query')
  return { message, query: parsed.query }
}

/** Asks and reads the answer. */
async function ask(forwarder: Forwarder, name: string, type?: number, transport: 'udp' | 'tcp' = 'udp') {
  const { message, query: parsed } = query(name, type)
  return readAnswer(await forwarder.ask(parsed, message, transport, new AbortController().signal))
}

const silent: Behaviour = () => undefined
const yes: Behaviour = message => answerTo(message, { addresses: ['198.51.100.7'] })

t.test('passes questions and answers on', { skip }, async t => {
  const upstream = await otherServer(t, FIRST, yes)
  const forwarder = new Forwarder({ upstreams: [upstream] })
  t.match(await ask(forwarder, 'WWW.Example.com'), {
    id: 99,
    name: 'WWW.Example.com',
    addresses: ['198.51.100.7'],
  })
})

t.test('the first that knows wins', { skip }, async t => {
  const dead = await otherServer(t, FIRST, silent)
  const alive = await otherServer(t, SECOND, yes)
  const forwarder = new Forwarder({ upstreams: [dead, alive] })
  for (let index = 0; index < 8; index += 1) {
    t.same((await ask(forwarder, `n${index}.example.com`)).addresses, ['198.51.100.7'])
  }
  t.ok(dead.asked.length < alive.asked.length, 'the one that does not answer is asked less')
})

t.test('one that fails is no answer while others may know', { skip }, async t => {
  const failing = await otherServer(t, FIRST, message => answerTo(message, { code: 2 }))
  const alive = await otherServer(t, SECOND, yes)
  t.match(await ask(new Forwarder({ upstreams: [failing, alive] }), 'example.com'), { code: 0 })
  t.match(
    await ask(new Forwarder({ upstreams: [failing] }), 'example.com'),
    { code: 2 },
    'but it is all there is',
  )
})

t.test('a lost datagram is sent again', { skip }, async t => {
  let count = 0
  const upstream = await otherServer(t, FIRST, message => {
    count += 1
    return count === 1 ? undefined : yes(message, 'udp')
  })
  t.match(await ask(new Forwarder({ upstreams: [upstream] }), 'example.com'), { code: 0 })
})

t.test('gives up in time', { skip }, async t => {
  const dead = await otherServer(t, FIRST, silent)
  const forwarder = new Forwarder({ upstreams: [dead], deadline: 300 })
  await t.rejects(ask(forwarder, 'example.com'))
  const closed = new Forwarder({ upstreams: [{ address: SECOND, port: 9 }], deadline: 300 })
  await t.rejects(ask(closed, 'example.com'), { code: 'UpstreamFailed' })
})

t.test('no way to the name server', { skip }, async t => {
  const forwarder = new Forwarder({ upstreams: [{ address: '198.51.100.1', port: 53 }] })
  await t.rejects(ask(forwarder, 'example.com'), { code: 'UpstreamFailed' })
  await t.rejects(ask(forwarder, 'example.com', TYPE.A, 'tcp'), { code: 'UpstreamFailed' })
  const six = new Forwarder({ upstreams: [{ address: '2001:db8::1', port: 53 }] })
  await t.rejects(ask(six, 'example.com'), { code: 'UpstreamFailed' })
})

t.test('truncated answers', { skip }, async t => {
  const many = Array.from({ length: 100 }, (_, index) => `198.51.100.${index}`)
  const upstream = await otherServer(t, FIRST, (message, transport) =>
    transport === 'udp'
      ? answerTo(message, { truncated: true, addresses: many.slice(0, 5) })
      : answerTo(message, { addresses: many }),
  )
  const forwarder = new Forwarder({ upstreams: [upstream] })
  t.match(await ask(forwarder, 'example.com'), { truncated: true }, 'whoever asked by UDP asks again')
  const whole = await ask(forwarder, 'example.com', TYPE.A, 'tcp')
  t.match(whole, { truncated: false })
  t.equal(whole.addresses.length, 100)
  t.same(upstream.asked, ['udp', 'udp', 'tcp'])
})

t.test('forged answers are not taken', { skip }, async t => {
  const upstream = await otherServer(t, FIRST, message => {
    const forged = answerTo(message, { addresses: ['203.0.113.66'] })
    forged.writeUInt16BE(forged.readUInt16BE(0) ^ 1, 0)
    return forged
  })
  const wrongName = await otherServer(t, SECOND, message =>
    answerTo(queryMessage('evil.example', { id: message.readUInt16BE(0) }), { addresses: ['203.0.113.66'] }),
  )
  await t.rejects(ask(new Forwarder({ upstreams: [upstream, wrongName], deadline: 400 }), 'example.com'))
})

t.test('remembers what does not exist, for as long as it may', { skip }, async t => {
  let now = 0
  const clock = {
    now: () => now,
    monotonic: () => now,
    after: (milliseconds: number, callback: () => void) => {
      const timer = setTimeout(callback, milliseconds)
      return () => clearTimeout(timer)
    },
  }
  const upstream = await otherServer(t, FIRST, message => answerTo(message, { code: 3, negativeTtl: 20 }))
  const forwarder = new Forwarder({ upstreams: [upstream], clock })
  t.match(await ask(forwarder, 'nobody.example'), { code: 3 })
  now = 5_000
  t.match(await ask(forwarder, 'NoBody.example'), { code: 3, name: 'NoBody.example', id: 99 })
  t.equal(upstream.asked.length, 1)
  t.match(await ask(forwarder, 'nobody.example', TYPE.MX), { code: 3 })
  t.equal(upstream.asked.length, 2, 'another type is another question')
  now = 26_000
  await ask(forwarder, 'nobody.example')
  t.equal(upstream.asked.length, 3)
})

t.test('no IPv6 address is no reason to believe that there is no name', { skip }, async t => {
  const upstream = await otherServer(t, FIRST, message => answerTo(message, { code: 3, negativeTtl: 5 }))
  t.match(await ask(new Forwarder({ upstreams: [upstream] }), 'v4only.example', TYPE.AAAA), { code: 0 })
})

t.test('through the server, by UDP and TCP', { skip }, async t => {
  const upstream = await otherServer(t, FIRST, yes)
  const clients = new SmallDirectory()
  clients.set('127.0.0.1', shopClient)
  const forwarder = new Forwarder({ upstreams: [upstream] })
  const server = new DnsServer({ host: '127.0.0.1', port: 0, clients, forwarder, log })
  await server.start()
  t.teardown(() => server.stop())
  const there = { address: '127.0.0.1', port: server.port }
  t.same(readAnswer(await askByUdp(there, queryMessage('example.com'))).addresses, ['198.51.100.7'])
  const [answer] = await askByTcp(there, [queryMessage('example.com')])
  t.same(readAnswer(answer ?? Buffer.alloc(12)).addresses, ['198.51.100.7'])
  forwarder.setUpstreams([])
  t.match(readAnswer(await askByUdp(there, queryMessage('example.com'))), { code: 2 })
})

t.test('addresses that are never asked', async t => {
  for (const address of [
    '169.254.169.250',
    '127.0.0.1',
    '127.0.0.53',
    '0.0.0.0',
    '::1',
    '::',
    '::ffff:127.0.0.1',
    'x',
  ]) {
    t.ok(isForbidden(address), address)
  }
  for (const address of ['192.0.2.1', '169.254.169.253', '2001:db8::1', 'fe80::1'])
    t.notOk(isForbidden(address), address)
})

t.test('name servers of a resolv.conf', async t => {
  const text =
    '# nameserver 192.0.2.9\nsearch a b\nnameserver 127.0.0.53\n nameserver  192.0.2.1 # x\nnameserver 2001:db8::1\nnameserver 192.0.2.1\nnameserver nonsense\n'
  t.same(upstreamsOf(text), [
    { address: '192.0.2.1', port: 53 },
    { address: '2001:db8::1', port: 53 },
  ])
})
