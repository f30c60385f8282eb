/** The parts of the host network that only think: settings, requested ports, rules, events. */
import t from 'tap'
import { requestedAddress } from '../../../../agent/network/address-source.ts'
import {
  ANY_ADDRESS,
  countingAddress6,
  describePort,
  requestedPorts,
  sourcesOf,
} from '../../../../agent/network/attachment.ts'
import { describeAttachment, resultOf } from '../../../../agent/network/attachment-result.ts'
import { firewallRules, publicationsOf } from '../../../../agent/network/firewall-rules.ts'
import { firewallRules6 } from '../../../../agent/network/firewall-rules6.ts'
import { isDockerBridge, needsAttention } from '../../../../agent/network/kernel-watch.ts'
import { type NetworkSettings, planOf } from '../../../../agent/network/settings.ts'
import { formatIpv4Block, requireIpv6Prefix } from '../../../../kit/index.ts'
import { NO_RULES } from '../../../../netplugins/iptables/index.ts'
import type { Link } from '../../../../netplugins/netlink/index.ts'
import { NO_OVERLAY_RULES } from '../../../../netplugins/overlay/index.ts'

const SETTINGS: NetworkSettings = {
  clusterBlock: '10.42.0.0/16',
  blocks: ['10.42.0.64/26'],
  metadata: { address: '169.254.169.250', httpPort: 9346, dnsPort: 53 },
}

t.test('what follows from settings', async t => {
  t.strictSame(planOf(SETTINGS).bridge, {
    gateway: '10.42.0.1',
    prefixLength: 16,
    mac: '02:d0:0a:2a:00:01',
    mtu: 1500,
  })
  t.throws(() => planOf({ ...SETTINGS, clusterBlock: '10.42.0.1/16' }), {
    code: 'InvalidFormat',
    message: /10\.42\.0\.1\/16/,
  })
  t.throws(() => planOf({ ...SETTINGS, blocks: ['10.43.0.0/26'] }), {
    code: 'InvalidFormat',
    message: /10\.43\.0\.0\/26.*outside/,
  })
  t.throws(() => planOf({ ...SETTINGS, blocks: ['10.0.0.0/8'] }), { code: 'InvalidFormat' })
  const network = { kind: 'vxlan', options: { mtu: 9 }, hostPorts: true } as const
  t.throws(() => planOf({ ...SETTINGS, network }), { code: 'InvalidFormat', message: /mtu/ })
  t.equal(planOf(SETTINGS, { uplinkMtu: 1450, overhead: 50, dualStack: false }).bridge.mtu, 1400)
})

t.test("on the hosts' own network", async t => {
  const flat = {
    ...{ interface: 'eth0', subnet: '192.0.2.0/24', gateway: '192.0.2.254' },
    ...{ rangeStart: '192.0.2.100', rangeEnd: '192.0.2.103' },
    ...{ mode: 'bridge' as const, dhcp: false },
  }
  const settings = (options: object) => ({
    ...SETTINGS,
    network: { kind: 'flat' as const, options, hostPorts: true },
  })
  const plan = planOf(settings({ flat }))
  t.strictSame(
    { subnet: formatIpv4Block(plan.subnet), blocks: plan.blocks.map(formatIpv4Block) },
    { subnet: '192.0.2.0/24', blocks: ['192.0.2.100/30'] },
  )
  t.throws(() => planOf(settings({})), { code: 'InvalidFormat', message: /network/ })
  t.throws(() => planOf(settings({ flat: { ...flat, rangeEnd: '192.0.2.99' } })), { code: 'InvalidFormat' })

  const input = { plan, bridgeName: 'drover0', attachments: [], dockerBridges: [], flatLink: 'flatbr0' }
  t.ok(
    firewallRules(input).filter.chains.get('CATTLE_METADATA')?.includes('-i flatbr0 -j RETURN'),
    'containers there reach metadata',
  )

  const cni = { ...request([]), containerId: 'c2' }
  const attachment = describeAttachment(cni, plan, { address: '192.0.2.100', ports: [] })
  const place = { bridgeName: 'drover0', mtu: 1500 }
  t.match(resultOf(attachment, plan, place), {
    interfaces: [{ name: 'flatbr0' }, { name: attachment.hostInterface }, { name: 'eth0', mtu: 1500 }],
    ips: [{ address: '192.0.2.100/24', gateway: '192.0.2.254', interface: 2 }],
    routes: [{ dst: '0.0.0.0/0', gw: '192.0.2.254' }],
  })
  t.equal(sourcesOf(attachment, plan.bridge.mac).length, 1)

  const byServer = planOf(settings({ flat: { ...flat, mode: 'macvlan', dhcp: true } }))
  const waiting = describeAttachment(cni, byServer, { address: ANY_ADDRESS, ports: [] })
  t.match(waiting.mac, /^06:/)
  t.equal(sourcesOf(waiting, plan.bridge.mac).length, 1)
  const leased = { ...waiting, address: '192.0.2.7' }
  t.strictSame(
    sourcesOf(leased, plan.bridge.mac).map(({ address }) => address),
    ['192.0.2.7', '0.0.0.0'],
    'so that it can be renewed',
  )
  t.match(resultOf(leased, byServer, place), { ips: [{ address: '192.0.2.7/24', interface: 0 }] })
})

