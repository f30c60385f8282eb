/** Which names a client sees as what. */
import t from 'tap'
import { published } from '../../../dns/address-set.ts'
import { type ClientView, resolveName, searchDomains } from '../../../dns/client-view.ts'
import { dnsLabel, within } from '../../../dns/names.ts'
import {
  addresses,
  host,
  lonelyClient,
  podStranger,
  shopClient,
  stranger,
  testClient,
} from './small-world.ts'

/** Addresses of the last byte, or the kind of the answer. */
function seen(name: string, view: ClientView): string {
  const resolution = resolveName(name, view)
  if (resolution.kind !== 'addresses') return resolution.kind
  const records = resolution.addresses.records.bytes
  const found = Array.from({ length: records.length / 16 }, (_, index) =>
    records.subarray(index * 16 + 14, index * 16 + 16).join('.'),
  )
  return found.length > 5 ? `${found.length} addresses` : found.join(' ')
}

interface Case {
  readonly name: string
  readonly view: ClientView
  readonly expect: string
}

const cases: readonly Case[] = [
  // Services
  { name: 'web.shop.prod.discover.internal', view: shopClient, expect: '0.11 0.12 0.13' },
  { name: 'web.shop.rancher.internal', view: shopClient, expect: '0.11 0.12 0.13' },
  { name: 'web.shop.prod', view: shopClient, expect: '0.11 0.12 0.13' },
  { name: 'web.shop', view: shopClient, expect: '0.11 0.12 0.13' },
  { name: 'web', view: shopClient, expect: '0.11 0.12 0.13' },
  { name: 'web', view: lonelyClient, expect: 'foreign' },
  { name: 'web.shop', view: lonelyClient, expect: '0.11 0.12 0.13' },
  { name: 'db.data', view: shopClient, expect: '0.31' },
  { name: 'db', view: shopClient, expect: 'foreign' },
  // Kubernetes' domain is ours to deny
  { name: 'web.default.svc.cluster.local', view: shopClient, expect: 'unknown' },
  { name: 'kubernetes.default.svc.cluster.local', view: stranger, expect: 'unknown' },
  // Services are the same for everybody, also for whom nobody knows
  { name: 'web.default.svc.cluster.local', view: podStranger, expect: '0.11' },
  { name: 'db.default.svc.cluster.local', view: podStranger, expect: 'unknown' },
  { name: 'web.shop', view: podStranger, expect: 'foreign' },
  // What resolvers make of short names with the search list
  { name: 'db.data.shop.prod.discover.internal', view: shopClient, expect: 'unknown' },
  { name: 'db.data.prod.discover.internal', view: shopClient, expect: '0.31' },
  { name: 'web.prod.discover.internal', view: shopClient, expect: 'unknown' },
  { name: 'web.discover.internal', view: shopClient, expect: 'unknown' },
  { name: 'www.example.com.shop.prod.discover.internal', view: shopClient, expect: 'unknown' },
  // Sidekicks
  { name: 'logger.web.shop.prod.discover.internal', view: shopClient, expect: '0.21' },
  { name: 'logger.web.shop.rancher.internal', view: shopClient, expect: '0.21' },
  { name: 'logger.web', view: shopClient, expect: '0.21' },
  // Containers
  { name: 'shop-web-1.shop.prod.discover.internal', view: shopClient, expect: '0.11' },
  { name: 'shop-web-1.rancher.internal', view: shopClient, expect: '0.11' },
  { name: 'shop-web-1', view: shopClient, expect: '0.11' },
  { name: 'redis', view: lonelyClient, expect: '0.41' },
  { name: 'redis.prod.discover.internal', view: lonelyClient, expect: '0.41' },
  // A service without containers has a name
  { name: 'idle.shop.prod.discover.internal', view: shopClient, expect: '' },
  { name: 'big.shop.prod.discover.internal', view: shopClient, expect: '200 addresses' },
  // Names that only have names below them, and the domains themselves
  { name: 'shop.prod.discover.internal', view: shopClient, expect: 'empty' },
  { name: 'prod.discover.internal', view: shopClient, expect: 'empty' },
  { name: 'discover.internal', view: shopClient, expect: 'empty' },
  { name: 'rancher.internal', view: shopClient, expect: 'empty' },
  { name: 'shop', view: shopClient, expect: 'foreign' },
  // Links
  { name: 'mysql', view: shopClient, expect: '0.31' },
  { name: 'mysql.shop.prod.discover.internal', view: shopClient, expect: '0.31' },
  { name: 'mysql.prod.discover.internal', view: shopClient, expect: '0.31' },
  { name: 'mysql.discover.internal', view: shopClient, expect: '0.31' },
  { name: 'mysql.rancher.internal', view: shopClient, expect: '0.31' },
  { name: 'mysql.data.rancher.internal', view: shopClient, expect: '0.31' },
  { name: 'mysql', view: lonelyClient, expect: 'foreign' },
  { name: 'mysql.rancher.internal', view: lonelyClient, expect: 'unknown' },
  // Other environments
  { name: 'web.shop.test.discover.internal', view: shopClient, expect: 'unknown' },
  { name: 'web.shop.prod.discover.internal', view: testClient, expect: 'unknown' },
  { name: 'web.shop', view: testClient, expect: '9.1' },
  { name: 'redis', view: testClient, expect: 'foreign' },
  { name: 'redis.rancher.internal', view: testClient, expect: 'unknown' },
  { name: 'elsewhere', view: shopClient, expect: '9.9' },
  // Hosts see everything by full names, and nothing by others
  { name: 'web.shop.prod.discover.internal', view: host, expect: '0.11 0.12 0.13' },
  { name: 'web.shop.test.discover.internal', view: host, expect: '9.1' },
  { name: 'web.shop.none.discover.internal', view: host, expect: 'unknown' },
  { name: 'prod.discover.internal', view: host, expect: 'empty' },
  { name: 'none.discover.internal', view: host, expect: 'unknown' },
  { name: 'web.shop.rancher.internal', view: host, expect: 'unknown' },
  { name: 'web', view: host, expect: 'foreign' },
  // The metadata service, for everybody
  ...[shopClient, lonelyClient, host, stranger].flatMap(view =>
    ['rancher-metadata', 'rancher-metadata.discover.internal', 'rancher-metadata.rancher.internal'].map(
      name => ({ name, view, expect: '169.250' }),
    ),
  ),
  // Everything else is somebody else's
  { name: 'example.com', view: shopClient, expect: 'foreign' },
  { name: 'internal', view: shopClient, expect: 'foreign' },
  { name: 'mydiscover.internal', view: shopClient, expect: 'foreign' },
  { name: 'constructor', view: shopClient, expect: 'foreign' },
  // A container that nothing is known of
  { name: 'web', view: stranger, expect: 'undecided' },
  { name: 'web.shop.prod.discover.internal', view: stranger, expect: 'undecided' },
  { name: 'example.com', view: stranger, expect: 'foreign' },
]

