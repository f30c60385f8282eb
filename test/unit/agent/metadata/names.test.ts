/** Names of the metadata as the DNS server sees them, and how they follow its changes. */
import t, { type Test } from 'tap'
import { MetadataModel, NameDirectory, Requesters, SignalBoard } from '../../../../agent/metadata/index.ts'
import { resolveName } from '../../../../dns/client-view.ts'
import { formatIpv6 } from '../../../../kit/index.ts'
import { container, environment, host, service, stack } from './objects.ts'

const prod = environment('Production')
const testing = environment('My Tests')
const node = host('node1')
const shop = stack('Shop', prod)
const data = stack('data', prod)
const shopOfTesting = stack('shop', testing)
const db = service('db', data)
const web = service('Web', shop, {
  sidekicks: ['Logger'],
  links: [
    { alias: 'Database', name: 'data/db' },
    { alias: 'far', name: 'my-tests/shop/web' },
    { alias: 'gone', name: 'nothing' },
  ],
})
const webOfTesting = service('web', shopOfTesting)
const here = { hostUuid: node.uuid }
const web1 = container('Shop-Web-1', web, { ...here, primaryIp: '10.42.0.11' })
const web2 = container('Shop-Web-2', web, { hostUuid: 'host-node2', primaryIp: '10.42.1.12' })
const logger1 = container('Shop-Web-Logger-1', web, { ...here, sidekick: 'Logger', primaryIp: '10.42.0.11' })
const db1 = container('data-db-1', db, { ...here, primaryIp: '10.42.0.31' })
const native = container('by-hand', prod, { ...here, primaryIp: '172.17.0.2' })
const dotted = container('a.b', prod, { ...here, primaryIp: '172.17.0.3' })
const sharing = container('sharing', prod, { ...here, networkFromContainerUuid: native.uuid })
const testing1 = container('shop-web-1', webOfTesting, {
  uuid: 'testing-1',
  ...here,
  primaryIp: '10.42.0.91',
})

const world = [
  ...[prod, testing, node, shop, data, shopOfTesting, db, web, webOfTesting],
  ...[web1, web2, logger1, db1, native, dotted, sharing, testing1],
]

const HOST = '192.0.2.1'

interface Names {
  readonly model: MetadataModel
  readonly directory: NameDirectory
  /** Addresses of a name, or the kind of the answer, for a client. */
  seen(name: string, from?: string): string
  /** Its AAAA records as they are written. */
  seenIpv6(name: string): string[]
}

function names(): Names {
  const model = new MetadataModel()
  const requesters = new Requesters({
    model,
    signals: new SignalBoard(model),
    addresses: {
      isHostAddress: address => address === HOST,
      isContainerAddress: address => address.startsWith('172.17.'),
    },
  })
  const directory = new NameDirectory(model, requesters)
  requesters.setHost(node.uuid)
  model.apply(world, [])
  return {
    model,
    directory,
    seen(name, from = '10.42.0.11') {
      const view = directory.viewOf(from)
      if (view === undefined) return 'refused'
      const resolution = resolveName(name, view)
      if (resolution.kind !== 'addresses') return resolution.kind
      const records = resolution.addresses.records.bytes
      return Array.from({ length: records.length / 16 }, (_, index) =>
        records.subarray(index * 16 + 12, index * 16 + 16).join('.'),
      ).join(' ')
    },
    seenIpv6(name) {
      const view = directory.viewOf('10.42.0.11')
      const resolution = view && resolveName(name, view)
      if (resolution?.kind !== 'addresses') return []
      const { bytes, size } = resolution.addresses.records6
      return Array.from({ length: bytes.length / size }, (_, index) =>
        formatIpv6(bytes.subarray(index * size + 12, (index + 1) * size)),
      )
    },
  }
}

