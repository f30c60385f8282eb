/**
 * A great many DNS packets that were good queries before their bytes were changed. FUZZ_PACKETS says how many (100 000),
 * FUZZ_SEED which (1): a failure names the seed and the packet.
 */
import dns2 from 'dns2'
import t from 'tap'
import { DnsServer, Forwarder } from '../../dns/index.ts'
import { parseQuery } from '../../dns/query.ts'
import type { Transport } from '../../dns/response.ts'
import { createLogger } from '../../kit/index.ts'
import { askByTcp, askByUdp } from '../unit/dns/ask.ts'
import { queryMessage, readAnswer } from '../unit/dns/messages.ts'
import { shopClient } from '../unit/dns/small-world.ts'
import { CLIENTS, corpus, fuzzResolver, StillDirectory } from './dns-world.ts'
import { bytesInUse, megabytes } from './memory.ts'
import { countFrom, mutated, RandomNumbers } from './mutation.ts'

const PACKETS = countFrom('FUZZ_PACKETS', 100_000)
const SEED = countFrom('FUZZ_SEED', 1)
/** Packets between two looks at whatever had to be waited for. */
const BATCH = 256
/** Bytes by which the second half may leave more behind than the first: noise of the machinery, not of packets. */
const GROWTH = 4 * 1024 * 1024
/** Of answers, one in so many is read by another program's eyes, which are slow. */
const READ_EVERY = 50
const PLAIN_SIZE = 512
const LARGEST_UDP = 1232

const addresses = Object.values(CLIENTS)
const transports: readonly Transport[] = ['udp', 'udp', 'udp', 'tcp']

/** What is wrong with an answer; undefined when nothing is. */
function complaint(message: Buffer, answer: Buffer | undefined, transport: Transport): string | undefined {
  const parsed = parseQuery(message)
  if (parsed.kind === 'nothing') return answer === undefined ? undefined : 'answers what nobody may answer'
  if (answer === undefined) return 'gives no answer'
  if (answer.readUInt16BE(0) !== message.readUInt16BE(0)) return 'answers with another id'
  if ((answer.readUInt16BE(2) & 0x8000) === 0) return 'answers with a query'
  if (parsed.kind === 'refusal') {
    return answer.length <= message.length
      ? undefined
      : `refuses ${message.length} bytes with ${answer.length}`
  }
  if (transport === 'tcp') return undefined
  const { edns, udpSize } = parsed.query
  const limit = edns === undefined ? PLAIN_SIZE : Math.min(udpSize, LARGEST_UDP)
  return answer.length <= limit ? undefined : `sends ${answer.length} bytes where ${limit} are allowed`
}

/** Whether other programs can read it. */
function isReadable(answer: Buffer): boolean {
  try {
    dns2.Packet.parse(answer)
    return true
  } catch {
    return false
  }
}

t.test('changed packets', async t => {
  const resolver = fuzzResolver()
  const random = new RandomNumbers(SEED)
  const seeds = corpus()
  const { signal } = new AbortController()
  const kinds = { nothing: 0, refusal: 0, query: 0 }
  const complaints: string[] = []
  const complain = (message: Buffer, what: string) => {
    if (complaints.length < 5) complaints.push(`seed ${SEED}: ${what}: ${message.toString('hex')}`)
  }
  const check = (message: Buffer, answer: Buffer | undefined, transport: Transport, index: number) => {
    const what = complaint(message, answer, transport)
    if (what !== undefined) complain(message, what)
    else if (index % READ_EVERY === 0 && answer !== undefined && parseQuery(message).kind === 'query') {
      if (!isReadable(answer)) complain(message, 'answers with what dns2 cannot read')
    }
  }
  let waiting: Promise<void>[] = []
  const ask = (index: number) => {
    const message = mutated(seeds, random)
    const address = random.oneOf(addresses)
    const transport = random.oneOf(transports)
    kinds[parseQuery(message).kind] += 1
    try {
      const answer = resolver.answer(message, address, transport, signal)
      if (!(answer instanceof Promise)) check(message, answer, transport, index)
      else {
        waiting.push(
          answer.then(
            later => check(message, later, transport, index),
            error => complain(message, `rejects: ${error}`),
          ),
        )
      }
    } catch (error) {
      complain(message, `throws ${error}`)
    }
  }
  const begin = performance.now()
  let middle = 0
  for (let index = 0; index < PACKETS; index += 1) {
    ask(index)
    if (index % BATCH === 0 || index === PACKETS - 1) {
      await Promise.all(waiting)
      waiting = []
    }
    if (index === Math.floor(PACKETS / 2)) middle = bytesInUse()
  }
  const growth = bytesInUse() - middle
  const seconds = ((performance.now() - begin) / 1000).toFixed(1)
  t.comment(`${PACKETS} packets in ${seconds} s, growth ${megabytes(growth)}, ${JSON.stringify(kinds)}`)
  t.same(complaints, [])
  t.ok(growth < GROWTH, `packets leave nothing behind (${megabytes(growth)})`)
  for (const [kind, count] of Object.entries(kinds)) t.ok(count > PACKETS / 100, `enough of kind ${kind}`)
})

