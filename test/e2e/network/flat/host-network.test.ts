/** The whole network of a host, on the hosts' own network and away from it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import type { HostNetwork } from '../../../../agent/network/index.ts'
import type { PolicyInput } from '../../../../netplugins/policy/index.ts'
import type { FlatOptions } from '../../../../protocol/index.ts'
import { inPrivateNetwork } from '../../../lab/private-network.ts'
import { type HostDirectories, makeHostDirectories, makeHostNetwork, makeRuntime, SETTINGS } from '../host.ts'
import { addNamespace, deleteNamespace, namespacePath, run, runIn } from '../lab.ts'
import { connectHost, disconnectHost, FAR, HOST, hostConfiguration, ROUTER } from './world.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(120_000)

const PLUGIN = '/usr/lib/cni/dhcp'

function flatSettings(options: Partial<FlatOptions> = {}) {
  const flat: FlatOptions = {
    interface: 'eth9',
    subnet: '192.0.2.0/24',
    rangeStart: '192.0.2.100',
    rangeEnd: '192.0.2.101',
    gateway: ROUTER,
    mode: 'bridge',
    dhcp: false,
    ...options,
  }
  return {
    ...SETTINGS,
    address: HOST,
    labels: { 'io.rancher.network.l2flat.interface': 'eth0' },
    network: { kind: 'flat' as const, options: { flat }, hostPorts: true },
  }
}

function containerIn(name: string) {
  return { containerId: name, namespace: namespacePath(name), interfaceName: 'eth0' }
}

interface World {
  readonly directories: HostDirectories
  /** Ends the agent, if there is one, and starts another. */
  readonly restart: () => Promise<HostNetwork>
}

async function makeWorld(t: Test): Promise<World> {
  connectHost()
  t.teardown(disconnectHost)
  for (const name of ['c1', 'c2']) {
    addNamespace(name)
    t.teardown(() => deleteNamespace(name))
  }
  const directories = await makeHostDirectories()
  t.teardown(() => rmSync(path.dirname(directories.dataDirectory), { recursive: true, force: true }))
  let network: HostNetwork | undefined
  const restart = async () => {
    await network?.stop()
    network = makeHostNetwork(directories)
    await network.start()
    return network
  }
  t.teardown(() => network?.uninstall())
  return { directories, restart }
}

/** What of the host must be the same afterwards. */
function ofHost(): unknown {
  const { links, addresses, routes4, routes6 } = hostConfiguration()
  const own = (links as { ifname: string }[]).filter(
    ({ ifname }) => ifname === 'eth0' || ifname === 'flatbr0',
  )
  const others = /drover0|10\.42\.|169\.254\.169\.250/
  return {
    links: own,
    addresses: (addresses as string[]).filter(line => line.includes('eth0')),
    routes4: (routes4 as string[]).filter(line => !others.test(line)),
    routes6,
  }
}

function addressIn(name: string): string | undefined {
  return /inet (\S+)/.exec(runIn(name, 'ip', '-4', 'address', 'show', 'dev', 'eth0'))?.[1]
}

async function startServer(t: Test, leases: string): Promise<ChildProcess> {
  const options = ['--no-daemon', '--conf-file=/dev/null', '--port=0', '--interface=lan', '--user=root']
  const files = [`--dhcp-leasefile=${leases}`, '--pid-file=']
  const offers = ['--dhcp-range=192.0.2.150,192.0.2.160,1h', `--dhcp-option=3,${ROUTER}`]
  const args = ['--net=/run/netns/router', 'dnsmasq', ...options, ...files, ...offers]
  const server = spawn('nsenter', args, { stdio: 'ignore' })
  t.teardown(async () => {
    const ended = once(server, 'exit')
    if (server.kill()) await ended
  })
  await once(server, 'spawn')
  return server
}

t.test('addresses that are free', { skip }, async t => {
  const { directories, restart } = await makeWorld(t)
  const before = ofHost()
  const network = await restart()
  const runtime = makeRuntime(directories)
  runIn('router', 'ip', 'address', 'add', '192.0.2.100/24', 'dev', 'lan')
  await network.configure(flatSettings())
  t.match(network, { kind: 'flat', failure: undefined })

  const ports = [{ hostPort: 8090, containerPort: 80, protocol: 'tcp' as const }]
  const result = await runtime.add({ ...containerIn('c1'), portMappings: ports })
  t.match(result, { ips: [{ address: '192.0.2.101/24', gateway: ROUTER }] }, 'not that of a neighbour')
  t.equal(addressIn('c1'), '192.0.2.101/24')
  t.doesNotThrow(() => runIn('c1', 'ping', '-c1', '-W2', '-q', FAR), 'by the router')
  t.strictSame(network.attachments()[0]?.ports, [], 'nothing is published')
  await runtime.check('c1', 'eth0')
  await t.rejects(runtime.add(containerIn('c2')), { message: /192\.0\.2\.100|in use/ })
  t.equal(network.attachments().length, 1)

  await t.test('a switch while no agent runs', async t => {
    await network.stop()
    const file = path.join(directories.dataDirectory, 'network/settings.json')
    writeFileSync(file, JSON.stringify(SETTINGS))
    const again = await restart()
    t.match(again, { kind: 'bridge', failure: undefined })
    t.strictSame(again.attachments(), [], 'containers are to be connected anew')
    t.strictSame(ofHost(), before)
    t.notOk(existsSync(path.join(directories.dataDirectory, 'network/flat-network.json')))
    await runtime.delete(containerIn('c1'))
    t.match(await runtime.add(containerIn('c1')), { ips: [{ gateway: '10.42.0.1' }] })
    await again.configure(flatSettings())
    t.strictSame(again.attachments(), [])
    await again.uninstall()
    t.strictSame(ofHost(), before)
  })
})