t.test('names of services, sidekicks and containers', async t => {
  const { seen } = names()
  const cases: readonly [string, string, string?][] = [
    ['web.shop.production.discover.internal', '10.42.0.11 10.42.1.12'],
    ['web.shop.rancher.internal', '10.42.0.11 10.42.1.12'],
    ['web', '10.42.0.11 10.42.1.12'],
    ['logger.web.shop.production.discover.internal', '10.42.0.11'],
    ['logger.web', '10.42.0.11'],
    ['other.web.shop.production.discover.internal', 'unknown'],
    ['shop-web-2.shop.production.discover.internal', '10.42.1.12'],
    ['shop-web-2.rancher.internal', '10.42.1.12'],
    ['shop-web-2.data.production.discover.internal', 'unknown'],
    ['by-hand.rancher.internal', '172.17.0.2'],
    ['by-hand.production.discover.internal', '172.17.0.2'],
    ['sharing.rancher.internal', '172.17.0.2'],
    ['a.b.rancher.internal', 'unknown'],
    ['shop.production.discover.internal', 'empty'],
    ['db', 'foreign'],
    ['db.data', '10.42.0.31'],
    // Links
    ['database', '10.42.0.31'],
    ['database.shop.production.discover.internal', '10.42.0.31'],
    ['database.data.rancher.internal', '10.42.0.31'],
    ['far', '10.42.0.91'],
    ['gone', 'foreign'],
    ['database', 'foreign', '10.42.0.31'],
    // Others
    ['web.shop.my-tests.discover.internal', 'unknown'],
    ['web.shop.my-tests.discover.internal', '10.42.0.91', '10.42.0.91'],
    ['web', '10.42.0.91', '10.42.0.91'],
    ['web.shop.my-tests.discover.internal', '10.42.0.91', HOST],
    ['web.shop.production.discover.internal', '10.42.0.11 10.42.1.12', HOST],
    ['web.shop.production.discover.internal', 'undecided', '172.17.0.77'],
    ['web', 'refused', '10.42.1.12'],
    ['web', 'refused', '198.51.100.1'],
    // In the environment, in no stack
    ['web.shop', '10.42.0.11 10.42.1.12', '172.17.0.2'],
    ['web', 'foreign', '172.17.0.2'],
  ]
  for (const [name, expected, from] of cases) t.equal(seen(name, from), expected, `${name} ${from ?? ''}`)
})

/** Applies a change and says whether names may mean something else. */
function changes({ model, directory }: Names, ...args: Parameters<MetadataModel['apply']>): boolean {
  const { version } = directory
  model.apply(...args)
  return directory.version !== version
}

t.test('only healthy containers, or the last one', async t => {
  const all = names()
  const { seen, model } = all
  t.equal(seen('web'), '10.42.0.11 10.42.1.12')
  t.notOk(changes(all, [{ ...web2, healthState: 'unhealthy' }], []), 'the name is the same')
  t.equal(seen('web'), '10.42.0.11')
  t.equal(seen('shop-web-2'), '10.42.1.12', 'a container answers whatever its health')
  model.apply([{ ...web1, healthState: 'initializing' }], [])
  t.equal(seen('web'), '10.42.1.12', 'the last one')
  model.apply([{ ...web1, healthState: 'updating-healthy' }], [])
  t.equal(seen('web'), '10.42.0.11')
  model.apply(
    [
      { ...web1, state: 'stopped' },
      { ...web2, state: 'starting' },
    ],
    [],
  )
  t.equal(seen('web', HOST), 'foreign')
  t.equal(seen('web.shop.production.discover.internal', HOST), '10.42.1.12', 'one that starts counts')
  const check = {
    port: 80,
    interval: 1,
    responseTimeout: 1,
    healthyThreshold: 1,
    unhealthyThreshold: 1,
    initializingTimeout: 1,
  }
  model.apply([web1, web2, { ...web, healthCheck: check }], [])
  t.equal(seen('web'), '10.42.1.12', 'who is checked must be known to be healthy')
  model.apply([{ ...web, healthCheck: check, vip: '10.43.0.1' }], [])
  t.equal(seen('web'), '10.43.0.1', 'a virtual address stands for all')
})

