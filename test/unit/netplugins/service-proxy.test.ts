/** Where clients of a service are led, and what a change of one changes. */
import t from 'tap'
import {
  type ProxyService,
  type ProxySlice,
  ProxyTable,
  readyOnHost,
  rulesOfService,
} from '../../../netplugins/service-proxy/index.ts'

const HOST = { node: 'h1', podBlock: '10.42.0.0/16' }

type Endpoint = ProxySlice['endpoints'][number]

function endpoint(last: number, node: string, state: 'ready' | 'draining' | 'unready' = 'ready'): Endpoint {
  return {
    addresses: [`10.42.0.${last}`],
    node,
    ready: state === 'ready',
    ...(state === 'draining' ? { draining: true } : {}),
  }
}

function service(rest: Partial<ProxyService> = {}, nodePort?: number): ProxyService {
  return {
    namespace: 'shop',
    name: 'web',
    addresses: ['10.43.0.9'],
    ports: [{ name: 'http', protocol: 'tcp', port: 80, ...(nodePort === undefined ? {} : { nodePort }) }],
    ...rest,
  }
}

function rules(
  endpoints: readonly Endpoint[],
  rest: Partial<ProxyService> = {},
  nodePort?: number,
  zone?: string,
) {
  const slice: ProxySlice = { endpoints, ports: [{ name: 'http', protocol: 'tcp', port: 8080 }] }
  return rulesOfService(service(rest, nodePort), [slice], { ...HOST, zone })
}

/** Chain and endpoints of each front. */
function led(...args: Parameters<typeof rules>) {
  const short = (targets: readonly string[]) =>
    targets.map(target => target.replace(/^10\.42\.0\.| \. 8080$/g, ''))
  return rules(...args).fronts.map(({ key, chain, targets, localTargets }) => [
    key,
    chain.name.replace(/[0-9a-f]{16}/g, 'HASH'),
    short(targets).join(),
    short(localTargets).join(),
  ])
}

t.test('cluster addresses', async t => {
  const key = '10.43.0.9 . tcp . 80'
  const [here, there] = [endpoint(7, 'h1'), endpoint(8, 'h2')]
  t.strictSame(led([there, here]), [[key, 'spread_2', '7,8', '']])
  t.strictSame(led([]), [[key, 'refuse', '', '']])
  t.strictSame(led([here], { addresses: [] }), [], 'headless')
  t.strictSame(led([here], { addresses: ['fd00::9'] }), [])
  t.strictSame(
    led([endpoint(7, 'h1', 'draining'), there, endpoint(9, 'h2', 'unready')]),
    [[key, 'spread_1', '8', '']],
    'those that are ready',
  )
  t.strictSame(
    led([endpoint(7, 'h1', 'draining'), endpoint(9, 'h2', 'unready')]),
    [[key, 'spread_1', '7', '']],
    'or those that still answer',
  )
  t.strictSame(led([endpoint(9, 'h2', 'unready')]), [[key, 'refuse', '', '']])
  t.strictSame(led([here, there], { insideLocal: true }), [[key, 'spread_local_1', '', '7']])
  t.strictSame(led([there], { insideLocal: true }), [[key, 'discard', '', '']], 'somebody else answers')
  t.strictSame(led([], { insideLocal: true }), [[key, 'refuse', '', '']])
  t.strictSame(rules([here, there]).hairpins, ['10.42.0.7'])
})

t.test('load balancers that only some clients may use', async t => {
  const [here, there] = [endpoint(7, 'h1'), endpoint(8, 'h2')]
  const guarded = {
    guardedAddresses: ['198.51.100.2'],
    sourceRanges: ['192.0.2.0/24', 'fd00::/8', '203.0.113.7/32'],
  }
  t.strictSame(led([here, there], guarded).slice(1), [['198.51.100.2 . tcp . 80', 'guard_HASH', '7,8', '']])
  const [, front] = rules([here, there], guarded).fronts
  t.strictSame(front?.chain.rules, [
    'ip saddr 192.0.2.0/24 goto hidden_spread_2',
    'ip saddr 203.0.113.7/32 goto hidden_spread_2',
    'drop',
  ])
  const nobody = rules([here], { ...guarded, sourceRanges: ['fd00::/8'] }).fronts[1]
  t.strictSame(nobody?.chain.rules, ['drop'], 'blocks of another family let nobody in')
  const both = { ...guarded, externalAddresses: ['198.51.100.2'] }
  t.equal(led([here], both).length, 2, 'an external address is open to all')
  const table = new ProxyTable(HOST.podBlock)
  table.update(new Map([['shop/web', rules([here], guarded)]]))
  const change = table.update(
    new Map([['shop/web', rules([here], { ...guarded, sourceRanges: ['192.0.2.1/32'] })]]),
  )
  t.match(
    change,
    /add rule ip drover_services guard_[0-9a-f]+ ip saddr 192\.0\.2\.1\/32 goto hidden_spread_1/,
  )
  t.match(change, /delete chain ip drover_services guard_/)
  t.notMatch(change, /element ip drover_services endpoints/, 'endpoints stay as they are')
})

