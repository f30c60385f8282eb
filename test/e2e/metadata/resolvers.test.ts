/**
 * The resolvers that containers bring: of glibc, of musl and of busybox, unmodified, with the resolv.conf that an agent
 * writes and with those of others.
 */
import { createSocket } from 'node:dgram'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import dns2 from 'dns2'
import t, { type Test } from 'tap'
import type { Upstream } from '../../../dns/index.ts'
import { runCommand } from '../../../kit/index.ts'
import { METADATA_ADDRESS } from '../../../protocol/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { temporaryDirectory } from '../../unit/server/metadata/world.ts'
import { makeNamespaces, missing, resolving, second, startAgent } from './containers.ts'

const { Packet } = dns2
const skip = inPrivateNetwork(import.meta.filename)
if (skip === false) makeNamespaces()

const BOTH = ['198.51.100.11', '198.51.100.12']
const FOREIGN = '203.0.113.80'
const SEARCH =
  'shop.production.discover.internal production.discover.internal discover.internal rancher.internal'

/** What containers ask for, and what they are to find; nothing for names that nobody has. */
const EXPECTED: readonly (readonly [string, readonly string[]])[] = [
  ['web', BOTH],
  ['web.shop', BOTH],
  ['web.shop.production', BOTH],
  ['web.shop.production.discover.internal', BOTH],
  ['web.shop.rancher.internal', BOTH],
  ['WEB.Shop', BOTH],
  ['web.shop.production.discover.internal.', BOTH],
  ['self-link', BOTH],
  ['shop-web-2', ['198.51.100.12']],
  ['rancher-metadata', [METADATA_ADDRESS]],
  ['rancher-metadata.rancher.internal', [METADATA_ADDRESS]],
  ['www.example', [FOREIGN]],
  ['deep.below.www.example', [FOREIGN]],
  ['nobody.shop', []],
  ['nobody', []],
  ['nobody.shop.rancher.internal', []],
  ['nobody.example', []],
]

/** A name server of others, which knows one name and those below it, with an IPv4 address only. */
async function foreignServer(t: Test): Promise<Upstream & { readonly asked: string[] }> {
  const asked: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (message, { port, address }) => {
    const { header, questions } = Packet.parse(message)
    const { name = '', type = 0 } = questions[0] ?? {}
    asked.push(name.toLowerCase())
    const known = name.toLowerCase().endsWith('www.example')
    const answer = new Packet(new Packet.Header({ id: header.id, qr: 1, rd: 1, ra: 1, rcode: known ? 0 : 3 }))
    answer.questions = questions
    if (known && type === Packet.TYPE.A) {
      answer.answers.push({ name, type, class: 1, ttl: 60, address: FOREIGN } as never)
    }
    socket.send(answer.toBuffer(), port, address)
  })
  await new Promise<void>(resolve => socket.bind(0, '203.0.113.1', resolve))
  t.teardown(() => socket.close())
  return { address: '203.0.113.1', port: socket.address().port, asked }
}

/** An agent with two containers, a name server of others, and files that name the agent as the resolver's server. */
async function startWorld(t: Test) {
  const foreign = await foreignServer(t)
  const model = await startAgent(t, [foreign])
  model.apply([second], [])
  const directory = await temporaryDirectory(t)
  const resolvConf = async (options: string, search = SEARCH) => {
    const file = path.join(directory, `resolv-${options.replaceAll(/\W/g, '-')}-${search.length}.conf`)
    const lines = [`nameserver ${METADATA_ADDRESS}`, ...(search === '' ? [] : [`search ${search}`])]
    await writeFile(file, [...lines, `options ${options}`, ''].join('\n'))
    return file
  }
  return { foreign, resolvConf }
}

/** How one resolver is asked for the addresses of a name. */
type Ask = (resolvConf: string, name: string) => Promise<readonly string[]>

