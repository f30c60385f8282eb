/** A running fleet moves to the hosts' own network and back: containers there are neighbours of everybody. */
import t, { type Test } from 'tap'
import { until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'
import { NetworkFleet } from './matrix.ts'
import { killAgent, startAgent, testChoice, testEvents, testRemoval } from './network-life.ts'

t.setTimeout(600_000)

const skip = inPrivateNetwork(import.meta.filename)

function flat(mode: 'bridge' | 'macvlan') {
  return {
    flat: {
      ...{ interface: 'eth0', subnet: '192.0.2.0/24', gateway: '192.0.2.254' },
      ...{ rangeStart: '192.0.2.100', rangeEnd: '192.0.2.200' },
      ...{ mode, dhcp: false },
    },
  }
}

/** Containers learn who they are, and find each other by name. @returns what did not work */
async function selfIgnorance({ fleet }: NetworkFleet): Promise<string[]> {
  const [containers, hosts] = await Promise.all([fleet.containers(), fleet.list('hosts')])
  const ours = [...containers.values()].filter(({ name }) => name.startsWith('m-'))
  const wrong: string[] = []
  const question = async ({ name, hostId }: (typeof ours)[number]) => {
    const hostname = String(hosts.find(({ id }) => id === hostId)?.hostname)
    const host = fleet.host(Number(hostname.slice(1)))
    const ask = (...command: string[]) =>
      until(`${name}: ${command.join(' ')}`, 15_000, async () => {
        const { stdout } = await fleet.inContainer(name, ['timeout', '3', ...command], host)
        return stdout.trim() !== '' && stdout
      }).catch(String)
    const self = await ask('wget', '-q', '-O', '-', 'http://169.254.169.250/latest/self/container/name')
    if (self.trim() !== name) wrong.push(`${name} is told that it is ${self}`)
    const found = await ask('nslookup', 'plain')
    if (!/192\.0\.2\.(1\d\d|200)\b/.test(found)) wrong.push(`${name} finds plain at ${found}`)
  }
  await Promise.all(ours.map(question))
  return wrong
}

/** Of the interface, as far as it must be the same afterwards. */
async function interfaceState(host: VirtualHost): Promise<unknown> {
  const json = async (...args: string[]) =>
    JSON.parse((await host.run('ip', ['-json', ...args])).stdout) as Record<string, unknown>[]
  const [link] = await json('address', 'show', 'dev', 'eth0')
  const all = (link?.addr_info ?? []) as Record<string, unknown>[]
  const addresses = all.filter(({ family }) => family === 'inet')
  return {
    mac: link?.address,
    mtu: link?.mtu,
    master: link?.master,
    addresses: addresses.map(({ local, prefixlen, broadcast, scope, label }) => {
      return { local, prefixlen, broadcast, scope, label }
    }),
    // When the kernel is done with the link's own IPv6 address is its own affair.
    routes: (await json('route', 'show', 'table', 'all', 'dev', 'eth0')).filter(
      ({ dst }) => !String(dst).startsWith('fe80::'),
    ),
  }
}

/** Names and addresses of the containers. */
async function addresses(world: NetworkFleet): Promise<string[]> {
  const containers = await world.settled()
  return containers.map(({ name, primaryIpAddress }) => `${name} ${String(primaryIpAddress)}`).toSorted()
}

t.test('the flat network', { skip, timeout: 590_000 }, async t => {
  const world = await NetworkFleet.start(t, 'flat')
  const [first, second, third] = [1, 2, 3].map(number => world.fleet.host(number))
  if (first === undefined || second === undefined || third === undefined) return
  for (const host of world.members) {
    await host.run('ip', ['route', 'add', 'default', 'via', '192.0.2.254', 'dev', 'eth0', 'metric', '7'])
    await host.run('ip', ['route', 'add', '203.0.113.0/24', 'via', '192.0.2.9', 'dev', 'eth0'])
  }
  const before = await Promise.all([first, second].map(interfaceState))
  const learn = async (t: Test) => {
    t.strictSame(await selfIgnorance(world), [], 'metadata and names')
  }

  await t.test('chosen', async t => {
    await testChoice(t, world, 'flat', flat('bridge'))
    const all = await addresses(world)
    t.equal(new Set(all.map(line => line.split(' ')[1])).size, 6, 'every container has an address of its own')
    await learn(t)
  })

  await t.test('without an agent', async t => {
    const all = await addresses(world)
    await killAgent(world, second)
    t.strictSame(await world.answers(), [], 'what was built works')
    startAgent(second)
    t.strictSame(await addresses(world), all, 'nothing is made anew')
  })

  await testEvents(t, world, learn)

  await t.test('by macvlan, and back', async t => {
    await world.choose('flat', flat('macvlan'))
    t.strictSame(await world.failures(), [])
    await learn(t)
    for (const host of world.members) t.notMatch((await host.run('ip', ['-o', 'link'])).stdout, /flatbr0/)
    t.strictSame(
      await Promise.all([first, second].map(interfaceState)),
      before,
      'interfaces are as they were',
    )
    await world.choose('flat', flat('bridge'))
    t.strictSame(await world.failures(), [])
    for (const host of world.members) t.notMatch((await host.run('ip', ['-o', 'link'])).stdout, /flatmv0/)
  })

  await t.test('another kind', async t => {
    await testChoice(t, world, 'vxlan', {})
    t.strictSame(
      await Promise.all([first, second].map(interfaceState)),
      before,
      'interfaces are as they were',
    )
  })

  await t.test('and nothing at all when the agent is removed while flat', async t => {
    await world.choose('flat', flat('bridge'))
    await world.settled()
    await testRemoval(t, world, 2)
    t.strictSame(await interfaceState(second), before[1], 'the interface is as it was')
  })
})
