/** Containers on the host's own network. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { macOfAddress } from '../../../../netplugins/bridge/index.ts'
import { announceAddress, DhcpLeases, FlatNetwork } from '../../../../netplugins/flat/index.ts'
import { getLink, RouteSocket } from '../../../../netplugins/netlink/index.ts'
import { inPrivateNetwork } from '../../../lab/private-network.ts'
import { addNamespace, deleteNamespace, namespacePath, Peer, run, runIn } from '../lab.ts'
import { connectHost, disconnectHost, FAR, HOST, hostConfiguration, log, ROUTER } from './world.ts'

const skip = inPrivateNetwork(import.meta.filename)

// Many processes are started; on a busy machine that takes longer than the usual limit.
t.setTimeout(120_000)

const METADATA = '169.254.169.250'
/** Where the DHCP client's daemon keeps its files. */
const DHCP_DIRECTORY = '/run/flat-dhcp'

const NEIGHBOUR = '192.0.2.200'

interface World {
  readonly flat: FlatNetwork
  readonly socket: RouteSocket
}

/** A host with the metadata address, a neighbour at its switch, and a firewall as Docker makes it. */
function makeWorld(t: Test, mode: 'bridge' | 'macvlan', dhcp = false, leaseDeadline = 20_000): World {
  connectHost()
  t.teardown(disconnectHost)
  runIn('router', 'ip', 'address', 'add', `${NEIGHBOUR}/24`, 'dev', 'lan')
  run('ip', 'address', 'add', `${METADATA}/32`, 'dev', 'lo')
  t.teardown(() => run('ip', 'address', 'delete', `${METADATA}/32`, 'dev', 'lo'))
  const socket = RouteSocket.open()
  t.teardown(() => socket.close())
  const flat = new FlatNetwork({
    options: {
      interface: 'eth9',
      subnet: '192.0.2.0/24',
      rangeStart: '192.0.2.100',
      rangeEnd: '192.0.2.220',
      gateway: ROUTER,
      mode,
      dhcp,
    },
    labels: { 'io.rancher.network.l2flat.interface': 'eth0' },
    metadataAddress: METADATA,
    directory: t.testdir(),
    leases: new DhcpLeases({ directory: DHCP_DIRECTORY, leaseDeadline }),
    socket,
    log,
  })
  return { flat, socket }
}

function container(number: number) {
  const address = `192.0.2.${100 + number}`
  return {
    containerId: `container-${number}`,
    namespace: namespacePath(`c${number}`),
    interfaceName: 'eth0',
    hostInterface: `vethr${number}`,
    address,
    mac: macOfAddress(address),
    reachesItself: false,
  }
}

function pings(namespace: string | undefined, address: string): boolean {
  const ping = ['ping', '-c1', '-W1', '-q', address] as const
  try {
    if (namespace === undefined) run(...ping)
    else runIn(namespace, ...ping)
    return true
  } catch {
    return false
  }
}

function addContainers(t: Test): void {
  for (const name of ['c1', 'c2']) {
    addNamespace(name)
    t.teardown(() => deleteNamespace(name))
  }
}

/** As on a host with Docker: FORWARD drops, and bridged packets pass through it. */
function installFirewall(t: Test, flat: FlatNetwork): void {
  run('iptables', '-P', 'FORWARD', 'DROP')
  run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
  try {
    run('sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=1')
  } catch {
    t.comment('this kernel has no br_netfilter')
  }
  for (const rule of flat.rules().forward) run('iptables', '-A', 'FORWARD', ...rule.split(' '))
  for (const rule of flat.rules().forward) t.match(run('iptables-save'), `-A FORWARD ${rule}\n`)
  t.teardown(() => run('iptables', '-F', 'FORWARD'))
}

/** Asks the host on the metadata address. @returns whom the host takes the asker for */
async function askMetadata(namespace: string): Promise<string> {
  const host = await Peer.start('host')
  const asker = await Peer.start(namespace, namespace)
  await host.listen('tcp', 80, METADATA)
  const answer = await asker.ask('tcp', METADATA, 80)
  await Promise.all([host.stop(), asker.stop()])
  return answer
}

