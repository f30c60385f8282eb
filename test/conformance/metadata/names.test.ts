/** Every rule of names, asked by dig over UDP and TCP. */
import { execFile, execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { accessSync } from 'node:fs'
import { promisify } from 'node:util'
import dns2 from 'dns2'
import t, { type Test } from 'tap'
import { MetadataModel, NameDirectory, Requesters, SignalBoard } from '../../../agent/metadata/index.ts'
import { DnsServer, Forwarder } from '../../../dns/index.ts'
import { createLogger } from '../../../kit/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { FROM, objects } from './world.ts'

const run = promisify(execFile)
const { Packet } = dns2

const cannot = inPrivateNetwork(import.meta.filename)

/** Where somebody else's name server is: never on a loopback, which is not asked. */
const UPSTREAM = '192.0.2.53'

if (cannot === false) execFileSync('ip', ['address', 'add', `${UPSTREAM}/32`, 'dev', 'lo'])

function digMissing(): string | false {
  try {
    accessSync('/usr/bin/dig')
    return cannot
  } catch {
    return 'needs dig'
  }
}

/** Somebody else's name server: knows two names. */
async function upstream(t: Test): Promise<number> {
  const known: Record<string, string> = {
    'www.example.com': '203.0.113.80',
    'api.partner.example': '203.0.113.90',
  }
  const socket = createSocket('udp4')
  socket.on('message', (message, { port, address: client }) => {
    const { header, questions } = Packet.parse(message)
    const name = questions[0]?.name.toLowerCase() ?? ''
    const address = known[name]
    const answer = new Packet(
      new Packet.Header({ id: header.id, qr: 1, rd: 1, ra: 1, rcode: address === undefined ? 3 : 0 }),
    )
    answer.questions = questions
    if (address !== undefined && questions[0]?.type === Packet.TYPE.A) {
      answer.answers.push({ name, type: Packet.TYPE.A, class: Packet.CLASS.IN, ttl: 300, address } as never)
    }
    socket.send(answer.toBuffer(), port, client)
  })
  await new Promise<void>(resolve => socket.bind(0, UPSTREAM, resolve))
  t.teardown(() => {
    socket.close()
  })
  return socket.address().port
}

async function serve(t: Test): Promise<number> {
  const model = new MetadataModel()
  const requesters = new Requesters({
    model,
    signals: new SignalBoard(model),
    addresses: { isHostAddress: address => address === FROM.host, isContainerAddress: () => false },
  })
  requesters.setHost('host-node1')
  model.apply(objects, [])
  const server = new DnsServer({
    host: '127.0.0.1',
    port: 0,
    clients: new NameDirectory(model, requesters),
    forwarder: new Forwarder({ upstreams: [{ address: UPSTREAM, port: await upstream(t) }] }),
    log: createLogger('test', 'silent'),
  })
  await server.start()
  t.teardown(() => server.stop())
  return server.port
}

interface Answer {
  readonly status: string
  readonly flags: string
  /** Data of the answer section, sorted: `10.42.0.1`, or type and data for others than the type that was asked. */
  readonly answers: readonly string[]
  readonly authority: readonly string[]
  readonly lifetimes: readonly number[]
  readonly additional: readonly string[]
}

async function dig(port: number, from: string, name: string, type: string, tcp: boolean, ...more: string[]) {
  const { stdout } = await run('dig', [
    ...['-b', from, '@127.0.0.1', '-p', String(port), '+tries=1', '+time=10', tcp ? '+tcp' : '+notcp'],
    ...['+noall', '+comments', '+answer', '+authority', '+additional', ...more],
    ...(type === 'PTR' ? ['-x', name] : [name, type]),
  ])
  const section = (title: string) =>
    (stdout.split(`;; ${title} SECTION:\n`)[1] ?? '')
      .split('\n\n')[0]
      ?.split('\n')
      .filter(line => line !== '' && !line.startsWith(';'))
      .map(line => line.split(/\s+/)) ?? []
  const answers = section('ANSWER')
  const shown = (fields: string[]) => {
    const [, , , own = '', ...data] = fields
    return own === type ? data.join(' ') : `${own} ${data.join(' ')}`
  }
  return {
    status: /status: (\w+)/.exec(stdout)?.[1] ?? '',
    flags: /flags: ([a-z ]*);/.exec(stdout)?.[1] ?? '',
    answers: answers.map(shown).toSorted(),
    authority: section('AUTHORITY').map(shown),
    lifetimes: answers.map(([, lifetime]) => Number(lifetime)),
    additional: section('ADDITIONAL').map(([owner, , , own, ...data]) => `${owner} ${own} ${data.join(' ')}`),
  } satisfies Answer
}

type Case = readonly [name: string, type: string, from: keyof typeof FROM, expected: string, what: string]

const WEB = '10.42.1.12 127.0.0.11'
const CASES: readonly Case[] = [
  ['web.shop.production.discover.internal', 'A', 'web', WEB, 'a service in full, healthy containers only'],
  ['WEB.Shop.Production.DISCOVER.internal', 'A', 'web', WEB, 'whatever the case'],
  ['web.shop.rancher.internal', 'A', 'web', WEB, 'the suffix of 1.6'],
  ['web.shop.production', 'A', 'web', WEB, 'without the suffix'],
  ['web.shop', 'A', 'db', WEB, 'service and stack, from another stack'],
  ['web', 'A', 'web', WEB, 'a neighbour of the same stack'],
  ['web', 'A', 'db', 'NXDOMAIN', 'is not one of another stack: the name goes to others'],
  ['logger.web.shop.production.discover.internal', 'A', 'web', '10.42.0.19', 'a sidekick'],
  ['logger.web.shop.rancher.internal', 'A', 'web', '10.42.0.19', 'a sidekick, old form'],
  ['shop-web-3.shop.production.discover.internal', 'A', 'web', '10.42.1.13', 'a container, healthy or not'],
  ['shop-web-3.rancher.internal', 'A', 'web', '10.42.1.13', 'a container, old form'],
  ['sharing.rancher.internal', 'A', 'web', FROM.native, 'a container with the network of another'],
  ['sick.data.rancher.internal', 'A', 'web', '10.42.0.42', 'none is healthy: the last one'],
  ['lb.shop.rancher.internal', 'A', 'web', FROM.balancer, 'a load balancer is a service like others'],
  ['monitor.infra.rancher.internal', 'A', 'web', '10.42.0.31 10.42.1.31', 'a global service'],
  ['kube.infra.rancher.internal', 'A', 'web', '10.43.0.77', 'a service with a virtual address: that only'],
  ['smtp.shop.rancher.internal', 'A', 'web', '198.51.100.25 198.51.100.26', 'an external service: addresses'],
  ['mail', 'A', 'web', '198.51.100.25 198.51.100.26', 'a link to it'],
  ['partner', 'A', 'web', '203.0.113.90 CNAME api.partner.example.', 'an external service: a name'],
  ['partner', 'AAAA', 'web', 'CNAME api.partner.example.', 'that has no such address'],
  ['partner', 'CNAME', 'web', 'api.partner.example.', 'the name itself'],
  [
    'inner',
    'A',
    'web',
    '127.0.0.12 CNAME db.data.rancher.internal.',
    'an external service that is one of ours',
  ],
  ['shortcut', 'A', 'web', '127.0.0.12 198.51.100.25 198.51.100.26', 'an alias of two services'],
  ['ring1', 'A', 'web', '127.0.0.12', 'aliases of each other end'],
  ['ring2', 'A', 'web', '127.0.0.12', 'from the other side, too'],
  ['database', 'A', 'web', '127.0.0.12', 'a link by its alias'],
  ['database.data.rancher.internal', 'A', 'web', '127.0.0.12', 'alias and stack of the linked service'],
  ['database', 'A', 'db', 'NXDOMAIN', 'is an alias for its own service only'],
  ['gone', 'A', 'web', 'NXDOMAIN', 'a link to nothing'],
  ['rancher-metadata', 'A', 'web', '169.254.169.250', 'the metadata service'],
  ['rancher-metadata.rancher.internal', 'A', 'testing', '169.254.169.250', 'for everybody'],
  ['rancher-metadata.discover.internal', 'A', 'host', '169.254.169.250', 'under both suffixes'],
  ['web.shop.rancher.internal', 'AAAA', 'web', '', 'a name of ours without an address of that family'],
  ['web.shop.rancher.internal', 'MX', 'web', '', 'nor another record'],
  ['web.shop.rancher.internal', 'TXT', 'web', '', 'nor text'],
  ['six.data.rancher.internal', 'AAAA', 'web', 'fd00:42::a', 'IPv6'],
  ['six.data.rancher.internal', 'A', 'web', '', 'and no IPv4'],
  ['monitor.infra.rancher.internal', 'AAAA', 'web', 'fd42::a2a:1f', 'of those that have one'],
  ['infra-monitor-2.rancher.internal', 'AAAA', 'web', '', 'but not of those that have none'],
  ['shop.rancher.internal', 'A', 'web', '', 'a stack has only names below it'],
  ['nothing.shop.rancher.internal', 'A', 'web', 'NXDOMAIN', 'no such service'],
  ['nothing.rancher.internal', 'AAAA', 'web', 'NXDOMAIN', 'nor container'],
  ['web.shop.testing.discover.internal', 'A', 'web', 'NXDOMAIN', 'another environment'],
  ['web.shop.rancher.internal', 'A', 'testing', FROM.testing, 'the same name in another environment'],
  ['web.shop.production.discover.internal', 'A', 'host', WEB, 'hosts see every environment'],
  ['web.shop.testing.discover.internal', 'A', 'host', FROM.testing, 'by full names'],
  ['www.example.com', 'A', 'web', '203.0.113.80', 'everything else is asked of others'],
  ['www.example.com', 'AAAA', 'web', '', 'who may know nothing'],
  ['nobody.example.com', 'A', 'web', 'NXDOMAIN', 'or that there is nothing'],
  ['10.42.1.12', 'PTR', 'web', 'shop-web-2.shop.production.discover.internal.', 'the name of an address'],
  ['10.42.1.12', 'PTR', 'testing', 'NXDOMAIN', 'is not for other environments'],
  [FROM.native, 'PTR', 'host', 'by-hand.production.discover.internal.', 'of a container without a stack'],
  ['fd00:42::a', 'PTR', 'web', 'data-six-1.data.production.discover.internal.', 'of an IPv6 address'],
  ['fd42::a2a:1f', 'PTR', 'web', 'infra-monitor-1.infra.production.discover.internal.', 'of the second one'],
  ['fd42::a2a:20', 'PTR', 'web', 'NXDOMAIN', 'of nobody: others are asked'],
  ['203.0.113.80', 'PTR', 'web', 'NXDOMAIN', 'of an address that is none of ours: others are asked'],
  [
    'web.shop.rancher.internal',
    'SRV',
    'web',
    '0 0 53 node1-198-51-100-1._hosts.production.discover.internal. 0 0 8080 node1._hosts.production.discover.internal. 0 0 8080 node2._hosts.production.discover.internal.',
    'published ports',
  ],
  [
    '_80._tcp.web.shop.rancher.internal',
    'SRV',
    'web',
    '0 0 8080 node1._hosts.production.discover.internal. 0 0 8080 node2._hosts.production.discover.internal.',
    'one port',
  ],
  ['_81._tcp.web.shop.rancher.internal', 'SRV', 'web', 'NXDOMAIN', 'a port that is not published'],
  ['_80._tcp.web.shop.rancher.internal', 'A', 'web', '', 'ports have no address'],
  ['node2._hosts.production.discover.internal', 'A', 'web', '192.0.2.2', 'where they are'],
  [
    'node1-198-51-100-1._hosts.production.discover.internal',
    'A',
    'web',
    '198.51.100.1',
    'bound to an address',
  ],
  ['web.shop', 'A', 'outside', 'REFUSED', 'strangers'],
]

t.test('names', { skip: digMissing(), timeout: 120_000 }, async t => {
  const port = await serve(t)
  for (const [name, type, from, expected, what] of CASES) {
    const both = await Promise.all([false, true].map(tcp => dig(port, FROM[from], name, type, tcp)))
    for (const [tcp, answer] of both.entries()) {
      const title = `${what}: ${name} ${type} for ${from} by ${tcp === 0 ? 'UDP' : 'TCP'}`
      const failed = /^[A-Z]{5,}$/.test(expected)
      t.equal(answer.status, failed ? expected : 'NOERROR', title)
      if (!failed) t.equal(answer.answers.join(' '), expected, title)
      const owned = /(discover|rancher)\.internal$/.test(name)
      if (owned) {
        t.match(answer.flags, /^qr aa rd ra/, title)
        t.ok(
          answer.lifetimes.every(lifetime => lifetime === 1),
          `${title}: 1 s`,
        )
        // "No" carries how long it may be remembered.
        if (answer.answers.length === 0) t.match(answer.authority[0], /^SOA .* 1 60 10 86400 1$/, title)
      }
    }
  }
})

t.test('where a published port is comes with it', { skip: digMissing() }, async t => {
  const port = await serve(t)
  const { additional } = await dig(port, FROM.web, '_80._tcp.web.shop.rancher.internal', 'SRV', false)
  t.strictSame(additional.toSorted(), [
    'node1._hosts.production.discover.internal. A 192.0.2.1',
    'node2._hosts.production.discover.internal. A 192.0.2.2',
  ])
})

t.test('classes and types that are not answered', { skip: digMissing() }, async t => {
  const port = await serve(t)
  t.equal((await dig(port, FROM.web, 'web.shop', 'ANY', true)).status, 'NOTIMP')
  t.equal((await dig(port, FROM.web, 'web.shop', 'A', false, '-c', 'CH')).status, 'NOTIMP')
})
