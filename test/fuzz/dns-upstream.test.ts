/**
 * A name server of others whose answers were good before their bytes were changed: what reaches the client is bounded,
 * whatever comes. FUZZ_ANSWERS says how many (1 000), FUZZ_SEED which (1).
 */
import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import dns2 from 'dns2'
import t, { type Test } from 'tap'
import { Forwarder, type Upstream } from '../../dns/index.ts'
import { Resolver } from '../../dns/resolver.ts'
import type { Transport } from '../../dns/response.ts'
import { createLogger } from '../../kit/index.ts'
import { inPrivateNetwork } from '../lab/private-network.ts'
import { queryMessage } from '../unit/dns/messages.ts'
import { shopClient } from '../unit/dns/small-world.ts'
import { StillDirectory } from './dns-world.ts'
import { bytesInUse, megabytes } from './memory.ts'
import { countFrom, mutated, RandomNumbers } from './mutation.ts'

const skip = inPrivateNetwork(import.meta.filename)
/** Nobody is asked on a loopback's addresses. */
const UPSTREAM = '192.0.2.1'
if (skip === false) execFileSync('ip', ['address', 'add', `${UPSTREAM}/32`, 'dev', 'lo'])

const ANSWERS = countFrom('FUZZ_ANSWERS', 1_000)
const SEED = countFrom('FUZZ_SEED', 1)
const CONCURRENCY = 16
/** Milliseconds after which a question is given up here: many answers are none. */
const DEADLINE = 250
const GROWTH = 8 * 1024 * 1024
const HEADER_SIZE = 12

const { Packet } = dns2

/** An answer with some addresses, behind the header and the question of the query. */
function goodAnswer(query: Buffer, addresses: number): Buffer {
  const { header, questions } = Packet.parse(query)
  const answer = new Packet(new Packet.Header({ id: header.id, qr: 1, rd: 1, ra: 1 }))
  answer.questions = questions
  const name = questions[0]?.name ?? ''
  for (let index = 0; index < addresses; index += 1) {
    const record = { name, type: Packet.TYPE.A, class: 1, ttl: 60, address: `203.0.113.${index}` }
    answer.answers.push(record as never)
  }
  return answer.toBuffer()
}

/** Answers everything with rubbish. Half of the answers are changed behind the question only, so that they are taken. */
async function hostileServer(t: Test, random: RandomNumbers): Promise<Upstream> {
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const answer = goodAnswer(query, random.below(90))
    const kept = random.below(2) === 0 ? 0 : Math.min(query.length, answer.length)
    const rest = answer.subarray(kept)
    const changed = Buffer.concat([
      answer.subarray(0, kept),
      mutated([rest, query.subarray(HEADER_SIZE)], random),
    ])
    // Nonsense as a code, too: the client must not take it for an answer of ours.
    if (kept > 0 && random.below(4) === 0) changed[3] = random.below(256)
    socket.send(changed, port, address)
  })
  await new Promise<void>(resolve => socket.bind(0, UPSTREAM, resolve))
  t.teardown(() => socket.close())
  return { address: UPSTREAM, port: socket.address().port }
}

t.test('changed answers of others', { skip }, async t => {
  const random = new RandomNumbers(SEED)
  const upstream = await hostileServer(t, random)
  const clients = new StillDirectory()
  // Many of them, because each may ask others for so much only.
  const addresses = Array.from({ length: 32 }, (_, index) => `10.42.0.${index}`)
  for (const address of addresses) clients.set(address, shopClient)
  const log = createLogger('test', 'silent')
  const resolver = new Resolver({
    clients,
    forwarder: new Forwarder({ upstreams: [upstream], deadline: DEADLINE }),
    log,
  })
  const { signal } = new AbortController()
  const complaints: string[] = []
  let asked = 0
  const ask = async () => {
    asked += 1
    // 0: without EDNS.
    const edns = random.oneOf([0, 512, 1232, 4096])
    const transport: Transport = random.below(4) === 0 ? 'tcp' : 'udp'
    const name = `name-${asked}.example`
    const query = queryMessage(name, { id: random.below(65_536), ...(edns === 0 ? {} : { edns }) })
    try {
      const answer = await resolver.answer(query, random.oneOf(addresses), transport, signal)
      const limit = transport === 'tcp' ? 65_535 : Math.max(edns, 512)
      const sound =
        answer !== undefined &&
        answer.length <= limit &&
        answer.readUInt16BE(0) === query.readUInt16BE(0) &&
        (answer.readUInt16BE(2) & 0x8000) !== 0
      if (!sound) complaints.push(`${name} ${transport} ${edns}: ${answer?.toString('hex')}`)
    } catch (error) {
      complaints.push(`${name}: throws ${error}`)
    }
  }
  const client = async (until: number) => {
    while (asked < until) await ask()
  }
  const askAll = (until: number) => Promise.all(Array.from({ length: CONCURRENCY }, () => client(until)))
  await askAll(ANSWERS / 2)
  const middle = bytesInUse()
  await askAll(ANSWERS)
  const growth = bytesInUse() - middle
  const { own, forwarded, refused, failed } = resolver.counts
  t.comment(`growth ${megabytes(growth)}, ${JSON.stringify({ own, forwarded, refused, failed })}`)
  t.same(complaints.slice(0, 5), [])
  t.ok(growth < GROWTH, `answers leave nothing behind (${megabytes(growth)})`)
  t.ok(forwarded > 0, 'some are taken')
  t.ok(failed > 0, 'some are not')
  t.equal(own + forwarded + refused + failed, asked, 'every query has an outcome')
})