/** Names whose labels lead nowhere good. Offset 12 is where the question begins. */
const impossibleNames: Readonly<Record<string, Buffer>> = {
  'a pointer to itself': Buffer.from([0xc0, 0x0c]),
  'a label before a pointer to it': Buffer.from([1, 0x61, 0xc0, 0x0c]),
  'two pointers to each other': Buffer.from([0xc0, 0x0e, 0xc0, 0x0c]),
  'a pointer to the header': Buffer.from([0xc0, 0x00]),
  'a pointer behind the end': Buffer.from([0xff, 0xff]),
  '10,000 labels': Buffer.concat([...Array(10_000).fill(Buffer.from([1, 0x61])), Buffer.alloc(1)]),
  '10,000 pointers': Buffer.concat(Array(10_000).fill(Buffer.from([0xc0, 0x0c]))),
  'a label of 64 bytes': Buffer.concat([Buffer.from([64]), Buffer.alloc(64, 0x61), Buffer.alloc(1)]),
  'no end': Buffer.concat([Buffer.from([63]), Buffer.alloc(20, 0x61)]),
}

t.test('names that lead in circles or have no end', async t => {
  const resolver = fuzzResolver()
  const header = queryMessage('x').subarray(0, 12)
  for (const [what, name] of Object.entries(impossibleNames)) {
    for (const transport of transports) {
      const message = Buffer.concat([header, name, Buffer.from([0, 1, 0, 1])])
      const answer = await resolver.answer(message, CLIENTS.member, transport, new AbortController().signal)
      t.equal(answer?.length, 12, `${what}: a header, nothing more`)
      t.equal((answer?.[3] ?? 0) & 0xf, 1, `${what}: FORMERR`)
    }
  }
})

t.test('over sockets', async t => {
  const clients = new StillDirectory()
  clients.set('127.0.0.1', shopClient)
  const problems: string[] = []
  const log = createLogger('test', 'silent')
  log.error = (fields: object) => problems.push(JSON.stringify(fields))
  const server = new DnsServer({
    host: '127.0.0.1',
    port: 0,
    clients,
    forwarder: new Forwarder({ upstreams: [] }),
    log,
  })
  await server.start()
  t.teardown(() => server.stop())
  const where = { address: '127.0.0.1', port: server.port }
  const random = new RandomNumbers(SEED)
  const seeds = corpus()
  const good = queryMessage('web.shop')
  const answers = async () => readAnswer(await askByUdp(where, good)).addresses.length
  for (let index = 0; index < PACKETS / 100; index += 1) {
    const message = mutated(seeds, random)
    if (parseQuery(message).kind === 'nothing') continue
    if (index % 2 === 0) await askByUdp(where, message)
    // Behind any message the next one must still be found: the length before it is right.
    else if ((await askByTcp(where, [message, good])).length !== 2) problems.push(message.toString('hex'))
  }
  t.equal(await answers(), 3, 'goes on answering by UDP')
  t.equal((await askByTcp(where, [good])).length, 1, 'and by TCP')
  t.same(problems, [], 'every message has its answer, and nothing was logged as an error')
})
