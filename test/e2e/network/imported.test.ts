/** A host whose containers somebody else connects: published ports, metadata, and nothing else. */
import t from 'tap'
import { ImportedNetwork } from '../../../agent/network/index.ts'
import { createLogger } from '../../../kit/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { METADATA, SETTINGS } from './host.ts'
import { addNamespace, connectOutside, HOST_ADDRESS, kernelState, Peer, run, runIn } from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

/** A container as a plugin of others would connect it. */
function connectContainer(name: string, address: string): void {
  addNamespace(name)
  run('ip', 'link', 'add', `cali${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
  run('ip', 'address', 'add', '198.51.100.1/24', 'dev', `cali${name}`)
  run('ip', 'link', 'set', `cali${name}`, 'up')
  runIn(name, 'ip', 'address', 'add', `${address}/24`, 'dev', 'eth0')
  runIn(name, 'ip', 'link', 'set', 'eth0', 'up')
  runIn(name, 'ip', 'route', 'add', 'default', 'via', '198.51.100.1')
}

t.test('an imported host', { skip }, async t => {
  connectOutside()
  run('ip', 'route', 'add', 'default', 'via', '192.0.2.9', 'dev', 'eth0')
  runIn('outside', 'ip', 'route', 'add', `${METADATA}/32`, 'via', HOST_ADDRESS)
  run('sysctl', '-w', 'net.ipv4.ip_forward=1')
  run('iptables', '-P', 'FORWARD', 'DROP')
  connectContainer('foreign', '198.51.100.9')
  const state = () => {
    const { links, rules } = kernelState()
    return { links, rules }
  }
  const before = state()
  const network = new ImportedNetwork({ metadata: SETTINGS.metadata, log: createLogger('network', 'silent') })
  await network.start()
  t.equal(network.failure, undefined)
  t.strictSame(state().links, before.links, 'no link is made')
  const peers = new Map<string, Peer>()
  for (const name of ['foreign', 'outside']) peers.set(name, await Peer.start(name, name))
  const host = await Peer.start('host')
  const [foreign, outside] = [peers.get('foreign') as Peer, peers.get('outside') as Peer]
  await foreign.listen('tcp', 80)
  await foreign.listen('udp', 53)
  await host.listen('tcp', SETTINGS.metadata.httpPort, METADATA)

  const port = { bindAddress: '0.0.0.0', hostPort: 8080, containerPort: 80, protocol: 'tcp' as const }
  const udp = { bindAddress: '0.0.0.0', hostPort: 5353, containerPort: 53, protocol: 'udp' as const }
  const container = { containerId: 'foreign', interfaceName: 'eth0', address: '198.51.100.9' }
  await network.setPublished([{ ...container, ports: [port, udp] }])
  t.equal(network.failure, undefined)
  t.equal(await outside.ask('tcp', HOST_ADDRESS, 8080), 'foreign sees 192.0.2.9 sent 0')
  t.match(await outside.ask('udp', HOST_ADDRESS, 5353), /^foreign sees 192\.0\.2\.9/)
  t.match(await host.ask('tcp', HOST_ADDRESS, 8080), /^foreign/)
  t.match(await host.ask('tcp', '127.0.0.1', 8080), /^foreign/)
  t.equal(
    await foreign.ask('tcp', METADATA, 80),
    'host sees 198.51.100.9 sent 0',
    'containers ask for metadata',
  )
  t.notOk(await outside.reaches('tcp', METADATA, 80))
  t.notOk(await outside.reaches('tcp', '198.51.100.9', 80), 'what others forbid stays forbidden')
  t.notMatch(run('iptables-save'), /CATTLE_NAT_POSTROUTING|10\.42/)

  run('iptables', '-t', 'nat', '-F')
  await network.reconcileNow()
  t.match(await outside.ask('tcp', HOST_ADDRESS, 8080), /^foreign/)
  await network.setPublished([])
  t.notMatch(run('iptables-save'), '8080')
  for (const peer of [...peers.values(), host]) await peer.stop()
  await network.uninstall()
  t.strictSame(state(), before)
  t.notMatch(run('ip', 'address'), METADATA)
})
