/** The DNS server over real sockets, from several clients. */
import { execFileSync } from 'node:child_process'
import { accessSync } from 'node:fs'
import t, { type Test } from 'tap'
import { DnsServer, Forwarder } from '../../../dns/index.ts'
import { createLogger } from '../../../kit/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { askByTcp, askByUdp, type Server } from './ask.ts'
import { queryMessage, readAnswer, TYPE } from './messages.ts'
import { host, SmallDirectory, shopClient, stranger, testClient } from './small-world.ts'

const skip = inPrivateNetwork(import.meta.filename)
const log = createLogger('test', 'silent')

const METADATA = '169.254.169.250'
const SHOP = '10.42.0.5'
const TESTING = '10.42.9.5'
const NEW = '10.42.0.77'
const OUTSIDER = '192.0.2.77'

if (skip === false) {
  for (const address of [METADATA, SHOP, TESTING, NEW, OUTSIDER]) {
    execFileSync('ip', ['address', 'add', `${address}/32`, 'dev', 'lo'])
  }
}

function directory(): SmallDirectory {
  const clients = new SmallDirectory()
  clients.set(SHOP, shopClient)
  clients.set(TESTING, testClient)
  clients.set(METADATA, host)
  clients.set(NEW, stranger)
  return clients
}

async function serve(t: Test, clients = directory()): Promise<Server> {
  const forwarder = new Forwarder({ upstreams: [] })
  const server = new DnsServer({ host: METADATA, port: 0, clients, forwarder, log })
  await server.start()
  t.teardown(() => server.stop())
  return { address: METADATA, port: server.port }
}

t.test('answers a service in any order, keeping the case of the question', { skip }, async t => {
  const server = await serve(t)
  const orders = new Set<string>()
  for (let index = 0; index < 40; index += 1) {
    const answer = readAnswer(
      await askByUdp(server, queryMessage('wEb.ShOp.PROD.discover.InternaL', { id: index }), SHOP),
    )
    t.match(answer, { id: index, code: 0, truncated: false, authoritative: true, lifetimes: [1, 1, 1] })
    t.equal(answer.name, 'wEb.ShOp.PROD.discover.InternaL')
    t.same(answer.addresses.toSorted(), ['10.42.0.11', '10.42.0.12', '10.42.0.13'])
    orders.add(answer.addresses.join())
  }
  t.ok(orders.size > 1, 'the order changes')
})

t.test('each client sees its own environment', { skip }, async t => {
  const server = await serve(t)
  const ask = async (name: string, from: string) =>
    readAnswer(await askByUdp(server, queryMessage(name), from))
  t.same((await ask('web', TESTING)).addresses, ['10.42.9.1'])
  t.same((await ask('web.shop', TESTING)).addresses, ['10.42.9.1'])
  t.match(await ask('web.shop.prod.discover.internal', TESTING), { code: 3, authority: { minimum: 1 } })
  t.same((await ask('web.shop.test.discover.internal', METADATA)).addresses, ['10.42.9.1'])
  t.same((await ask('elsewhere', SHOP)).addresses, ['10.42.9.9'], 'a link leads elsewhere')
})

t.test('says no with an SOA record', { skip }, async t => {
  const server = await serve(t)
  const ask = async (name: string, type: number) =>
    readAnswer(await askByUdp(server, queryMessage(name, { type }), SHOP))
  for (const type of [TYPE.AAAA, TYPE.MX, TYPE.TXT, TYPE.SRV]) {
    t.match(
      await ask('web.shop.prod.discover.internal', type),
      { code: 0, addresses: [], authority: { name: 'discover.internal', minimum: 1 } },
      `type ${type}`,
    )
  }
  t.match(await ask('nobody.rancher.internal', TYPE.AAAA), {
    code: 3,
    authority: { name: 'rancher.internal' },
  })
  t.match(await ask('shop.prod.discover.internal', TYPE.A), {
    code: 0,
    authority: { name: 'discover.internal' },
  })
  t.match(await ask('idle.shop', TYPE.A), { code: 0, addresses: [], authority: { minimum: 1 } })
})

t.test('sizes of answers', { skip }, async t => {
  const server = await serve(t)
  const ask = async (edns?: number) =>
    readAnswer(await askByUdp(server, queryMessage('big.shop', edns === undefined ? {} : { edns }), SHOP))
  const plain = await ask()
  t.match(plain, { code: 0, truncated: true, ednsSize: undefined })
  t.ok(
    plain.addresses.length > 20 && plain.size <= 512,
    `${plain.addresses.length} of 200 in ${plain.size} bytes`,
  )
  const edns = await ask(4096)
  t.match(edns, { truncated: true, ednsSize: 1232 })
  t.ok(edns.addresses.length > 60 && edns.size <= 1232)
  t.ok((await ask(100)).size <= 512, 'less than 512 means 512')
  const [whole] = await askByTcp(server, [queryMessage('big.shop')], SHOP)
  const answer = readAnswer(whole ?? Buffer.alloc(12))
  t.match(answer, { truncated: false })
  t.equal(answer.addresses.length, 200)
})

