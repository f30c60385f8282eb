/** Three hosts and every way between them, before and after whatever may happen to a host. */
import type { Test } from 'tap'
import { DATA, until } from '../../lab/fleet.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'
import { NetworkFleet } from './matrix.ts'

const LAUNCHER = './drover'

/** Starts the agent of a host that is a member already. */
export function startAgent(host: VirtualHost, address = host.address): void {
  host.start(LAUNCHER, ['agent', '--address', address], 'agent')
}

/** The link that has an address: the uplink, or the bridge in its place. */
async function linkOf(host: VirtualHost, address: string): Promise<string> {
  const { stdout } = await host.run('ip', ['-o', '-4', 'address', 'show', 'to', `${address}/32`])
  return stdout.split(/\s+/)[1] ?? ''
}

/** Ends the agent of a host, and waits until the server knows: what it tells of the network is the next one's then. */
export async function killAgent(world: NetworkFleet, host: VirtualHost): Promise<void> {
  await host.run('busybox', ['kill', '-9', await world.agentPid(host)])
  await until(`the server misses the agent of ${host.name}`, 20_000, async () =>
    (await world.fleet.list('hosts')).some(
      ({ hostname, network }) => hostname === host.name && network === null,
    ),
  )
}

type Event = readonly [what: string, happen: (world: NetworkFleet) => Promise<void>]

const h = (world: NetworkFleet, number: number) => world.fleet.host(number)

/** How many rules of both families lead through chains of ours. */
async function ourRules(host: VirtualHost): Promise<number> {
  const outputs = [await host.run('iptables-save', []), await host.run('ip6tables-save', [])]
  return outputs.flatMap(({ stdout }) => stdout.match(/^-A .*CATTLE_.*/gm) ?? []).length
}

const EVENTS: readonly Event[] = [
  [
    'an agent was killed and came back',
    async world => {
      await killAgent(world, h(world, 2))
      startAgent(h(world, 2))
    },
  ],
  [
    'Docker was restarted',
    async world => {
      await h(world, 2).stopDocker()
      await h(world, 2).startDocker()
    },
  ],
  [
    'every rule was flushed',
    async world => {
      const host = h(world, 3)
      const before = await ourRules(host)
      for (const program of ['iptables', 'ip6tables']) {
        for (const table of ['filter', 'nat', 'raw']) await host.run(program, ['-t', table, '-F'])
      }
      await until('they are back', 20_000, async () => (await ourRules(host)) === before)
    },
  ],
  [
    'the uplink went down and up',
    async world => {
      await h(world, 3).run('ip', ['link', 'set', 'eth0', 'down'])
      await h(world, 3).run('ip', ['link', 'set', 'eth0', 'up'])
    },
  ],
  [
    'a host lost its power',
    async world => {
      const again = await world.fleet.lab.reboot(h(world, 3), 3)
      startAgent(again)
    },
  ],
  [
    'a host got another address',
    async world => {
      const host = h(world, 3)
      const before = world.addressOf(host)
      const after = before === '192.0.2.3' ? '192.0.2.33' : '192.0.2.3'
      const link = await linkOf(host, before)
      await killAgent(world, host)
      await host.run('ip', ['addr', 'del', `${before}/24`, 'dev', link])
      await host.run('ip', ['addr', 'add', `${after}/24`, 'dev', link])
      world.addresses.set(host.name, after)
      startAgent(host, after)
      await until('the server knows', 30_000, async () =>
        (await world.fleet.list('hosts')).some(({ agentIpAddress }) => agentIpAddress === after),
      )
    },
  ],
]

/** What a kind leaves on a host, by which it is found out that nothing of it is left. */
const TRACES: Readonly<Record<string, RegExp>> = {
  vxlan: /vtep1042|DROVER_VXLAN_PEERS/,
  routed: /^10\.42\.\S+ via 192\.0\.2\.\d+ dev eth0|RANCHER_DISABLE_HOST_NAT_IPSET|DROVER_ROUTED_HOSTS/m,
  ipsec: /ipsec0|ipsec-drover|charon/,
  flat: /flatbr0|flatmv0|drover_flat/,
}

export async function traces(host: VirtualHost): Promise<string> {
  const outputs = [
    await host.run('ip', ['-o', 'link']),
    await host.run('ip', ['route']),
    await host.run('ipset', ['list', '-n']),
    await host.run('iptables-save', []),
    await host.run('nft', ['list', 'tables']),
    await host.run('ip6tables-save', []),
    await host.run('ip', ['-6', 'neighbour', 'show', 'nud', 'permanent']),
    await host.run('ip', ['-6', 'route', 'show', 'table', 'all']),
  ]
  return outputs.map(({ stdout }) => stdout).join('\n')
}

/** Options of a network, as `drover network set` takes them. */
export type NetworkOptions = Parameters<NetworkFleet['choose']>[1]

/** Chosen on hosts that have another kind: everybody reaches everybody, and nothing of any other kind is left. */
export async function testChoice(
  t: Test,
  world: NetworkFleet,
  kind: string,
  options: NetworkOptions,
): Promise<void> {
  await world.choose(kind, options)
  t.strictSame(await world.failures(), [])
  for (const host of world.members) {
    const found = await traces(host)
    for (const [other, trace] of Object.entries(TRACES)) {
      if (other !== kind) t.notMatch(found, trace, `nothing of ${other} on ${host.name}`)
    }
  }
}

/** Whatever may happen to a host, one after the other. @param check further promises of the kind */
export async function testEvents(
  t: Test,
  world: NetworkFleet,
  check: (t: Test) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  for (const [what, happen] of EVENTS) {
    await t.test(what, async t => {
      await happen(world)
      t.strictSame(await world.failures(), [])
      await check(t)
    })
  }
}

/** Ends the agent of a host and removes it: nothing is left there. */
export async function testRemoval(t: Test, world: NetworkFleet, number: number): Promise<void> {
  const host = h(world, number)
  const pid = await world.agentPid(host)
  await host.run('busybox', ['kill', pid])
  await until('its agent ended', 20_000, async () => {
    const { exitCode } = await host.run('busybox', ['kill', '-0', pid], { acceptedExitCodes: [0, 1] })
    return exitCode === 1
  })
  await host.run(LAUNCHER, ['agent', '--uninstall'], { deadline: 60_000 })
  const ours = /vtep1042|DROVER_|RANCHER_|CATTLE_|drover|vethr|ipsec|flatbr0|flatmv0/
  t.notMatch(await traces(host), ours)
  // Of a host that never had another one.
  const liberal = ['-n', 'net.netfilter.nf_conntrack_tcp_be_liberal']
  t.equal((await host.run('sysctl', liberal)).stdout.trim(), '0')
  t.equal((await host.run('find', [`${DATA}/agent`], { acceptedExitCodes: [0, 1] })).stdout.trim(), '')
}

/**
 * The whole life of a network of one kind, from choosing it to leaving nothing of it.
 *
 * @param further what else the kind can do
 */
export async function testNetwork(
  t: Test,
  name: string,
  kind: string,
  options: NetworkOptions,
  further: (t: Test, world: NetworkFleet) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const world = await NetworkFleet.start(t, name)
  await t.test('chosen', t => testChoice(t, world, kind, options))
  await testEvents(t, world)
  await further(t, world)
  await t.test('another kind, and nothing at all at the end', async t => {
    const other = kind === 'vxlan' ? 'routed' : 'vxlan'
    await testChoice(t, world, other, other === 'routed' ? { routed: { provider: 'hostgw' } } : {})
    await testRemoval(t, world, 3)
  })
}