function request(portMappings: Parameters<typeof requestedPorts>[0]['portMappings']) {
  return {
    networkName: 'drover',
    containerId: 'c1',
    interfaceName: 'eth0',
    namespace: '/run/netns/c1',
    addresses: [],
    mac: undefined,
    mtuOverhead: 0,
    bandwidth: undefined,
    pod: undefined,
    previousResult: undefined,
    portMappings,
  }
}

t.test('requested ports', async t => {
  const any = { hostPort: 80, containerPort: 8080 }
  t.strictSame(
    requestedPorts(
      request([
        any,
        { ...any, protocol: 'TCP', hostIP: '' },
        { ...any, protocol: 'udp', hostIP: '192.0.2.1' },
      ]),
    ),
    [
      { bindAddress: '0.0.0.0', hostPort: 80, containerPort: 8080, protocol: 'tcp' },
      { bindAddress: '192.0.2.1', hostPort: 80, containerPort: 8080, protocol: 'udp' },
    ],
  )
  t.strictSame(
    requestedPorts(
      request([
        { ...any, hostIP: '2001:DB8:0::1' },
        { ...any, hostIP: '::' },
      ]),
    ).map(describePort),
    ['port [2001:db8::1]:80/tcp', 'port [::]:80/tcp'],
  )
  t.strictSame(
    publicationsOf([{ address: '10.42.0.9', ports: requestedPorts(request([{ ...any, hostIP: '::1' }])) }]),
    [],
  )
  for (const bad of [
    { protocol: 'sctp' },
    { hostIP: '::ffff:192.0.2.1' },
    { hostIP: 'fe80::1%eth0' },
    { hostIP: '192.0.2' },
    { hostIP: '169.254.169.250' },
  ]) {
    t.throws(() => requestedPorts(request([{ ...any, ...bad }])), {
      code: 'UnsupportedCniField',
      message: /80/,
    })
  }
  t.throws(() => requestedPorts(request([any, { ...any, containerPort: 81 }])), {
    code: 'UnsupportedCniField',
    message: /both 8080 and 81/,
  })
})

