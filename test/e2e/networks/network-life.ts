/** Three hosts and every way between them, before and after whatever may happen to a host. */
import type { Test } from 'tap'
import { DATA, until } from '../../lab/fleet.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'
import { NetworkFleet } from './matrix.ts'

const LAUNCHER = './drover'

/** Starts the agent of a host that is a member already. */
function startAgent(host: VirtualHost, address = host.address): void {
  host.start(LAUNCHER, ['agent', '--address', address], 'agent')
}

async function killAgent(world: NetworkFleet, host: VirtualHost): Promise<void> {
  await host.run('busybox', ['kill', '-9', await world.agentPid(host)])
}

type Event = readonly [what: string, happen: (world: NetworkFleet) => Promise<void>]

const h = (world: NetworkFleet, number: number) => world.fleet.host(number)

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
      for (const table of ['filter', 'nat', 'raw']) await h(world, 3).run('iptables', ['-t', table, '-F'])
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
      await killAgent(world, host)
      await host.run('ip', ['addr', 'del', `${before}/24`, 'dev', 'eth0'])
      await host.run('ip', ['addr', 'add', `${after}/24`, 'dev', 'eth0'])
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
  routed: /via 192\.0\.2\.\d+ dev eth0|RANCHER_DISABLE_HOST_NAT_IPSET|DROVER_ROUTED_HOSTS/,
  ipsec: /ipsec0|ipsec-drover|charon/,
}

async function traces(host: VirtualHost): Promise<string> {
  const outputs = [
    await host.run('ip', ['-o', 'link']),
    await host.run('ip', ['route']),
    await host.run('ipset', ['list', '-n']),
    await host.run('iptables-save', []),
  ]
  return outputs.map(({ stdout }) => stdout).join('\n')
}

/** The whole life of a network of one kind, from choosing it to leaving nothing of it. */
export async function testNetwork(t: Test, name: string, kind: string, options: object): Promise<void> {
  const world = await NetworkFleet.start(t, name)
  await t.test('chosen', async t => {
    await world.choose(kind, options)
    t.strictSame(await world.failures(), [])
    for (const [other, trace] of Object.entries(TRACES)) {
      if (other === kind) continue
      for (const host of world.fleet.lab.hosts) {
        if (host !== world.outside)
          t.notMatch(await traces(host), trace, `nothing of ${other} on ${host.name}`)
      }
    }
  })
  for (const [what, happen] of EVENTS) {
    await t.test(what, async t => {
      await happen(world)
      t.strictSame(await world.failures(), [])
    })
  }
  await t.test('another kind, and nothing at all at the end', async t => {
    await world.choose(kind === 'vxlan' ? 'routed' : 'vxlan', { routed: { provider: 'hostgw' } })
    t.strictSame(await world.failures(), [])
    for (const host of world.fleet.lab.hosts) {
      if (host === world.outside) continue
      const trace = TRACES[kind]
      if (trace !== undefined) t.notMatch(await traces(host), trace, `nothing of ${kind} on ${host.name}`)
    }
    const host = h(world, 3)
    const pid = await world.agentPid(host)
    await host.run('busybox', ['kill', pid])
    await until('its agent ended', 20_000, async () => {
      const { exitCode } = await host.run('busybox', ['kill', '-0', pid], { acceptedExitCodes: [0, 1] })
      return exitCode === 1
    })
    await host.run(LAUNCHER, ['agent', '--uninstall'])
    t.notMatch(await traces(host), /vtep1042|DROVER_|RANCHER_|CATTLE_|drover0|vethr|ipsec/)
    t.equal((await host.run('find', [`${DATA}/agent`], { acceptedExitCodes: [0, 1] })).stdout.trim(), '')
  })
}
