/** Containers of one host with IPv6 addresses beside their IPv4 ones: packets, lies, repairs, and what is left of it. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import type { HostNetwork, NetworkSettings } from '../../../agent/network/index.ts'
import type { CniResult, CniRuntime } from '../../../netplugins/cni/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { BRIDGE, GATEWAY, makeHostDirectories, makeHostNetwork, makeRuntime, SETTINGS } from './host.ts'
import {
  addNamespace,
  connectOutside,
  deleteNamespace,
  kernelState,
  namespacePath,
  Peer,
  run,
  runIn,
} from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(180_000)

const GATEWAY_6 = 'fd42::a2a:1'
const HOST_6 = '2001:db8::1'
const OUTSIDE_6 = '2001:db8::9'
const TRANSFER = 10_000_000

const DUAL: NetworkSettings = {
  ...SETTINGS,
  network: { kind: 'bridge', options: { ipv6Prefix: 'fd42::/96' }, hostPorts: true },
}

/** Waits until `condition` holds; the test's own time limit is the deadline. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(resolve => setTimeout(resolve, 10))
}

function attachment(name: string) {
  return { containerId: name, namespace: namespacePath(name), interfaceName: 'eth0' }
}

function sysctl(name: string): string {
  return readFileSync(`/proc/sys/net/ipv6/conf/${name}`, 'utf8').trim()
}

interface Container {
  readonly name: string
  readonly peer: Peer
  readonly result: CniResult
  readonly address: string
  readonly address6: string
  readonly mac: string
}

async function startContainer(runtime: CniRuntime, name: string): Promise<Container> {
  addNamespace(name)
  const result = await runtime.add(attachment(name))
  const [address = '', address6 = ''] = result.ips.map(ip => ip.address.split('/')[0] ?? '')
  const peer = await Peer.start(name, name)
  for (const any of ['0.0.0.0', '::']) {
    await peer.listen('tcp', 80, any)
    await peer.listen('udp', 53, any)
  }
  return { name, peer, result, address, address6, mac: result.interfaces.at(-1)?.mac ?? '' }
}

async function stopContainer(runtime: CniRuntime, { name, peer }: Container): Promise<void> {
  await peer.stop()
  await runtime.delete(attachment(name))
  deleteNamespace(name)
}

/** Entries that the host made for IPv6, and rules of ours. */
function traces(): string {
  return [
    run('ip', '-6', 'neighbour', 'show', 'nud', 'permanent'),
    run('ip', '-6', 'address', 'show', 'to', 'fd42::/64'),
    run('ip', '-6', 'route', 'show', 'table', 'all', 'root', 'fd42::/64'),
    run('ip6tables-save'),
  ].join('\n')
}

