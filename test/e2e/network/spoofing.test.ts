/** Containers with every right inside their namespace, who say that they are somebody else. */
import { rmSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import type { HostNetwork } from '../../../agent/network/index.ts'
import type { CniRuntime } from '../../../netplugins/cni/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { GATEWAY, makeHostDirectories, makeHostNetwork, makeRuntime, SETTINGS } from './host.ts'
import { addNamespace, deleteNamespace, namespacePath, Peer, run, runIn } from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(120_000)

const NAMES = ['attacker', 'victim', 'client']

/** Waits until `condition` holds; the test's own time limit is the deadline. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(resolve => setTimeout(resolve, 10))
}

function attachment(name: string) {
  return { containerId: name, namespace: namespacePath(name), interfaceName: 'eth0' }
}

/** The MAC address by which a container knows a neighbour. */
function neighbour(namespace: string, address: string): string | undefined {
  const table = JSON.parse(runIn(namespace, 'ip', '-json', 'neighbour', 'show', address)) as {
    lladdr?: string
  }[]
  return table[0]?.lladdr
}

function macOf(namespace: string): string {
  const [link] = JSON.parse(runIn(namespace, 'ip', '-json', 'link', 'show', 'eth0')) as { address: string }[]
  return link?.address ?? ''
}

/** Frames of containers that were dropped. */
function dropped(): number {
  return Number(/counter packets (\d+)/.exec(run('nft', 'list', 'table', 'bridge', 'drover'))?.[1])
}

/** Tells everybody on the link, by requests and by answers, that `address` is the attacker's. */
function claim(address: string): void {
  // As an address of its own, or busybox does not take it.
  runIn('attacker', 'ip', 'address', 'add', `${address}/32`, 'dev', 'lo')
  for (const kind of ['-U', '-A'])
    runIn('attacker', 'busybox', 'arping', kind, '-c', '2', '-w', '2', '-I', 'eth0', '-s', address, address)
  runIn('attacker', 'ip', 'address', 'delete', `${address}/32`, 'dev', 'lo')
}

t.test('a container that says it is another', { skip }, async t => {
  const directories = await makeHostDirectories()
  let network: HostNetwork = makeHostNetwork(directories)
  await network.start()
  await network.configure(SETTINGS)
  network.requireReady()
  const runtime: CniRuntime = makeRuntime(directories)
  const addresses = new Map<string, string>()
  for (const name of NAMES) {
    addNamespace(name)
    const result = await runtime.add(attachment(name))
    addresses.set(name, result.ips[0]?.address.split('/')[0] ?? '')
  }
  const own = addresses.get('attacker') ?? ''
  const victim = addresses.get('victim') ?? ''
  const peers = new Map(
    await Promise.all(NAMES.map(async name => [name, await Peer.start(name, name)] as const)),
  )
  const peer = (name: string) => peers.get(name) as Peer
  for (const name of NAMES) await peer(name).listen('udp', 5000)

  await t.test('nobody is kept from what is theirs', async t => {
    t.equal(await peer('client').ask('udp', victim, 5000), `victim sees ${addresses.get('client')}`)
    t.equal(await peer('attacker').ask('udp', victim, 5000), `victim sees ${own}`)
  })
  await t.test("the gateway's and a neighbour's address cannot be claimed", async t => {
    runIn('client', 'ping', '-c', '1', '-w', '5', GATEWAY)
    const before = [neighbour('client', GATEWAY), neighbour('client', victim)]
    t.equal(before[1], macOf('victim'))
    const droppedBefore = dropped()
    claim(GATEWAY)
    claim(victim)
    t.ok(dropped() >= droppedBefore + 8, 'the claims were sent')
    t.strictSame([neighbour('client', GATEWAY), neighbour('client', victim)], before)
    runIn('client', 'ip', 'neighbour', 'flush', 'all')
    runIn('attacker', 'ip', 'address', 'add', `${victim}/32`, 'dev', 'eth0')
    t.equal(await peer('client').ask('udp', victim, 5000), `victim sees ${addresses.get('client')}`)
    t.equal(neighbour('client', victim), macOf('victim'), 'although the attacker answers, too')
    runIn('attacker', 'ip', 'address', 'delete', `${victim}/32`, 'dev', 'eth0')
  })
  await t.test("packets with another's source address go nowhere", async t => {
    const before = dropped()
    runIn('attacker', 'ip', 'address', 'add', '10.42.0.120/32', 'dev', 'eth0')
    runIn('attacker', 'ip', 'route', 'add', `${victim}/32`, 'dev', 'eth0', 'src', '10.42.0.120')
    t.notOk(await peer('attacker').reaches('udp', victim, 5000))
    t.ok(dropped() > before)
    runIn('attacker', 'ip', 'route', 'delete', `${victim}/32`)
    runIn('attacker', 'ip', 'address', 'delete', '10.42.0.120/32', 'dev', 'eth0')
    t.ok(await peer('attacker').reaches('udp', victim, 5000))
  })
  await t.test('a changed MAC address silences the container', async t => {
    const before = macOf('attacker')
    runIn('attacker', 'ip', 'link', 'set', 'eth0', 'address', macOf('victim'))
    t.notOk(await peer('attacker').reaches('udp', addresses.get('client') ?? '', 5000))
    t.ok(await peer('client').reaches('udp', victim, 5000), 'the bridge did not learn it')
    runIn('attacker', 'ip', 'link', 'set', 'eth0', 'address', before)
    await until(() => peer('attacker').reaches('udp', victim, 5000))
  })
  await t.test('neither IPv6 nor other protocols', async t => {
    const before = dropped()
    runIn('attacker', 'sh', '-c', 'ping -6 -c 1 -w 1 -I eth0 ff02::1 || true')
    t.ok(dropped() > before)
  })
  await t.test('rules that somebody flushed come back', async t => {
    run('nft', 'flush', 'ruleset')
    await until(() => run('nft', 'list', 'ruleset').includes('table bridge drover'))
    run('nft', 'flush', 'chain', 'bridge', 'drover', 'container')
    await until(() => /counter packets \d+ bytes \d+ drop/.test(run('nft', 'list', 'ruleset')))
    run('nft', 'flush', 'set', 'bridge', 'drover', 'sources')
    await until(() => run('nft', 'list', 'ruleset').includes(victim))
    t.ok(await peer('client').reaches('udp', victim, 5000))
  })
  await t.test('the agent away, and back', async t => {
    await network.stop()
    t.ok(await peer('client').reaches('udp', victim, 5000))
    const before = dropped()
    claim(victim)
    t.ok(dropped() > before)
    network = makeHostNetwork(directories)
    await network.start()
    t.ok(await peer('client').reaches('udp', victim, 5000))
  })
  for (const peer of peers.values()) await peer.stop()
  await runtime.delete(attachment('attacker'))
  t.notMatch(run('nft', 'list', 'table', 'bridge', 'drover'), own)
  await network.uninstall()
  t.notMatch(run('nft', 'list', 'ruleset'), 'bridge')
  NAMES.forEach(deleteNamespace)
  rmSync(path.dirname(directories.dataDirectory), { recursive: true })
})
