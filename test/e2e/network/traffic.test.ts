/** Packets: between containers, to the outside, from the outside, and those that must not arrive. */
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import type { CniResult, CniRuntime } from '../../../netplugins/cni/index.ts'
import { forgetUdpFlows, type UdpFlow } from '../../../netplugins/conntrack/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { GATEWAY, METADATA, makeHostDirectories, makeHostNetwork, makeRuntime, SETTINGS } from './host.ts'
import {
  addNamespace,
  connectOutside,
  HOST_ADDRESS,
  OUTSIDE_ADDRESS,
  Peer,
  run,
  runIn,
  SECOND_ADDRESS,
} from './lab.ts'

const BRIDGE_FILTER = '/proc/sys/net/bridge/bridge-nf-call-iptables'

const skip = inPrivateNetwork(import.meta.filename)

// Many processes are started; on a busy machine that takes longer than the usual limit.
t.setTimeout(120_000)

interface Container {
  readonly peer: Peer
  readonly address: string
}

async function startContainer(
  runtime: CniRuntime,
  name: string,
  portMappings: Parameters<CniRuntime['add']>[0]['portMappings'] = [],
): Promise<Container> {
  const namespace = addNamespace(name)
  const result: CniResult = await runtime.add({
    containerId: name,
    namespace,
    interfaceName: 'eth0',
    portMappings,
  })
  const address = result.ips[0]?.address.split('/')[0] ?? ''
  const peer = await Peer.start(name, name)
  await peer.listen('tcp', 80)
  await peer.listen('udp', 53)
  return { peer, address }
}