t.test('names come, go and change', async t => {
  const all = names()
  const { seen } = all
  t.ok(changes(all, [container('Shop-Web-3', web, { primaryIp: '10.42.1.13' })], []))
  t.equal(seen('web'), '10.42.0.11 10.42.1.12 10.42.1.13')
  t.ok(changes(all, [], [web2.uuid]))
  t.equal(seen('web'), '10.42.0.11 10.42.1.13')
  t.equal(seen('shop-web-2.rancher.internal'), 'unknown')
  t.ok(changes(all, [{ ...db, name: 'mysql' }], []))
  t.equal(seen('db.data'), 'foreign')
  t.equal(seen('mysql.data'), '10.42.0.31')
  t.equal(seen('database'), 'foreign', 'a link leads to a name')
  t.ok(changes(all, [{ ...web, links: [{ alias: 'sql', name: 'data/mysql' }] }], []))
  t.equal(seen('sql'), '10.42.0.31')
  t.ok(changes(all, [{ ...prod, name: 'Live' }], []))
  t.equal(seen('web.shop.live.discover.internal'), '10.42.0.11 10.42.1.13')
  t.equal(seen('web.shop.production.discover.internal'), 'unknown')
  t.ok(changes(all, [{ ...native, primaryIp: '172.17.0.9' }], []))
  t.equal(seen('sharing.rancher.internal'), '172.17.0.9', 'whoever shares its network moves with it')
  t.equal(seen('web.shop', '172.17.0.2'), 'foreign', 'and nobody has its old address')
  t.equal(seen('web.shop', '172.17.0.9'), '10.42.0.11 10.42.1.13')
  t.notOk(changes(all, [{ ...web1, startCount: 5 }], []), 'what is no name')
})

t.test('names that exist twice', async (t: Test) => {
  const { seen, model } = names()
  model.apply([container('by-hand', prod, { uuid: 'second', state: 'stopped' })], [])
  t.equal(seen('by-hand.rancher.internal'), '172.17.0.2')
  model.apply([container('by-hand', prod, { uuid: 'third', primaryIp: '172.17.0.4' })], [])
  t.equal(seen('by-hand.rancher.internal'), '172.17.0.2 172.17.0.4')
})

t.test('IPv6 addresses of those that have one', async t => {
  const { model, directory, seen, seenIpv6 } = names()
  const { version } = directory
  t.strictSame(seenIpv6('web'), [], 'there is none yet')
  model.apply([{ ...web2, primaryIpv6: 'fd42::a2a:10c' }], [])
  t.not(directory.version, version, 'what is answered is found out anew')
  t.equal(seen('web'), '10.42.0.11 10.42.1.12')
  t.strictSame(seenIpv6('web'), ['fd42::a2a:10c'], 'of one of the two')
  t.strictSame(seenIpv6('shop-web-2.rancher.internal'), ['fd42::a2a:10c'])
  model.apply([{ ...native, primaryIpv6: 'fd42::ac11:2' }], [])
  t.strictSame(
    seenIpv6('sharing.rancher.internal'),
    ['fd42::ac11:2'],
    'who shares a network has its addresses',
  )
  const view = directory.viewOf('10.42.0.11')
  const reverse = (name: string) => view && resolveName(name, view)
  const of = 'c.0.1.0.a.2.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.4.d.f.ip6.arpa'
  t.match(reverse(of), { kind: 'names', names: ['shop-web-2.shop.production.discover.internal'] })
  t.equal(reverse(of.replace('c.', 'd.'))?.kind, 'foreign')
  model.apply([web2], [])
  t.strictSame(seenIpv6('web'), [])
  t.equal(reverse(of)?.kind, 'foreign', 'it has it no more')
})