t.test('rules for one published port', async t => {
  const attachment = {
    networkName: 'drover',
    containerId: 'c1',
    interfaceName: 'eth0',
    namespace: '/run/netns/c1',
    address: '10.42.0.66',
    mac: '02:d0:0a:2a:00:42',
    hostInterface: 'vethr1',
    ports: [
      { bindAddress: '0.0.0.0', hostPort: 80, containerPort: 8080, protocol: 'tcp' as const },
      { bindAddress: '127.0.0.1', hostPort: 81, containerPort: 8080, protocol: 'tcp' as const },
    ],
  }
  const { raw, nat, filter } = firewallRules({
    plan: planOf(SETTINGS),
    bridgeName: 'drover0',
    attachments: [attachment],
    dockerBridges: ['br-0123456789ab'],
  })
  t.strictSame(raw, NO_RULES.raw, 'established connections between containers pass no rule there')
  t.strictSame(filter.chains.get('CATTLE_INPUT'), ['-d 169.254.169.250/32 -g CATTLE_METADATA'])
  t.strictSame(filter.chains.get('CATTLE_METADATA'), [
    '-i drover0 -j RETURN',
    '-i docker0 -j RETURN',
    '-i br-0123456789ab -j RETURN',
    '-i lo -j RETURN',
    '-j DROP',
  ])
  t.strictSame(nat.chains.get('CATTLE_PREROUTING'), [
    '-d 169.254.169.250/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 169.254.169.250:9346',
    '-d 169.254.169.250/32 -j RETURN',
    '-p tcp -m tcp --dport 80 -j MARK --set-xmark 0x1068/0xffffffff',
    '-p tcp -m tcp --dport 80 -j DNAT --to-destination 10.42.0.66:8080',
  ])
  t.equal(
    nat.chains.get('CATTLE_OUTPUT')?.at(-1),
    '! -d 127.0.0.0/8 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.42.0.66:8080',
  )
  t.strictSame(nat.chains.get('CATTLE_HOSTPORTS_POSTROUTING'), [
    '-s 10.42.0.0/16 -d 10.42.0.66/32 -p tcp -m tcp --dport 8080 -m conntrack --ctstate DNAT -j MASQUERADE',
  ])
  t.equal(nat.chains.get('CATTLE_NAT_POSTROUTING')?.at(-1), '-s 10.42.0.0/16 ! -o drover0 -j MASQUERADE')
  t.strictSame(
    filter.jumps.map(jump => jump.rule),
    ['-j CATTLE_INPUT', '-j CATTLE_USER', '-j CATTLE_FORWARD'],
  )
})

t.test('the rules of IPv6', async t => {
  const input = {
    prefix: requireIpv6Prefix('fd42::/96', 'prefix'),
    clusterBlock: SETTINGS.clusterBlock,
    bridgeName: 'drover0',
    forwardsOurs: true,
    policy: new Map(),
    overlay: { ...NO_OVERLAY_RULES, forward: ['-i vtep1042 -j DROP'] },
  }
  const { nat, filter } = firewallRules6(input)
  t.strictSame(nat.chains.get('CATTLE_NAT_POSTROUTING'), [
    '-s fd42::a2a:0/112 -d fd42::a2a:0/112 -j RETURN',
    '-s fd42::a2a:0/112 ! -o drover0 -j MASQUERADE',
  ])
  t.strictSame(filter.chains.get('CATTLE_FORWARD'), [
    '-i vtep1042 -j DROP',
    '-i drover0 -j ACCEPT',
    '-o drover0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    '-o drover0 -j DROP',
    '-j DROP',
  ])
  const asRouter = firewallRules6({ ...input, forwardsOurs: false }).filter.chains.get('CATTLE_FORWARD')
  t.equal(asRouter?.at(-1), '-o drover0 -j DROP', 'what a router does for others is not ours to stop')
  const policy = new Map([['CATTLE_NETWORK_POLICY', ['-j DROP']]])
  t.strictSame(
    firewallRules6({ ...input, policy }).filter.jumps.map(jump => jump.rule),
    ['-j CATTLE_INPUT', '-j CATTLE_USER', '-j CATTLE_NETWORK_POLICY', '-j CATTLE_FORWARD'],
  )
})