t.test('traffic of one host', { skip }, async t => {
  connectOutside()
  const directories = await makeHostDirectories()
  const network = makeHostNetwork(directories)
  await network.start()
  await network.configure(SETTINGS)
  const runtime = makeRuntime(directories)
  const host = await Peer.start('host')
  const outside = await Peer.start('outside', 'outside')
  await outside.listen('tcp', 7000)
  await outside.listen('udp', 7000)
  await host.listen('tcp', 9346, METADATA)
  await host.listen('udp', 9353, METADATA)
  await host.listen('tcp', 9353, METADATA)

  const plain = await startContainer(runtime, 'plain')
  const published = await startContainer(runtime, 'published', [
    { hostPort: 8080, containerPort: 80 },
    { hostPort: 5300, containerPort: 53, protocol: 'udp' },
    { hostPort: 8081, containerPort: 80, hostIP: SECOND_ADDRESS },
    { hostPort: 8082, containerPort: 80, hostIP: '127.0.0.1' },
  ])
  t.teardown(async () => {
    for (const peer of [host, outside, plain.peer, published.peer]) await peer.stop()
    await network.stop()
    rmSync(path.dirname(directories.dataDirectory), { recursive: true })
  })
  const says = (name: string, client: string) =>
    new RegExp(`^${name} sees ${client.replaceAll('.', '\\.')}\\b`)

  await t.test('containers of the host see each other by their own addresses', async t => {
    t.match(await plain.peer.ask('tcp', published.address, 80), says('published', plain.address))
    t.match(await plain.peer.ask('udp', published.address, 53), says('published', plain.address))
    t.match(await published.peer.ask('tcp', plain.address, 80), says('plain', published.address))
    t.match(await plain.peer.transfer(published.address, 80, 10_000_000), /sent 10000000$/)
  })

  await t.test('the host and its containers see each other', async t => {
    t.match(await host.ask('tcp', plain.address, 80), says('plain', GATEWAY))
    t.match(await plain.peer.ask('tcp', METADATA, 80), says('host', plain.address))
  })

  await t.test('containers reach the outside in the name of the host', async t => {
    t.match(await plain.peer.ask('tcp', OUTSIDE_ADDRESS, 7000), says('outside', HOST_ADDRESS))
    t.match(await plain.peer.ask('udp', OUTSIDE_ADDRESS, 7000), says('outside', HOST_ADDRESS))
    t.match(await plain.peer.transfer(OUTSIDE_ADDRESS, 7000, 10_000_000), /sent 10000000$/)
  })

  await t.test('the outside reaches published ports, with its own address', async t => {
    t.match(await outside.ask('tcp', HOST_ADDRESS, 8080), says('published', OUTSIDE_ADDRESS))
    t.match(await outside.ask('tcp', SECOND_ADDRESS, 8080), says('published', OUTSIDE_ADDRESS))
    t.match(await outside.ask('udp', HOST_ADDRESS, 5300), says('published', OUTSIDE_ADDRESS))
    t.match(await outside.transfer(HOST_ADDRESS, 8080, 10_000_000), /sent 10000000$/)
  })

  await t.test('ports on IPv6 addresses, from outside and from the host', async t => {
    // Known at once: nobody else can have them in this network.
    run('ip', 'address', 'add', '2001:db8::1/64', 'dev', 'eth0', 'nodad')
    run('ip', 'address', 'add', '2001:db8::2/64', 'dev', 'eth0', 'nodad')
    runIn('outside', 'ip', 'address', 'add', '2001:db8::9/64', 'dev', 'eth0', 'nodad')
    const open = await startContainer(runtime, 'open', [
      { hostPort: 8090, containerPort: 80, hostIP: '::' },
      { hostPort: 8090, containerPort: 80 },
      { hostPort: 5390, containerPort: 53, hostIP: '2001:db8::1', protocol: 'udp' },
    ])
    for (const peer of [outside, host]) {
      t.match(await peer.ask('tcp', '2001:db8::1', 8090), says('open', GATEWAY))
      t.match(await peer.ask('tcp', '2001:db8::2', 8090), says('open', GATEWAY))
      t.match(await peer.ask('udp', '2001:db8::1', 5390), says('open', GATEWAY))
    }
    t.match(await outside.ask('tcp', HOST_ADDRESS, 8090), says('open', OUTSIDE_ADDRESS))
    t.match(await outside.transfer('2001:db8::1', 8090, 10_000_000), /sent 10000000$/)
    t.notOk(await outside.reaches('udp', '2001:db8::2', 5390))
    await open.peer.stop()
    await runtime.delete({ containerId: 'open', interfaceName: 'eth0' })
    t.notOk(await outside.reaches('tcp', '2001:db8::1', 8090))
    for (const address of ['2001:db8::1/64', '2001:db8::2/64']) {
      run('ip', 'address', 'delete', address, 'dev', 'eth0')
    }
  })

  await t.test('a port published on one address answers on no other', async t => {
    t.match(await outside.ask('tcp', SECOND_ADDRESS, 8081), says('published', OUTSIDE_ADDRESS))
    t.notOk(await outside.reaches('tcp', HOST_ADDRESS, 8081))
    t.notOk(await host.reaches('tcp', '127.0.0.1', 8081))
    t.match(await host.ask('tcp', '127.0.0.1', 8082), says('published', GATEWAY))
    t.notOk(await outside.reaches('tcp', HOST_ADDRESS, 8082))
    t.notOk(await plain.peer.reaches('tcp', GATEWAY, 8082))
  })

  await t.test('the host reaches published ports by each of its addresses', async t => {
    t.match(await host.ask('tcp', HOST_ADDRESS, 8080), says('published', HOST_ADDRESS))
    t.match(await host.ask('udp', HOST_ADDRESS, 5300), says('published', HOST_ADDRESS))
    t.match(await host.ask('tcp', '127.0.0.1', 8080), says('published', GATEWAY))
    t.match(await host.ask('udp', '127.0.0.1', 5300), says('published', GATEWAY))
    t.match(await host.transfer('127.0.0.1', 8080, 10_000_000), /sent 10000000$/)
  })

  await t.test('containers reach published ports of their own host, also their own', async t => {
    t.match(await plain.peer.ask('tcp', HOST_ADDRESS, 8080), says('published', GATEWAY))
    t.match(await plain.peer.ask('udp', HOST_ADDRESS, 5300), says('published', GATEWAY))
    t.match(await plain.peer.ask('tcp', GATEWAY, 8080), says('published', GATEWAY))
    t.match(await published.peer.ask('tcp', HOST_ADDRESS, 8080), says('published', GATEWAY))
    t.match(await published.peer.ask('udp', HOST_ADDRESS, 5300), says('published', GATEWAY))
  })

  const unfiltered = existsSync(BRIDGE_FILTER) ? false : 'the kernel has no br_netfilter'
  await t.test('all the same whether bridged packets pass iptables or not', { skip: unfiltered }, async t => {
    for (const setting of ['0', '1']) {
      writeFileSync(BRIDGE_FILTER, setting)
      t.match(await plain.peer.ask('tcp', published.address, 80), says('published', plain.address))
      t.match(await plain.peer.ask('tcp', HOST_ADDRESS, 8080), says('published', GATEWAY))
      t.match(await published.peer.ask('tcp', HOST_ADDRESS, 8080), says('published', GATEWAY))
      t.match(await outside.ask('tcp', HOST_ADDRESS, 8080), says('published', OUTSIDE_ADDRESS))
    }
  })

  await t.test('all the same where the policy of FORWARD is DROP', async t => {
    run('iptables', '-P', 'FORWARD', 'DROP')
    t.match(await plain.peer.ask('tcp', published.address, 80), says('published', plain.address))
    t.match(await plain.peer.ask('tcp', OUTSIDE_ADDRESS, 7000), says('outside', HOST_ADDRESS))
    t.match(await plain.peer.ask('tcp', HOST_ADDRESS, 8080), says('published', GATEWAY))
    t.match(await outside.ask('tcp', HOST_ADDRESS, 8080), says('published', OUTSIDE_ADDRESS))
  })

  await t.test('metadata and DNS answer on their well-known ports and know who asks', async t => {
    t.match(await plain.peer.ask('tcp', METADATA, 80), says('host', plain.address))
    t.match(await plain.peer.ask('udp', METADATA, 53), says('host', plain.address))
    t.match(await plain.peer.ask('tcp', METADATA, 53), says('host', plain.address))
    t.match(await host.ask('tcp', METADATA, 80), says('host', METADATA))
    t.match(await host.ask('udp', METADATA, 53), says('host', METADATA))
  })

  await t.test("a published port does not take metadata's place", async t => {
    const greedy = await startContainer(runtime, 'greedy', [
      { hostPort: 80, containerPort: 80 },
      { hostPort: 53, containerPort: 53, protocol: 'udp' },
    ])
    t.match(await plain.peer.ask('tcp', METADATA, 80), says('host', plain.address))
    t.match(await plain.peer.ask('udp', METADATA, 53), says('host', plain.address))
    t.match(await outside.ask('tcp', HOST_ADDRESS, 80), says('greedy', OUTSIDE_ADDRESS))
    await greedy.peer.stop()
  })

  await t.test('a UDP client that keeps sending finds whoever publishes the port now', async t => {
    const ports = [{ hostPort: 5400, containerPort: 53, protocol: 'udp' }]
    await t.rejects(outside.askFrom(40_000, HOST_ADDRESS, 5400), 'nobody yet')
    // Its port of the same number, elsewhere: none of our business.
    await t.rejects(plain.peer.askFrom(40_001, OUTSIDE_ADDRESS, 5400))
    for (const name of ['before', 'after']) {
      const container = await startContainer(runtime, name, ports)
      t.match(await outside.askFrom(40_000, HOST_ADDRESS, 5400), says(name, OUTSIDE_ADDRESS))
      await runtime.delete({ containerId: name, interfaceName: 'eth0' })
      await container.peer.stop()
    }
    const flows: UdpFlow[] = []
    await forgetUdpFlows(5400, flow => {
      flows.push(flow)
      return false
    })
    t.ok(
      flows.some(({ original }) => original.sourcePort === 40_001),
      'flows of others are remembered',
    )
    const isTranslated = ({ original, reply }: UdpFlow) => reply.source !== original.destination
    t.notOk(flows.some(isTranslated), 'those to containers that are gone are not')
  })

  await t.test('a neighbour on the uplink does not reach the metadata address', async t => {
    runIn('outside', 'ip', 'route', 'add', `${METADATA}/32`, 'via', HOST_ADDRESS)
    t.notOk(await outside.reaches('tcp', METADATA, 80))
    t.notOk(await outside.reaches('tcp', METADATA, 9346))
    t.notOk(await outside.reaches('udp', METADATA, 53))
    t.notOk(await outside.reaches('udp', METADATA, 9353))
  })
})
