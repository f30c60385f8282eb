/** Which peers can be served, and what hosts say by labels. */
import t from 'tap'
import {
  hostAddressOf,
  type OverlayState,
  type Peer,
  selectPeers,
  statesOfPeers,
} from '../../../../netplugins/overlay/index.ts'
import { perHostSubnet, routerRoutes } from '../../../../netplugins/routed/index.ts'

function peer(number: number, blocks: readonly string[], change: Partial<Peer> = {}): Peer {
  return {
    hostId: `1h${number}`,
    name: `host-${number}`,
    address: `192.0.2.${number}`,
    blocks,
    labels: {},
    ...change,
  }
}

function state(...peers: Peer[]): OverlayState {
  return {
    address: '192.0.2.1',
    clusterBlock: '10.42.0.0/16',
    blocks: ['10.42.0.0/26', '10.42.9.0/26'],
    bridgeName: 'drover0',
    gateway: '10.42.0.1',
    peers,
  }
}

const LABEL = 'io.rancher.network.per_host_subnet.'

t.test('peers that are as they should be', async t => {
  const peers = [peer(2, ['10.42.0.64/26']), peer(3, []), peer(4, ['10.42.1.0/26', '10.42.2.0/24'])]
  const { usable, problems } = selectPeers(state(...peers), true)
  t.strictSame(usable, peers)
  t.equal(problems.size, 0)
  t.match(statesOfPeers(peers, problems), [{ state: 'up' }, { state: 'up' }, { state: 'up' }])
})

t.test('of peers that want the same the first one counts', async t => {
  const overlaps: [string, string][] = [
    ['10.42.5.0/26', '10.42.5.0/26'],
    ['10.42.5.0/24', '10.42.5.64/26'],
    ['10.42.5.64/26', '10.42.5.0/24'],
    ['10.42.5.0/26', '10.42.0.0/16'],
  ]
  for (const [first, second] of overlaps) {
    const { usable, problems } = selectPeers(
      state(peer(2, [first]), peer(3, [second, '10.42.77.0/26'])),
      true,
    )
    t.strictSame(usable[0]?.blocks, [first], `${first} and ${second}`)
    t.strictSame(usable[1]?.blocks, ['10.42.77.0/26'])
    t.match(problems.get('1h3'), second)
  }
  const own = selectPeers(state(peer(2, ['10.42.9.32/27'])), true)
  t.match(own.problems.get('1h2'), /another host's/, "nobody gets this host's blocks")
  const address = selectPeers(state(peer(2, []), peer(3, [], { address: '192.0.2.2' }), peer(1, [])), true)
  t.strictSame([...address.problems.keys()], ['1h3', '1h1'])
})

t.test('nonsense', async t => {
  const peers = [
    peer(2, [], { address: '' }),
    peer(3, [], { address: '192.0.2.03' }),
    peer(4, ['10.42.5.1/26']),
    peer(5, ['x'.repeat(1000)]),
    peer(6, ['10.43.0.0/26']),
    peer(7, ['10.0.0.0/8']),
    peer(8, ['10.42.6.0/26']),
  ]
  const { usable, problems } = selectPeers(state(...peers), true)
  t.strictSame([...problems.keys()], ['1h2', '1h3', '1h4', '1h5', '1h6', '1h7'])
  t.strictSame(
    usable.flatMap(({ blocks }) => blocks),
    ['10.42.6.0/26'],
  )
  for (const problem of problems.values()) t.ok(problem.length < 100, problem)
  t.match(statesOfPeers(peers, problems).at(-1), { hostId: '1h8', state: 'up' })
  t.strictSame(selectPeers(state(peer(6, ['10.43.0.0/26'])), false).problems.size, 0)
})

t.test('the address of a host inside of the network', async t => {
  const cluster = '10.42.0.0/16'
  t.equal(hostAddressOf(cluster, []), undefined)
  t.equal(hostAddressOf(cluster, ['nonsense']), undefined)
  t.equal(hostAddressOf(cluster, ['10.42.7.64/26', '10.42.0.0/26']), '10.42.7.64')
  t.equal(hostAddressOf(cluster, ['10.42.0.0/26']), '10.42.0.2', 'after the network and the gateway')
  t.equal(hostAddressOf(cluster, ['10.42.0.0/31']), undefined)
  t.equal(hostAddressOf(cluster, ['10.42.0.1/32']), undefined)
  t.equal(hostAddressOf(cluster, ['10.42.255.255/32']), undefined)
})

t.test('subnets by label', async t => {
  const read = (labels: Record<string, string>) =>
    perHostSubnet(Object.fromEntries(Object.entries(labels).map(([name, value]) => [LABEL + name, value])))
  t.strictSame(read({}), { ok: true, value: { subnet: undefined, range: undefined, nextHop: undefined } })
  t.strictSame(read({ subnet: '172.20.5.0/24', override_agent_ip: ' 192.0.2.7 ' }), {
    ok: true,
    value: { subnet: '172.20.5.0/24', range: undefined, nextHop: '192.0.2.7' },
  })
  t.match(read({ subnet: '172.20.5.0/24', range_start: '172.20.5.100', range_end: '172.20.5.200' }), {
    value: { range: { start: '172.20.5.100', end: '172.20.5.200' } },
  })
  t.match(read({ subnet: '172.20.5.0/24', range_start: '172.20.5.100' }), {
    value: { range: { start: '172.20.5.100', end: '172.20.5.254' } },
  })
  const wrong: [Record<string, string>, string][] = [
    [{ subnet: '172.20.5.1/24' }, 'subnet'],
    [{ subnet: '0.0.0.0/0' }, 'subnet'],
    [{ override_agent_ip: 'host-7' }, 'override_agent_ip'],
    [{ subnet: '172.20.5.0/24', range_start: '172.20.6.1' }, 'range_start'],
    [{ subnet: '172.20.5.0/24', range_start: '172.20.5.9', range_end: '172.20.5.8' }, 'range_end'],
  ]
  for (const [labels, name] of wrong) t.match(read(labels), { ok: false, problem: new RegExp(LABEL + name) })
})

t.test('what to tell routers', async t => {
  const hosts = [
    peer(2, ['10.42.0.64/26', '10.42.3.0/26']),
    peer(3, ['10.42.1.0/26'], {
      labels: { [`${LABEL}subnet`]: '172.20.3.0/24', [`${LABEL}override_agent_ip`]: '198.51.100.3' },
    }),
    peer(4, ['10.42.2.0/26'], { labels: { [`${LABEL}subnet`]: 'x' } }),
  ]
  t.strictSame(routerRoutes(hosts), [
    { subnet: '10.42.0.64/26', nextHop: '192.0.2.2', host: 'host-2' },
    { subnet: '10.42.3.0/26', nextHop: '192.0.2.2', host: 'host-2' },
    { subnet: '172.20.3.0/24', nextHop: '198.51.100.3', host: 'host-3' },
  ])
})