t.test('clients that are led to their own host if it has endpoints', async t => {
  const [here, there] = [endpoint(7, 'h1'), endpoint(8, 'h2')]
  const key = '10.43.0.9 . tcp . 80'
  const near = { prefersOwnHost: true }
  t.strictSame(led([here, there], near), [[key, 'spread_1', '7', '']])
  t.strictSame(led([there], near), [[key, 'spread_1', '8', '']])
  t.strictSame(led([endpoint(7, 'h1', 'draining'), there], near), [[key, 'spread_1', '8', '']])
})

t.test('clients that are led to their own zone if it has endpoints', async t => {
  const key = '10.43.0.9 . tcp . 80'
  const east: Endpoint = { ...endpoint(7, 'h1'), zones: ['east'] }
  const west: Endpoint = { ...endpoint(8, 'h2'), zones: ['west'] }
  const ledFrom = (zone: string | undefined, ...endpoints: Endpoint[]) =>
    led(endpoints, {}, undefined, zone).map(([, , targets]) => targets)
  t.strictSame(led([east, west], {}, undefined, 'west'), [[key, 'spread_1', '8', '']])
  t.strictSame(ledFrom(undefined, east, west), ['7,8'], 'who has none is led everywhere')
  t.strictSame(ledFrom('north', east, west), ['7,8'], 'and so is who has none there')
  t.strictSame(ledFrom('west', east, west, endpoint(9, 'h3')), ['7,8,9'], 'one of them says nothing')
  t.strictSame(ledFrom('west', east, { ...west, ready: false }), ['7'], 'those of the zone are not ready')
  t.strictSame(ledFrom('west', east, west, endpoint(9, 'h3', 'unready')), ['8'], 'those who need say nothing')
  t.strictSame(
    led([east, west], { prefersOwnHost: true }, undefined, 'west'),
    [[key, 'spread_1', '7', '']],
    'the own host comes first',
  )
})

t.test('how many endpoints a host has', async t => {
  const endpoints = [endpoint(7, 'h1'), endpoint(8, 'h2'), endpoint(9, 'h1', 'draining')]
  const slice = { endpoints, ports: [] }
  t.equal(readyOnHost([slice, slice], HOST), 1, 'each once')
  t.equal(readyOnHost([slice], { node: 'h3' }), 0)
})

t.test('from outside', async t => {
  const [here, there] = [endpoint(7, 'h1'), endpoint(8, 'h2')]
  const external = { externalAddresses: ['198.51.100.1'] }
  t.strictSame(led([here, there], external, 30_080).slice(1), [
    ['198.51.100.1 . tcp . 80', 'hidden_spread_2', '7,8', ''],
    ['tcp . 30080', 'hidden_port_spread_2', '7,8', ''],
  ])
  t.strictSame(
    led([here], { externalAddresses: ['169.254.169.250', '127.0.0.1', 'fd00::1'] }).length,
    1,
    'what is the own host of everybody, nobody gets',
  )
  t.strictSame(led([here, there], { outsideLocal: true }, 30_080), [
    ['10.43.0.9 . tcp . 80', 'spread_2', '7,8', ''],
    ['tcp . 30080', 'edge_HASH', '7,8', '7'],
  ])
  const [, edge] = rules([there], { outsideLocal: true }, 30_080).fronts
  t.match(edge?.chain.rules, [
    'ip saddr 10.42.0.0/16 goto port_spread_1',
    'fib saddr type local goto hidden_port_spread_1',
    'goto discard',
  ])
  t.strictSame(led([], { outsideLocal: true }, 30_080)[1], ['tcp . 30080', 'refuse', '', ''])
})