t.test('an unknown version of EDNS is refused', { skip }, async t => {
  const server = await serve(t)
  const answer = await askByUdp(server, queryMessage('web.shop', { edns: 1232, version: 1 }), SHOP)
  t.equal(answer.readUInt16BE(2) & 0xf, 0)
  t.equal(answer.at(-6), 1, 'BADVERS has a bit in the OPT record')
})

t.test('questions that are not answered', { skip }, async t => {
  const server = await serve(t)
  const code = async (message: Buffer, from = SHOP) =>
    (await askByUdp(server, message, from)).readUInt16BE(2) & 0xf
  const two = queryMessage('web.shop')
  two.writeUInt16BE(2, 4)
  t.equal(await code(two), 1, 'two questions')
  t.equal(await code(queryMessage('web.shop', { type: TYPE.ANY })), 4, 'ANY')
  const chaos = queryMessage('version.bind', { type: TYPE.TXT })
  chaos.writeUInt16BE(3, chaos.length - 2)
  t.equal(await code(chaos), 4, 'class CH')
  const update = queryMessage('web.shop')
  update.writeUInt16BE(5 << 11, 2)
  t.equal(await code(update), 4, 'UPDATE')
  const loop = Buffer.concat([queryMessage('x').subarray(0, 12), Buffer.from([0xc0, 0x0c, 0, 1, 0, 1])])
  t.equal(await code(loop), 1, 'a name that points to itself')
  t.equal(await code(queryMessage('web.shop'), OUTSIDER), 5, 'somebody from elsewhere')
  t.equal(await code(queryMessage('example.com')), 2, 'nobody to ask')
})

t.test('TCP: several questions on one connection', { skip }, async t => {
  const server = await serve(t)
  const names = ['web.shop', 'db.data', 'nobody.rancher.internal', 'example.com', 'redis']
  const questions = Array.from({ length: 100 }, (_, id) => queryMessage(names[id % 5] ?? '', { id }))
  const answers = (await askByTcp(server, questions, SHOP)).map(readAnswer)
  t.same(
    answers.map(({ id }) => id).toSorted((a, b) => a - b),
    Array.from({ length: 100 }, (_, id) => id),
  )
  for (const { id, code } of answers) t.equal(code, [0, 0, 3, 2, 0][id % 5])
})

t.test('a container that is not known yet waits for its answer', { skip }, async t => {
  const clients = directory()
  const server = await serve(t, clients)
  const early = askByUdp(server, queryMessage('web'), NEW)
  const metadata = readAnswer(await askByUdp(server, queryMessage('rancher-metadata'), NEW))
  t.same(metadata.addresses, [METADATA])
  clients.set(NEW, shopClient)
  t.equal(readAnswer(await early).addresses.length, 3)
})

t.test('names that change', { skip }, async t => {
  const clients = directory()
  const server = await serve(t, clients)
  t.equal(readAnswer(await askByUdp(server, queryMessage('web'), SHOP)).addresses.length, 3)
  clients.set(SHOP, testClient)
  t.same(readAnswer(await askByUdp(server, queryMessage('web'), SHOP)).addresses, ['10.42.9.1'])
})

function digMissing(): string | false {
  try {
    accessSync('/usr/bin/dig')
    return false
  } catch {
    return 'needs dig (Debian package dnsutils)'
  }
}

t.test('dig understands the answers', { skip: skip || digMissing() }, async t => {
  const server = await serve(t)
  const { promise, resolve } = Promise.withResolvers<string>()
  const { execFile } = await import('node:child_process')
  const options = ['+tries=1', '+time=5', `@${server.address}`, '-p', String(server.port), '-b', SHOP]
  execFile(
    'dig',
    [...options, 'web.shop', 'A', 'big.shop', 'A', 'nobody.rancher.internal', 'AAAA'],
    (error, out) => resolve(error === null ? out : String(error)),
  )
  const output = await promise
  t.notMatch(output, /malformed|Warning|;; Got bad/i)
  t.match(output, /web\.shop\.\s+1\s+IN\s+A\s+10\.42\.0\.1[123]/)
  t.match(output, /Truncated, retrying in TCP mode/)
  t.match(output, /status: NXDOMAIN/)
  t.match(
    output,
    /rancher\.internal\.\s+1\s+IN\s+SOA\s+rancher\.internal\. hostmaster\.rancher\.internal\. 1 60 10 86400 1/,
  )
})

t.test('two servers cannot have one port, and a stopped one gives it back', { skip }, async t => {
  const clients = directory()
  const forwarder = new Forwarder({ upstreams: [] })
  const first = new DnsServer({ host: METADATA, port: 0, clients, forwarder, log })
  await first.start()
  const { port } = first
  const second = new DnsServer({ host: METADATA, port, clients, forwarder, log })
  await t.rejects(second.start(), { code: 'AddressInUse' })
  await first.stop()
  await second.start()
  t.equal(second.port, port)
  await second.stop()
})