for (const mode of ['bridge', 'macvlan'] as const) {
  t.test(`containers by ${mode}`, { skip }, async t => {
    const { flat, socket } = makeWorld(t, mode)
    addContainers(t)
    const before = hostConfiguration()
    await flat.ensure()
    t.equal(await flat.ensure(), 0)
    installFirewall(t, flat)
    const [c1, c2] = [container(1), container(2)]
    for (const each of [c1, c2]) {
      await flat.requireFree(each.address)
      await flat.attach(each)
      await flat.check(each)
    }
    t.ok(pings('c1', c2.address), 'each other')
    t.ok(pings('c1', ROUTER), 'the router')
    t.ok(pings('c1', FAR), 'what is behind it')
    t.ok(pings('router', c1.address), 'are reached from the network')
    t.ok(pings(undefined, c1.address), 'are reached from the host')
    if (mode === 'bridge') t.ok(pings('c1', HOST), 'the host')
    t.equal(await askMetadata('c1'), `host sees ${c1.address} sent 0`, 'the host sees who asks')

    // By macvlan they come in by the host's interface, from where the agent's firewall lets nobody to that address.
    runIn('router', 'ip', 'route', 'add', `${METADATA}/32`, 'via', HOST)
    t.equal(pings('router', METADATA), mode === 'macvlan', 'neighbours do not reach the metadata address')
    t.notMatch(runIn('router', 'ip', 'neighbour', 'show'), METADATA)

    await t.rejects(flat.requireFree(NEIGHBOUR), { code: 'AddressInUse', message: /by ..:/ })
    await t.rejects(flat.requireFree(ROUTER), { code: 'AddressInUse', message: /router/ })
    await t.rejects(flat.requireFree(HOST), { code: 'AddressInUse', message: /this host/ })
    // By macvlan, the host does not hear its own containers.
    if (mode === 'bridge') await t.rejects(flat.requireFree(c1.address), { code: 'AddressInUse' })
    await t.rejects(flat.attach(c1), { code: 'AlreadyAttached' })
    await flat.check(c1)
    await t.rejects(flat.attach({ ...c1, namespace: '/proc/self/ns/net' }), { code: 'NamespaceRefused' })

    // Neighbours hear of a container's new MAC address.
    await flat.detach(c1)
    await flat.detach(c1)
    await t.rejects(flat.check(c1))
    t.notOk(pings('router', c1.address))
    await flat.attach({ ...c1, mac: '02:d0:00:00:00:77' })
    t.ok(pings('router', c1.address))
    const link = await getLink(socket, mode === 'bridge' ? 'flatbr0' : 'eth0')
    if (link !== undefined) announceAddress(link, c1.mac, c1.address)
    t.match(runIn('router', 'ip', 'neighbour', 'show', c1.address), c1.mac, 'an announcement is believed')

    for (const each of [c1, c2]) await flat.detach(each)
    await flat.remove()
    await flat.remove()
    t.strictSame(hostConfiguration(), before)
    t.equal(run('nft', 'list', 'tables', 'bridge'), '')
  })
}

for (const mode of ['bridge', 'macvlan'] as const) {
  t.test(
    `addresses by DHCP, containers by ${mode}`,
    { skip: skip || !existsSync('/usr/lib/cni/dhcp') },
    async t => {
      const { flat } = makeWorld(t, mode, true)
      addContainers(t)
      await flat.ensure()
      installFirewall(t, flat)
      const { address: _, ...c1 } = container(1)
      const leaseFile = path.join(t.testdirName, 'leases')
      const range = '192.0.2.150,192.0.2.160,1h'
      const options = ['--no-daemon', '--conf-file=/dev/null', '--port=0', '--interface=lan', '--user=root']
      const files = [`--dhcp-leasefile=${leaseFile}`, '--pid-file=']
      const server = spawn(
        'nsenter',
        [
          '--net=/run/netns/router',
          'dnsmasq',
          ...options,
          ...files,
          `--dhcp-range=${range}`,
          `--dhcp-option=3,${ROUTER}`,
        ],
        { stdio: 'ignore' },
      )
      t.teardown(() => server.kill())
      const lease = await flat.attachByDhcp(c1)
      t.match(lease, { address: /^192\.0\.2\.1[56]\d$/, prefixLength: 24, gateway: ROUTER })
      t.ok(pings('c1', FAR))
      t.ok(pings('router', lease.address))
      t.equal(await askMetadata('c1'), `host sees ${lease.address} sent 0`)
      t.match(readFileSync(leaseFile, 'utf8'), c1.mac)
      await flat.detach({ ...c1, address: lease.address })
      t.notMatch(readFileSync(leaseFile, 'utf8'), c1.mac, 'the address is given back')
      await flat.detach({ ...c1, address: lease.address })
      const ended = once(server, 'exit')
      server.kill()
      await ended
      await flat.remove()
      t.notOk(existsSync(DHCP_DIRECTORY))
    },
  )
}

t.test('a network without a DHCP server', { skip: skip || !existsSync('/usr/lib/cni/dhcp') }, async t => {
  const missing = new DhcpLeases({ directory: '/run/missing', pluginFile: '/nowhere/dhcp' })
  await t.rejects(missing.start(), { code: 'PluginMissing', mend: /containernetworking-plugins/ })
  const { flat } = makeWorld(t, 'bridge', true, 500)
  addContainers(t)
  await flat.ensure()
  const { address: _, ...c1 } = container(1)
  await t.rejects(flat.attachByDhcp(c1), { code: 'PluginFailed', mend: /DHCP server/ })
  t.throws(() => run('ip', 'link', 'show', c1.hostInterface), 'nothing is left')
  await flat.remove()
})