t.test('clients that stay', async t => {
  const both = rules([endpoint(7, 'h1'), endpoint(8, 'h2')], { affinity: 60 }).fronts[0]?.chain
  t.match(both?.rules, [
    /^ip saddr @stay_\w+ goto stay_/,
    /^ip saddr @stay_\w+ goto stay_/,
    /^numgen random mod 2 vmap \{ 0 : goto stay_\w+, 1 : goto stay_\w+ \}$/,
  ])
  const one = rules([endpoint(8, 'h2')], { affinity: 60 }).fronts[0]?.chain
  t.equal(one?.name, both?.name)
  t.equal(one?.uses?.[0]?.name, both?.uses?.[1]?.name, 'who stays keeps its clients')
  t.match([...(one?.uses?.[0]?.sets?.values() ?? [])], [/timeout 60s/])
  t.not(rules([endpoint(8, 'h2')], { affinity: 61 }).fronts[0]?.chain.name, one?.name)
})

t.test('ports by name and protocol', async t => {
  const wanted = service({
    ports: [
      { name: 'dns', protocol: 'udp', port: 53, nodePort: 30_053 },
      { name: 'dns-tcp', protocol: 'tcp', port: 53 },
    ],
  })
  const slices: ProxySlice[] = [
    { endpoints: [endpoint(7, 'h1')], ports: [{ name: 'dns', protocol: 'udp', port: 5353 }] },
    { endpoints: [endpoint(8, 'h1')], ports: [{ name: 'dns-tcp', protocol: 'udp', port: 53 }] },
  ]
  const { fronts, udp } = rulesOfService(wanted, slices, HOST)
  t.strictSame(
    fronts.map(({ key, targets }) => [key, ...targets]),
    [
      ['10.43.0.9 . udp . 53', '10.42.0.7 . 5353'],
      ['udp . 30053', '10.42.0.7 . 5353'],
      ['10.43.0.9 . tcp . 53'],
    ],
  )
  t.strictSame(udp, [
    { address: '10.43.0.9', port: 53, endpoints: new Set(['10.42.0.7:5353']) },
    { address: undefined, port: 30_053, endpoints: new Set(['10.42.0.7:5353']) },
  ])
})

t.test('a change says what changes, and nothing else', async t => {
  const table = new ProxyTable(HOST.podBlock)
  const set = (name: string, value: ReturnType<typeof rules> | undefined) =>
    table
      .update(new Map([[name, value]]))
      .split('\n')
      .filter(line => line !== '')
      .map(line => line.replaceAll('ip drover_services ', ''))
  t.equal(set('a', rules([endpoint(7, 'h2'), endpoint(8, 'h2')])).length, 5)
  t.strictSame(set('a', rules([endpoint(7, 'h2'), endpoint(8, 'h2')])), [])
  t.strictSame(set('a', rules([endpoint(7, 'h2'), endpoint(9, 'h2')])), [
    'delete element endpoints { 10.43.0.9 . tcp . 80 . 1 }',
    'add element endpoints { 10.43.0.9 . tcp . 80 . 1 : 10.42.0.9 . 8080 }',
  ])
  t.strictSame(set('b', rules([endpoint(1, 'h2')])), [], 'who comes second waits')
  t.match(set('a', undefined), [
    'delete element addresses { 10.43.0.9 . tcp . 80 }',
    /^delete element endpoints \{ .* 0, .* 1 \}$/,
    'add chain spread_1',
    /^add rule spread_1 /,
    /^add rule spread_1 /,
    'add element addresses { 10.43.0.9 . tcp . 80 : goto spread_1 }',
    'add element endpoints { 10.43.0.9 . tcp . 80 . 0 : 10.42.0.1 . 8080 }',
    'flush chain spread_2',
    'delete chain spread_2',
  ])
  t.equal(table.hasLocalEndpoints, false)
  set('b', rules([endpoint(1, 'h1')]))
  t.equal(table.hasLocalEndpoints, true)
  set('b', undefined)
  t.equal(table.hasLocalEndpoints, false)
  t.equal(table.size, 0)
})

t.test('what a service gives up goes to who waits, changed in the same step', async t => {
  for (const order of [
    ['a', 'b'],
    ['b', 'a'],
  ]) {
    const table = new ProxyTable(HOST.podBlock)
    table.update(new Map([['a', rules([endpoint(6, 'h2'), endpoint(7, 'h2')])]]))
    table.update(new Map([['b', rules([endpoint(8, 'h2')])]]))
    const next = new Map([
      ['a', undefined],
      ['b', rules([endpoint(9, 'h2')])],
    ])
    const statements = table.update(new Map(order.map(name => [name, next.get(name)])))
    t.match(statements, 'add element ip drover_services addresses { 10.43.0.9 . tcp . 80 : goto spread_1 }')
    t.match(statements, 'endpoints { 10.43.0.9 . tcp . 80 . 0 : 10.42.0.9 . 8080 }')
    t.notMatch(table.update(new Map([['b', undefined]])), /^add /m, 'nobody waits any more')
    t.equal(table.size, 0)
  }
})