t.test('two families on one bridge', { skip }, async t => {
  connectOutside()
  run('ip', 'address', 'add', `${HOST_6}/64`, 'dev', 'eth0', 'nodad')
  runIn('outside', 'ip', 'address', 'add', `${OUTSIDE_6}/64`, 'dev', 'eth0', 'nodad')
  run('sysctl', '-qw', 'net.ipv6.conf.eth0.accept_ra=1')
  const before = kernelState()

  const directories = await makeHostDirectories()
  let network: HostNetwork = makeHostNetwork(directories)
  await network.start()
  await network.configure(SETTINGS)
  const runtime = makeRuntime(directories)
  const host = await Peer.start('host')
  const outside = await Peer.start('outside', 'outside')
  for (const protocol of ['tcp', 'udp'] as const) {
    await outside.listen(protocol, 7000, '::')
    await host.listen(protocol, 7001, '::')
  }
  const old = await startContainer(runtime, 'old')
  t.equal(traces().includes('CATTLE_'), false, 'nothing in IPv6 without the option')
  t.equal(sysctl('all/forwarding'), '0')

  await network.configure(DUAL)
  t.equal(network.failure, undefined)
  const one = await startContainer(runtime, 'one')
  const two = await startContainer(runtime, 'two')
  t.teardown(async () => {
    for (const peer of [host, outside]) await peer.stop()
    rmSync(path.dirname(directories.dataDirectory), { recursive: true })
  })
  const says = (name: string, client: string) => new RegExp(`^${name} sees ${client}( |$)`)
  const works = async (t: { match(found: unknown, pattern: RegExp): unknown }) => {
    t.match(await one.peer.ask('tcp', two.address6, 80), says('two', one.address6))
    t.match(await two.peer.ask('udp', one.address6, 53), says('one', two.address6))
    t.match(await host.ask('tcp', one.address6, 80), says('one', GATEWAY_6))
    t.match(await one.peer.ask('udp', GATEWAY_6, 7001), says('host', one.address6))
    t.match(await one.peer.ask('tcp', OUTSIDE_6, 7000), says('outside', HOST_6))
    t.match(await one.peer.ask('tcp', two.address, 80), says('two', one.address))
  }

  await t.test('what the runtime is told', async t => {
    t.match(one.result, {
      ips: [
        { address: `${one.address}/16`, gateway: GATEWAY, interface: 2 },
        { address: `${one.address6}/128`, gateway: GATEWAY_6, interface: 2 },
      ],
      routes: [
        { dst: '0.0.0.0/0', gw: GATEWAY },
        { dst: '::/0', gw: GATEWAY_6 },
      ],
    })
    t.match(one.address6, /^fd42::a2a:\w+$/)
    t.equal(old.address6, '', 'who was there before keeps what it has')
    for (const name of ['old', 'one', 'two']) await runtime.check(name, 'eth0')
    t.match(
      runIn('one', 'ip', '-6', '-o', 'address', 'show', 'dev', 'eth0'),
      /^\d+: eth0 +inet6 fd42::a2a:\w+\/128 scope global nodad [^\n]*\n$/,
      'no link-local address',
    )
  })

  await t.test('packets', async t => {
    await works(t)
    t.match(await one.peer.transfer(two.address6, 80, TRANSFER), /sent 10000000$/)
    t.match(await one.peer.transfer(OUTSIDE_6, 7000, TRANSFER), /sent 10000000$/)
    t.match(await one.peer.ask('udp', OUTSIDE_6, 7000), says('outside', HOST_6))
    t.match(await two.peer.ask('tcp', old.address, 80), says('old', two.address))
  })

  await t.test('from outside, containers are not there', async t => {
    runIn('outside', 'ip', '-6', 'route', 'add', 'fd42::/96', 'via', HOST_6)
    t.notOk(await outside.reaches('tcp', one.address6, 80))
    t.ok(await outside.reaches('tcp', HOST_6, 7001))
    runIn('outside', 'ip', '-6', 'route', 'delete', 'fd42::/96')
  })

  await t.test('lies', async t => {
    const inOne = (...args: string[]) => runIn('one', 'ip', '-6', ...args)
    inOne('address', 'add', 'fd42::a2a:7f/128', 'dev', 'eth0', 'nodad')
    inOne('route', 'add', `${two.address6}/128`, 'via', GATEWAY_6, 'dev', 'eth0', 'src', 'fd42::a2a:7f')
    t.notOk(await one.peer.reaches('udp', two.address6, 53), "under another's address")
    inOne('route', 'delete', `${two.address6}/128`)
    inOne('address', 'delete', 'fd42::a2a:7f/128', 'dev', 'eth0')

    inOne('neighbour', 'replace', two.address6, 'lladdr', two.mac, 'dev', 'eth0', 'nud', 'permanent')
    inOne('route', 'add', `${two.address6}/128`, 'dev', 'eth0')
    t.notOk(await one.peer.reaches('udp', two.address6, 53), 'past the host, where rules are')
    inOne('route', 'delete', `${two.address6}/128`)
    inOne('neighbour', 'delete', two.address6, 'dev', 'eth0')

    // Whoever answers for a foreign address says so without being asked when it takes it (ndisc_notify).
    runIn('one', 'sysctl', '-qw', 'net.ipv6.conf.eth0.ndisc_notify=1')
    const seen = () => run('ip', '-6', 'neighbour', 'show', 'dev', BRIDGE)
    const known = seen()
    inOne('address', 'add', `${two.address6}/128`, 'dev', 'eth0', 'nodad')
    runIn('one', 'sh', '-c', 'ping -6 -c 2 -W 1 -I eth0 ff02::1 >/dev/null 2>&1 || true')
    inOne('address', 'delete', `${two.address6}/128`, 'dev', 'eth0')
    t.equal(seen(), known)
    await works(t)
  })

  await t.test('what somebody breaks is repaired', async t => {
    run('ip6tables', '-F')
    await until(() => run('ip6tables', '-S', 'FORWARD').includes('CATTLE_FORWARD'))
    run('ip6tables', '-t', 'nat', '-F')
    await until(() => run('ip6tables', '-t', 'nat', '-S', 'POSTROUTING').includes('CATTLE_NAT_POSTROUTING'))
    run('ip', '-6', 'address', 'flush', 'dev', BRIDGE)
    await until(() => run('ip', '-6', 'address', 'show', 'dev', BRIDGE).includes(GATEWAY_6))
    run('ip', '-6', 'neighbour', 'flush', 'dev', BRIDGE, 'nud', 'permanent')
    run('ip', '-6', 'neighbour', 'add', 'fd42::a2a:7f', 'lladdr', one.mac, 'dev', BRIDGE)
    run('nft', 'flush', 'set', 'bridge', 'drover', 'sources6')
    run('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=0')
    await network.reconcileNow('test')
    t.notMatch(run('ip', '-6', 'neighbour', 'show', 'dev', BRIDGE), 'a2a:7f')
    await works(t)

    const address = ['address', 'delete', `${two.address6}/128`, 'dev', 'eth0']
    runIn('two', 'ip', '-6', ...address)
    await t.rejects(runtime.check('two', 'eth0'), { message: /does not have the address fd42/ })
    await stopContainer(runtime, two)
    t.notMatch(run('ip', '-6', 'neighbour', 'show', 'dev', BRIDGE), two.address6)
    t.notMatch(run('nft', 'list', 'table', 'bridge', 'drover'), two.address6)
    Object.assign(two, await startContainer(runtime, 'two'))
    await works(t)
  })

  await t.test('the agent away, and back', async t => {
    await network.stop()
    await works(t)
    network = makeHostNetwork(directories)
    await network.start()
    t.equal(network.failure, undefined)
    await works(t)
  })

  await t.test('an address that is asked for', async t => {
    const name = 'asked'
    addNamespace(name)
    const ask = (address: string) => runtime.add({ ...attachment(name), address })
    await t.rejects(ask('fd42::a2a:64'), { message: /IPv6 address alone/ })
    const { ips } = await ask('10.42.0.100')
    t.strictSame(
      ips.map(({ address }) => address),
      ['10.42.0.100/16', 'fd42::a2a:64/128'],
    )
    await runtime.delete(attachment(name))
    deleteNamespace(name)
  })

  await t.test('switched off, and on again', async t => {
    t.equal(sysctl('all/forwarding'), '1')
    t.equal(sysctl('eth0/accept_ra'), '2', 'routers are heard as before')
    await network.configure(SETTINGS)
    t.notMatch(traces(), /CATTLE_|fd42/)
    t.equal(sysctl('all/forwarding'), '0')
    t.equal(sysctl('eth0/accept_ra'), '1')
    for (const name of ['old', 'one', 'two']) await runtime.check(name, 'eth0')
    t.match(await one.peer.ask('tcp', two.address, 80), says('two', one.address))
    t.notOk(await one.peer.reaches('tcp', two.address6, 80))
    await network.configure(DUAL)
    await works(t)
  })

  await t.test('another prefix', async t => {
    const options = { ipv6Prefix: 'fd43::/96' }
    await network.configure({ ...SETTINGS, network: { kind: 'bridge', options, hostPorts: true } })
    t.notMatch(traces(), 'fd42')
    await runtime.check('one', 'eth0')
    const three = await startContainer(runtime, 'three')
    t.match(three.address6, /^fd43::a2a:/)
    t.match(await three.peer.ask('tcp', OUTSIDE_6, 7000), says('outside', HOST_6))
    t.notOk(await one.peer.reaches('tcp', three.address6, 80))
    await stopContainer(runtime, three)
    await network.configure(DUAL)
    await works(t)
  })

  await t.test('nothing is left', async t => {
    for (const container of [old, one, two]) await stopContainer(runtime, container)
    t.equal(run('ip', '-6', 'neighbour', 'show', 'nud', 'permanent'), '')
    await network.uninstall()
    t.notMatch(traces(), /CATTLE_|fd42/)
    t.equal(sysctl('all/forwarding'), '0')
    t.equal(sysctl('eth0/accept_ra'), '1')
    t.strictSame(kernelState(), before)
  })
})