t.test('two families of addresses', async t => {
  const options = { ipv6Prefix: 'fd42::/96' }
  const settings: NetworkSettings = {
    ...SETTINGS,
    network: { kind: 'vxlan', options, hostPorts: true },
  }
  const facts = { uplinkMtu: 1500, overhead: 50, dualStack: true }
  t.notOk(planOf(settings).ipv6Prefix, 'the host has not been looked at')
  t.notOk(planOf(settings, { ...facts, uplinkMtu: 1300 }).ipv6Prefix, 'IPv6 needs packets of 1280 bytes')
  const plan = planOf(settings, facts)
  t.strictSame(plan.bridge.ipv6, { address: 'fd42::a2a:1', prefixLength: 112 })
  t.throws(
    () =>
      planOf({
        ...settings,
        network: { kind: 'vxlan', options: { ipv6Prefix: 'fd42::/64' }, hostPorts: true },
      }),
    {
      code: 'InvalidFormat',
    },
  )

  const attachment = describeAttachment(request([]), plan, { address: '10.42.0.66', ports: [] })
  t.equal(attachment.address6, 'fd42::a2a:42')
  const small = { ...request([]), mtuOverhead: 200 }
  t.equal(describeAttachment(small, plan, { address: '10.42.0.66', ports: [] }).address6, undefined)
  const { ips, routes } = resultOf(attachment, plan, { bridgeName: 'drover0', mtu: 1450 })
  t.strictSame(ips, [
    { address: '10.42.0.66/16', gateway: '10.42.0.1', interface: 2 },
    { address: 'fd42::a2a:42/128', gateway: 'fd42::a2a:1', interface: 2 },
  ])
  t.strictSame(routes, [
    { dst: '0.0.0.0/0', gw: '10.42.0.1' },
    { dst: '::/0', gw: 'fd42::a2a:1' },
  ])
  t.strictSame(sourcesOf(attachment, plan.bridge.mac).at(-1), {
    link: attachment.hostInterface,
    mac: attachment.mac,
    address: 'fd42::a2a:42',
    gatewayMac: '02:d0:0a:2a:00:01',
  })
  const other = requireIpv6Prefix('fd43::/96', 'prefix')
  t.equal(countingAddress6(attachment, plan.ipv6Prefix), 'fd42::a2a:42')
  t.equal(countingAddress6(attachment, other), undefined)
  t.equal(countingAddress6(attachment, undefined), undefined)
})

t.test('addresses that are asked for', async t => {
  const prefix = requireIpv6Prefix('fd42::/96', 'prefix')
  t.equal(requestedAddress([], prefix), undefined)
  t.equal(requestedAddress(['10.42.0.66/16'], undefined), '10.42.0.66')
  t.equal(requestedAddress(['fd42:0::a2a:42/128', '10.42.0.66'], prefix), '10.42.0.66')
  const refused: [string[], typeof prefix | undefined, RegExp][] = [
    [['10.42.0.66', '10.42.0.67'], prefix, /several addresses/],
    [['fd42::a2a:42'], prefix, /IPv6 address alone/],
    [['nonsense', 'fd42::a2a:42'], prefix, /IPv6 address alone/],
    [['10.42.0.66', 'fd42::a2a:43'], prefix, /does not go with 10\.42\.0\.66/],
    [['10.42.0.66', 'fd42::a2a:42'], undefined, /asks for an IPv6 address/],
  ]
  for (const [addresses, known, message] of refused) {
    t.throws(() => requestedAddress(addresses, known), { code: 'UnsupportedCniField', message })
  }
})

t.test('which events matter', async t => {
  const state = {
    bridgeName: 'drover0',
    bridge: planOf(SETTINGS).bridge,
    dockerBridges: ['br-0123456789ab'],
    isSettled: (name: string) => name === 'vethrsettled',
  }
  const bridge: Link = {
    index: 5,
    name: 'drover0',
    kind: 'bridge',
    hairpin: false,
    mac: '02:d0:0a:2a:00:01',
    mtu: 1500,
    master: undefined,
    up: true,
    promiscuous: false,
    group: 0,
    parent: undefined,
  }
  const veth: Link = { ...bridge, index: 6, name: 'vethrsettled', kind: 'veth', master: 5 }
  const cases: [string, Link, boolean, boolean][] = [
    ['bridge as it should be', bridge, false, false],
    ['bridge gone', bridge, true, true],
    ['bridge down', { ...bridge, up: false }, false, true],
    ['bridge with another MTU', { ...bridge, mtu: 1400 }, false, true],
    ['container link in place', veth, false, false],
    ['container link gone', veth, true, true],
    ['container link off the bridge', { ...veth, master: undefined }, false, true],
    ['container link being made', { ...veth, name: 'vethrother', master: undefined }, false, false],
    ['new Docker network', { ...bridge, name: 'br-ffffffffffff' }, false, true],
    ['known Docker network', { ...bridge, name: 'br-0123456789ab' }, false, false],
    ['Docker network gone', { ...bridge, name: 'br-0123456789ab' }, true, true],
    ["somebody's bridge", { ...bridge, name: 'br-lan' }, false, false],
  ]
  for (const [what, link, removed, expected] of cases) {
    t.equal(needsAttention({ kind: 'link', link, removed }, state), expected, what)
  }
  t.ok(needsAttention({ kind: 'lost' }, state))
  t.notOk(isDockerBridge({ name: 'br-0123456789ab', kind: 'veth' }))
})