t.test('names mean what the rules say', async t => {
  for (const { name, view, expect } of cases) {
    t.equal(seen(name, view), expect, `${name} for ${view.kind} ${'stack' in view ? view.stack : ''}`)
  }
})

t.test('aliases win over names of the own stack', async t => {
  const view: ClientView = { ...shopClient, aliases: new Map([['web', addresses('10.42.0.31')]]) }
  t.equal(seen('web', view), '0.31')
  t.equal(seen('web.shop.prod.discover.internal', view), '0.31')
})

t.test('the search list of a container', async t => {
  t.same(searchDomains({ environment: 'prod', stack: 'shop' }), [
    'shop.prod.discover.internal',
    'prod.discover.internal',
    'discover.internal',
    'rancher.internal',
  ])
  t.same(searchDomains({ environment: 'prod', stack: undefined }), [
    'prod.discover.internal',
    'discover.internal',
    'rancher.internal',
  ])
})

t.test('only healthy endpoints are published, or the last one', async t => {
  const endpoint = (address: string, healthy: boolean) => ({ address, healthy })
  t.same(published([endpoint('a', true), endpoint('b', false), endpoint('c', true)]), ['a', 'c'])
  t.same(published([endpoint('a', false), endpoint('b', false)]), ['b'])
  t.same(published([endpoint('a', true), endpoint('a', true)]), ['a'])
  t.same(published([]), [])
})

t.test('labels', async t => {
  t.equal(dnsLabel('Default'), 'default')
  t.equal(dnsLabel('My Env_1'), 'my-env-1')
  t.equal(dnsLabel('-x-'), 'x')
  t.equal(dnsLabel('x'.repeat(80)), 'x'.repeat(63))
  t.equal(within('a.b.c', 'c'), 'a.b')
  t.equal(within('c', 'c'), '')
  t.equal(within('abc', 'c'), undefined)
  t.equal(within('.c', 'c'), undefined)
})
