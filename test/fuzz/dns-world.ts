/** Clients of every kind, names of every kind, and good queries for all of them. */

import { AddressSet, CanonicalName, Forwarder, type Found, type MemberView } from '../../dns/index.ts'
import { Resolver } from '../../dns/resolver.ts'
import { createLogger } from '../../kit/index.ts'
import { queryMessage } from '../unit/dns/messages.ts'
import { production, SmallDirectory, shopClient, host as smallHost } from '../unit/dns/small-world.ts'

export const CLIENTS = {
  member: '10.42.0.5',
  host: '192.0.2.1',
  stranger: '10.42.0.6',
  nobody: '198.51.100.9',
} as const

/** A directory in which nobody becomes known by waiting. */
export class StillDirectory extends SmallDirectory {
  override whenKnown(): Promise<void> {
    return Promise.resolve()
  }
}

const withPorts = new AddressSet(
  () => [
    { address: '10.42.0.51', healthy: true },
    { address: 'fd00::51', healthy: true },
  ],
  () =>
    Array.from({ length: 40 }, (_, index) => ({
      name: index < 20 ? '8080' : '53',
      protocol: index < 20 ? ('tcp' as const) : ('udp' as const),
      port: 30_000 + index,
      target: `front-${index}.shop.prod.discover.internal`,
      address: `10.42.0.${index}`,
    })),
)

const more: Readonly<Record<string, Found>> = {
  'front.shop': withPorts,
  'outside.shop': new CanonicalName('www.example'),
  'inside.shop': new CanonicalName('big.shop.prod.discover.internal'),
  'circle.shop': new CanonicalName('circle.shop.prod.discover.internal'),
}
const scope = {
  find: (name: string): Found | undefined => (Object.hasOwn(more, name) ? more[name] : production.find(name)),
}

const manyNames = Array.from({ length: 60 }, (_, index) => `name-${index}.shop.prod.discover.internal`)
const known = {
  kubernetes: scope,
  reverse: (address: string): readonly string[] | undefined =>
    address === '10.42.0.11' || address === 'fd00::51'
      ? manyNames
      : address.startsWith('10.42.')
        ? []
        : undefined,
}
const member: MemberView = { ...shopClient, ...known, scope }

function fuzzDirectory(): StillDirectory {
  const clients = new StillDirectory()
  clients.set(CLIENTS.member, member)
  clients.set(CLIENTS.host, {
    ...smallHost,
    ...known,
    environment: label => (label === 'prod' ? scope : undefined),
  })
  clients.set(CLIENTS.stranger, { kind: 'stranger', kubernetes: undefined })
  return clients
}

/** Answers from memory; has nobody to ask. */
export function fuzzResolver(): Resolver {
  const forwarder = new Forwarder({ upstreams: [] })
  return new Resolver({ clients: fuzzDirectory(), forwarder, log: createLogger('test', 'silent') })
}

const NAMES = [
  ...['web', 'web.shop', 'web.shop.prod', 'web.shop.prod.discover.internal', 'WEB.Shop.rancher.internal'],
  ...[
    'logger.web',
    'big.shop',
    'big.shop.prod.discover.internal',
    'idle.shop',
    'front.shop',
    'mysql',
    'shop',
  ],
  ...['outside.shop', 'inside.shop', 'circle.shop.prod.discover.internal', 'discover.internal'],
  ...['nobody.rancher.internal', 'nobody.shop.prod.discover.internal', 'web.shop.test.discover.internal'],
  ...['rancher-metadata', 'rancher-metadata.rancher.internal', 'www.example', 'x.y.z.example', 'localhost'],
  ...[
    '_8080._tcp.front.shop',
    '_53._udp.front.shop.prod.discover.internal',
    '_1._tcp.web.shop',
    '_a._b.example',
  ],
  ...[
    '11.0.42.10.in-addr.arpa',
    '12.0.42.10.in-addr.arpa',
    '1.2.0.192.in-addr.arpa',
    '250.254.169.in-addr.arpa',
  ],
  `1.5.${'0.'.repeat(26)}0.0.d.f.ip6.arpa`,
  ...['web.shop.cluster.local', 'cluster.local', 'nobody.default.svc.cluster.local'],
  ...[`${'a'.repeat(63)}.example`, Array(120).fill('a').join('.'), 'a_b-c.example'],
]
const TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 64, 65, 251, 252, 255, 257, 65_535]
const EDNS = [undefined, 0, 512, 1232, 4096, 65_535]

/** A cookie (RFC 7873) and a client's network (RFC 7871), as resolvers of others send them. */
function withOption(query: Buffer, code: number, data: Buffer): Buffer {
  const option = Buffer.alloc(4)
  option.writeUInt16BE(code, 0)
  option.writeUInt16BE(data.length, 2)
  const message = Buffer.concat([query, option, data])
  message.writeUInt16BE(4 + data.length, query.length - 2)
  return message
}

/** Every name with every type, with and without EDNS of several sizes. */
export function corpus(): readonly Buffer[] {
  const messages: Buffer[] = []
  for (const name of NAMES) {
    for (const type of TYPES) {
      for (const edns of EDNS) {
        messages.push(queryMessage(name, edns === undefined ? { type } : { type, edns }))
      }
    }
  }
  const query = queryMessage('big.shop', { edns: 4096 })
  messages.push(queryMessage('web.shop', { edns: 4096, version: 1 }))
  messages.push(withOption(query, 10, Buffer.alloc(24, 0x5a)))
  messages.push(withOption(query, 8, Buffer.from([0, 1, 24, 0, 192, 0, 2])))
  return messages
}