/** Asks for everything with `ndots` 1 and 5, and checks that nothing of ours was told to others. */
async function checkNames(t: Test, ask: Ask): Promise<void> {
  const { foreign, resolvConf } = await startWorld(t)
  for (const ndots of [1, 5]) {
    const file = await resolvConf(`ndots:${ndots}`)
    for (const [name, addresses] of EXPECTED) {
      t.same([...new Set(await ask(file, name))].toSorted(), addresses, `${name} with ndots ${ndots}`)
    }
  }
  const told = foreign.asked.filter(name => /\.internal$|^web|^self-link|^shop|metadata/.test(name))
  t.same(told, [], 'others were asked for none of our names')
}

/** Addresses at the beginning of the lines of a program. */
const addressesOf = (output: string) =>
  [...output.matchAll(/^([0-9a-f.:]+)(?:\s|$)/gm)].map(([, one = '']) => one)

t.test('glibc', { skip: skip || missing('getent', 'unshare', 'nsenter') }, async t => {
  await t.test('getaddrinfo', t =>
    checkNames(t, async (file, name) => addressesOf(await resolving('c1', file, 'getent', 'ahosts', name))),
  )
  await t.test('gethostbyname2', t =>
    checkNames(t, async (file, name) => {
      const hosts = addressesOf(await resolving('c1', file, 'getent', 'ahostsv4', name))
      const [first] = addressesOf(await resolving('c1', file, 'getent', 'hosts', name))
      t.ok(first === undefined ? hosts.length === 0 : hosts.includes(first), `getent hosts ${name}`)
      return hosts
    }),
  )
  await t.test('options that people set', async t => {
    const { resolvConf } = await startWorld(t)
    for (const options of ['use-vc', 'edns0', 'single-request', 'rotate', 'no-tld-query', 'trust-ad edns0']) {
      const file = await resolvConf(`${options} ndots:2`)
      const found = addressesOf(await resolving('c1', file, 'getent', 'ahosts', 'web.shop'))
      t.same([...new Set(found)].toSorted(), BOTH, options)
    }
  })
})

/** Makes the program that asks musl's resolver. */
async function muslProgram(t: Test): Promise<string> {
  const program = path.join(await temporaryDirectory(t), 'ask-resolver')
  const source = path.join(import.meta.dirname, 'ask-resolver.c')
  await runCommand('musl-gcc', ['-static', '-Wall', '-Werror', '-o', program, source], { deadline: 60_000 })
  return program
}

t.test('musl', { skip: skip || missing('musl-gcc', 'unshare', 'nsenter') }, async t => {
  const program = await muslProgram(t)
  await t.test('getaddrinfo', t =>
    checkNames(t, async (file, name) => addressesOf(await resolving('c1', file, program, name))),
  )
  await t.test('without a search list', async t => {
    const { resolvConf } = await startWorld(t)
    const file = await resolvConf('ndots:1', '')
    for (const name of ['web', 'web.shop', 'rancher-metadata', 'www.example']) {
      t.not(await resolving('c1', file, program, name), 'unknown\n', name)
    }
    t.match(await resolving('c1', file, program, 'nobody.shop'), /unknown/, 'says no, not "again"')
  })
})

t.test('busybox', { skip: skip || missing('busybox', 'unshare', 'nsenter') }, async t => {
  const { resolvConf } = await startWorld(t)
  for (const ndots of [1, 5]) {
    const file = await resolvConf(`ndots:${ndots}`)
    const lookup = (name: string) => resolving('c1', file, 'busybox', 'nslookup', name)
    for (const name of ['web', 'web.shop.production.discover.internal', 'rancher-metadata', 'www.example']) {
      const [, addresses = []] = EXPECTED.find(([known]) => known === name) ?? []
      const output = await lookup(name)
      for (const address of addresses) t.ok(output.includes(address), `${name} with ndots ${ndots}`)
    }
    t.match(await lookup('nobody.shop.rancher.internal'), /NXDOMAIN|can't (find|resolve)/)
    const url = 'http://rancher-metadata/latest/self/stack/name'
    t.equal(await resolving('c1', file, 'busybox', 'wget', '-q', '-O', '-', url), 'shop')
  }
  const bare = await resolvConf('ndots:1', '')
  t.match(await resolving('c1', bare, 'busybox', 'nslookup', 'web'), /198\.51\.100\.11/, 'no search list')
})
