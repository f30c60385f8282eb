/** A running fleet moves to the hosts' own network and back: containers there are neighbours of everybody. */
import t, { type Test } from 'tap'
import { type ApiObject, DATA, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'
import { Peer } from '../network/lab.ts'

t.setTimeout(600_000)

const skip = inPrivateNetwork(import.meta.filename)

const LAUNCHER = './drover'
const LISTEN = 7000
const OUTSIDE = '192.0.2.9'

const FLAT = {
  flat: {
    interface: 'eth0',
    subnet: '192.0.2.0/24',
    rangeStart: '192.0.2.100',
    rangeEnd: '192.0.2.200',
    gateway: '192.0.2.254',
    mode: 'bridge',
    dhcp: false,
  },
}

const COMPOSE = `version: "2"
services:
  open:
    image: drover/busybox:1
    command: ["sh", "-c", "trap exit TERM; sleep 100000 & wait"]
    stop_grace_period: 0s
    ports: ["8090:${LISTEN}/tcp"]
  plain:
    image: drover/busybox:1
    scale: 4
    command: ["sh", "-c", "trap exit TERM; sleep 100000 & wait"]
    stop_grace_period: 0s
`
const CONTAINERS = 5

/** One that talks. */
interface Place {
  readonly peer: Peer
  readonly name: string
  readonly address: string
  readonly host: VirtualHost
  readonly isContainer: boolean
}

async function openPlace(of: Omit<Place, 'peer'>, namespace: string): Promise<Place> {
  const peer = await Peer.startIn(of.name, namespace)
  await peer.listen('tcp', LISTEN)
  await peer.listen('udp', LISTEN)
  return { ...of, peer }
}

/** The containers when all of them run at addresses that begin like that. */
async function running(fleet: Fleet, prefix: string): Promise<ApiObject[]> {
  return await until(`containers run at ${prefix}x`, 60_000, async () => {
    const found = (await fleet.list('containers')).filter(
      ({ state, primaryIpAddress }) => state === 'running' && String(primaryIpAddress).startsWith(prefix),
    )
    return found.length === CONTAINERS + 1 && found
  })
}

async function hostOf(fleet: Fleet, container: ApiObject): Promise<VirtualHost> {
  const host = (await fleet.list('hosts')).find(({ id }) => id === container.hostId)
  return fleet.host(Number(String(host?.hostname).slice(1)))
}

async function openPlaces(fleet: Fleet, containers: readonly ApiObject[]): Promise<Place[]> {
  const places: Promise<Place>[] = fleet.lab.hosts.map(host =>
    openPlace(
      { name: host.name, address: host.address, host, isContainer: false },
      `/proc/${host.holder}/ns/net`,
    ),
  )
  for (const container of containers) {
    const host = await hostOf(fleet, container)
    const inspect = ['inspect', '--format', '{{.State.Pid}}', String(container.externalId)]
    const pid = (await host.run('docker', inspect)).stdout.trim()
    const address = String(container.primaryIpAddress)
    places.push(openPlace({ name: container.name, address, host, isContainer: true }, `/proc/${pid}/ns/net`))
  }
  const opened = await Promise.allSettled(places)
  const good = opened.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
  const failed = opened.find(result => result.status === 'rejected')
  if (failed === undefined) return good
  await Promise.all(good.map(({ peer }) => peer.stop()))
  throw failed.reason
}

/** Everybody asks everybody, and is seen under the own address: nothing is translated. @returns what did not work */
async function failures(fleet: Fleet, containers: readonly ApiObject[]): Promise<string[]> {
  const places = await openPlaces(fleet, containers)
  const wrong: string[] = []
  try {
    for (const from of places) {
      for (const to of places) {
        if (from === to || !(from.isContainer || to.isContainer)) continue
        for (const protocol of ['tcp', 'udp'] as const) {
          const title = `${from.name} → ${to.name}/${protocol}`
          const answer = await from.peer.ask(protocol, to.address, LISTEN, 5_000).catch(String)
          if (!answer.startsWith(`${to.name} sees ${from.address}`)) wrong.push(`${title}: ${answer}`)
        }
      }
    }
    const [first] = places.filter(({ isContainer }) => isContainer)
    const answer = await first?.peer.transfer(OUTSIDE, LISTEN, 10_000_000).catch(String)
    if (!answer?.endsWith('sent 10000000')) wrong.push(`10 MB to the outside: ${answer}`)
  } finally {
    await Promise.all(places.map(({ peer }) => peer.stop()))
  }
  return wrong
}

/** Containers learn who they are, and find each other by name. @returns what did not work */
async function selfIgnorance(fleet: Fleet, containers: readonly ApiObject[]): Promise<string[]> {
  const wrong: string[] = []
  for (const { name } of containers.filter(container => container.name.startsWith('f-'))) {
    const host = await hostOf(fleet, (await fleet.containers()).get(name) ?? { id: '', name, state: '' })
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
  return wrong
}

/** Of the interface, as far as it must be the same afterwards. */
async function interfaceState(host: VirtualHost): Promise<unknown> {
  const json = async (...args: string[]) =>
    JSON.parse((await host.run('ip', ['-json', ...args])).stdout) as Record<string, unknown>[]
  const [link] = await json('address', 'show', 'dev', 'eth0')
  const addresses = link?.addr_info as Record<string, unknown>[]
  return {
    mac: link?.address,
    mtu: link?.mtu,
    master: link?.master,
    addresses: addresses
      .filter(({ family }) => family === 'inet')
      .map(({ local, prefixlen, broadcast, scope, label }) => ({
        local,
        prefixlen,
        broadcast,
        scope,
        label,
      })),
    routes: await json('route', 'show', 'table', 'all', 'dev', 'eth0'),
  }
}

/** Everything of the flat network and of ours that can be seen on a host. */
async function traces(host: VirtualHost): Promise<string> {
  const outputs = [
    await host.run('ip', ['-o', 'link']),
    await host.run('ip', ['-4', '-o', 'address']),
    await host.run('iptables-save', []),
    await host.run('nft', ['list', 'tables']),
  ]
  return outputs.map(({ stdout }) => stdout).join('\n')
}

async function agentPid(host: VirtualHost): Promise<string> {
  return (await host.run('cat', [`${DATA}/agent/agent.lock`])).stdout.trim()
}

async function endAgent(host: VirtualHost, signal: string): Promise<void> {
  const pid = await agentPid(host)
  await host.run('busybox', ['kill', `-${signal}`, pid])
  await until(`the agent of ${host.name} ended`, 20_000, async () => {
    const { exitCode } = await host.run('busybox', ['kill', '-0', pid], { acceptedExitCodes: [0, 1] })
    return exitCode === 1
  })
}

async function choose(fleet: Fleet, kind: string, options: object): Promise<void> {
  const args = ['network', 'set', kind, '--options', JSON.stringify(options), '--timeout', '60s']
  await fleet.drover(args, { deadline: 90_000 })
}

async function checkFlat(t: Test, fleet: Fleet): Promise<readonly ApiObject[]> {
  const containers = await running(fleet, '192.0.2.')
  const addresses = new Set(containers.map(({ primaryIpAddress }) => primaryIpAddress))
  t.equal(addresses.size, containers.length, 'every container has an address of its own')
  t.strictSame(await failures(fleet, containers), [], 'everybody reaches everybody')
  t.strictSame(await selfIgnorance(fleet, containers), [], 'metadata and names')
  return containers
}

t.test('the flat network', { skip, timeout: 590_000 }, async t => {
  const fleet = await Fleet.start(t, 'flat', 2)
  await fleet.lab.addMachine(9, 'outside')
  const second = await fleet.join(2)
  const hosts = [fleet.first, second]
  for (const host of hosts) {
    await host.run('ip', ['route', 'add', 'default', 'via', '192.0.2.254', 'dev', 'eth0', 'metric', '7'])
    await host.run('ip', ['route', 'add', '203.0.113.0/24', 'via', OUTSIDE, 'dev', 'eth0'])
  }
  await fleet.first.run('tee', ['/etc/flat.yml'], { input: COMPOSE })
  await fleet.drover(['stack', 'up', '-f', '/etc/flat.yml', '-s', 'f', '--timeout', '60s'])
  const native = ['--network', 'none', '--label', 'io.rancher.container.network=true', 'drover/busybox:1']
  await second.run('docker', ['run', '--detach', '--name', 'native', ...native, 'sleep', '100000'])
  await running(fleet, '10.42.')
  const before = await Promise.all(hosts.map(interfaceState))

  await t.test('from vxlan to flat', async t => {
    await choose(fleet, 'flat', FLAT)
    await checkFlat(t, fleet)
    for (const host of hosts) t.notMatch(await traces(host), /vtep1042|DROVER_VXLAN|drover0\b.*10\.42/)
  })

  await t.test('an agent is killed and comes back', async t => {
    const containers = await running(fleet, '192.0.2.')
    await endAgent(second, '9')
    t.strictSame(await failures(fleet, containers), [], 'without the agent')
    second.start(LAUNCHER, ['agent', '--address', second.address], 'agent')
    await until('it is back', 30_000, async () =>
      (await fleet.list('hosts')).every(({ agentState }) => agentState === 'active'),
    )
    const after = await checkFlat(t, fleet)
    const addresses = (of: readonly ApiObject[]) =>
      of.map(({ name, primaryIpAddress }) => `${name} ${String(primaryIpAddress)}`).toSorted()
    t.strictSame(addresses(after), addresses(containers), 'nothing was made anew')
  })

  await t.test('back to vxlan', async t => {
    await choose(fleet, 'vxlan', {})
    t.strictSame(await Promise.all(hosts.map(interfaceState)), before, 'the interfaces are as they were')
    const containers = await running(fleet, '10.42.')
    for (const host of hosts) t.notMatch(await traces(host), /flatbr0|drover_flat/)
    const places = await openPlaces(fleet, containers)
    try {
      const [from, ...others] = places.filter(({ isContainer }) => isContainer)
      for (const to of others) {
        const answer = await from?.peer.ask('tcp', to.address, LISTEN, 5_000)
        t.match(answer, `${to.name} sees ${from?.address}`)
      }
    } finally {
      await Promise.all(places.map(({ peer }) => peer.stop()))
    }
  })

  await t.test('and nothing at all when the agent is removed while flat', async t => {
    await choose(fleet, 'flat', FLAT)
    await running(fleet, '192.0.2.')
    await endAgent(second, 'TERM')
    await second.run(LAUNCHER, ['agent', '--uninstall'], { deadline: 60_000 })
    t.strictSame(await interfaceState(second), before[1], 'the interface is as it was')
    t.notMatch(await traces(second), /flatbr0|drover|vtep1042|CATTLE_|vethr/)
    const left = await second.run('find', [`${DATA}/agent`], { acceptedExitCodes: [0, 1] })
    t.equal(left.stdout.trim(), '')
  })
})