t.test('hosts that cannot', { skip }, async t => {
  const directories = await makeHostDirectories()
  const network = makeHostNetwork(directories)
  await network.start()
  const runtime = makeRuntime(directories)
  const hasIpv4 = async (name: string) => {
    addNamespace(name)
    const { ips } = await runtime.add(attachment(name))
    t.match(ips, [{ address: /^10\.42\.0\.\d+\/16$/ }])
    t.equal(ips.length, 1)
    await runtime.delete(attachment(name))
    deleteNamespace(name)
  }
  await t.test('IPv6 is switched off', async t => {
    run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1')
    await network.configure(DUAL)
    t.match(network.failure, /ipv6: .*IPv6 is switched off.*disable_ipv6/)
    await hasIpv4('off')
    t.equal(sysctl('all/forwarding'), '0')
    run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=0')
    await network.reconcileNow('test')
    t.equal(network.failure, undefined, 'and on again')
    await network.configure(SETTINGS)
  })
  await t.test('there is no ip6tables', async t => {
    const directory = path.dirname(directories.dataDirectory)
    const broken = path.join(directory, 'ip6tables-save')
    writeFileSync(broken, '#!/bin/sh\necho no such module >&2\nexit 3\n', { mode: 0o755 })
    const before = process.env.PATH
    process.env.PATH = `${directory}:${before}`
    t.teardown(() => {
      process.env.PATH = before
    })
    await network.configure(DUAL)
    t.match(network.failure, /ipv6: .*ip6tables-save.*no such module/s)
    await hasIpv4('without')
    t.equal(sysctl('all/forwarding'), '0')
    process.env.PATH = before
    await network.reconcileNow('test')
    t.equal(network.failure, undefined)
  })
  await t.test('one that was a router before stays one', async t => {
    const forward = () => run('ip6tables', '-S', 'CATTLE_FORWARD')
    t.match(forward(), /-A CATTLE_FORWARD -j DROP/, 'for containers alone')
    await network.configure(SETTINGS)
    run('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1')
    await network.configure(DUAL)
    t.notMatch(forward(), /-A CATTLE_FORWARD -j DROP/)
    await network.configure(SETTINGS)
    t.equal(sysctl('all/forwarding'), '1')
    run('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=0')
    await network.configure(DUAL)
  })
  await t.test('the record of what was changed is destroyed', async t => {
    await network.stop()
    writeFileSync(path.join(directories.dataDirectory, 'network/ipv6.json'), '{')
    await makeHostNetwork(directories).uninstall()
    t.notMatch(traces(), /CATTLE_|fd42/)
  })
  rmSync(path.dirname(directories.dataDirectory), { recursive: true })
})