t.test('a router that does not answer', { skip }, async t => {
  const { restart } = await makeWorld(t)
  const before = ofHost()
  const network = await restart()
  runIn('router', 'ip', 'address', 'delete', `${ROUTER}/24`, 'dev', 'lan')
  await t.rejects(network.configure(flatSettings()), { code: 'NetworkNotReady', message: /192\.0\.2\.254/ })
  t.match(network, { kind: 'flat', failure: /links: router 192\.0\.2\.254/ })
  t.strictSame((ofHost() as { addresses: unknown }).addresses, (before as { addresses: unknown }).addresses)
  await network.uninstall()
  t.strictSame(ofHost(), before)
})

/** Containers of different stacks are kept apart. */
function apart(...addresses: string[]): PolicyInput {
  const members = addresses.map(address => {
    return { address, labels: {}, stackUuid: address, linkedServiceUuids: [], system: false }
  })
  return { network: { defaultAction: 'deny', rules: [{ within: 'stack', action: 'allow' }], members } }
}

function reaches(from: string, address: string): boolean {
  return (
    spawnSync('nsenter', [`--net=${namespacePath(from)}`, 'ping', '-c1', '-W1', '-q', address]).status === 0
  )
}

t.test('who may talk to whom', { skip }, async t => {
  const { directories, restart } = await makeWorld(t)
  const network = await restart()
  const runtime = makeRuntime(directories)
  await network.configure(flatSettings())
  for (const name of ['c1', 'c2']) await runtime.add(containerIn(name))
  const [one = '', two = ''] = ['c1', 'c2'].map(name => addressIn(name)?.split('/')[0])
  t.ok(reaches('c1', two))
  network.setPolicy(apart(one, two))
  await network.reconcileNow('test')
  t.equal(network.failure, undefined)
  t.strictSame([reaches('c1', two), reaches('c2', one)], [false, false])
  t.ok(reaches('router', one), 'neighbours who are no containers are not meant')
  t.ok(reaches('c1', FAR))
  run('ping', '-c1', '-W2', '-q', one)

  const again = await restart()
  t.notOk(reaches('c1', two), 'nor while nobody has told yet')
  again.setPolicy({})
  await again.reconcileNow('test')
  t.ok(reaches('c1', two))

  await again.configure(flatSettings({ mode: 'macvlan' }))
  again.setPolicy(apart(one, two))
  await again.reconcileNow('test')
  t.match(again.failure, /policy: .*macvlan.*not enforced/, 'it is told what cannot be done')
  again.requireReady()
})

t.test('from one mode to the other', { skip }, async t => {
  const { directories, restart } = await makeWorld(t)
  const before = ofHost()
  const network = await restart()
  const runtime = makeRuntime(directories)
  for (const mode of ['bridge', 'macvlan', 'bridge'] as const) {
    await network.configure(flatSettings({ mode }))
    t.match(network, { kind: 'flat', failure: undefined })
    t.strictSame(network.attachments(), [], 'whoever was on the other one is to be connected anew')
    await runtime.delete(containerIn('c1'))
    await runtime.add(containerIn('c1'))
    t.doesNotThrow(() => runIn('c1', 'ping', '-c1', '-W2', '-q', FAR), mode)
    await network.reconcileNow('test')
    t.equal(network.attachments().length, 1, 'it stays')
    await runtime.check('c1', 'eth0')
  }
  await network.uninstall()
  t.strictSame(ofHost(), before)
})

for (const mode of ['bridge', 'macvlan'] as const) {
  const title = `addresses of a DHCP server, containers by ${mode}`
  t.test(title, { skip: skip || !existsSync(PLUGIN) }, async t => {
    const { directories, restart } = await makeWorld(t)
    const before = ofHost()
    const network = await restart()
    const runtime = makeRuntime(directories)
    const leases = path.join(t.testdir(), 'leases')
    await startServer(t, leases)
    await network.configure(flatSettings({ mode, dhcp: true }))
    const result = await runtime.add(containerIn('c1'))
    const [ip] = result.ips ?? []
    t.match(ip, { address: /^192\.0\.2\.1[56]\d\/24$/, gateway: ROUTER })
    t.equal(addressIn('c1'), ip?.address)
    t.doesNotThrow(() => runIn('c1', 'ping', '-c1', '-W2', '-q', FAR))
    const admitted = run('nft', 'list', 'set', 'bridge', 'drover', 'sources')
    if (mode === 'bridge')
      t.match(admitted, /"vethr\w+" \. 06:[0-9a-f:]+ \. 0\.0\.0\.0/, 'may renew its lease')

    const again = await restart()
    await again.reconcileNow('test')
    t.strictSame(
      again.attachments().map(({ address }) => `${address}/24`),
      [ip?.address],
      'the next agent knows it',
    )
    await runtime.check('c1', 'eth0')
    t.match(readFileSync(leases, 'utf8'), '06:')
    await runtime.delete(containerIn('c1'))
    t.notMatch(readFileSync(leases, 'utf8'), '06:', 'the address is given back')
    await runtime.add(containerIn('c1'))
    await again.configure(SETTINGS)
    t.strictSame(again.attachments(), [])
    t.notMatch(runIn('c1', 'ip', '-o', 'link'), 'eth0')
    await again.uninstall()
    t.strictSame(ofHost(), before)
    t.notOk(existsSync('/run/drover-dhcp'))
  })
}
