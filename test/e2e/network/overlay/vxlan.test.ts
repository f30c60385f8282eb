/** The VXLAN network between three hosts, in the real kernel. */
import t, { type Test } from 'tap'
import { inPrivateNetwork } from '../../../lab/private-network.ts'
import { Peer, run } from '../lab.ts'
import { deleteSwitch, makeSwitch, OverlayHost, pings, stateOf } from './world.ts'

const skip = inPrivateNetwork(import.meta.filename)

// Many processes are started; on a busy machine that takes longer than the usual limit.
t.setTimeout(180_000)

/** More than one packet of any MTU, many times. */
const BYTES = 10 * 1024 * 1024

async function startHosts(t: Test, count: number): Promise<OverlayHost[]> {
  makeSwitch()
  t.teardown(deleteSwitch)
  const hosts: OverlayHost[] = []
  for (let number = 1; number <= count; number += 1) {
    const host = await OverlayHost.start({ number, kind: 'vxlan' })
    t.teardown(() => host.stop())
    hosts.push(host)
  }
  return hosts
}

t.test('packets get everywhere', { skip }, async t => {
  const hosts = await startHosts(t, 3)
  const [h1, h2] = hosts
  if (h1 === undefined || h2 === undefined) throw new Error('no hosts')
  for (const host of hosts) await host.apply(stateOf(host, hosts))
  for (const from of hosts) {
    for (const to of hosts) {
      t.ok(pings(from.containerName, to.container), `${from.containerName} → ${to.containerName}`)
      t.ok(pings(from.name, to.container), `${from.name} → ${to.containerName}`)
      t.ok(pings(from.containerName, to.address), `${from.containerName} → ${to.name}`)
    }
  }
  // The largest packet that fits, and not one byte more.
  t.ok(pings(h1.containerName, h2.container, '-M', 'do', '-s', String(1450 - 28)))
  t.notOk(pings(h1.containerName, h2.container, '-M', 'do', '-s', String(1450 - 27)))

  const server = await Peer.start('c2', h2.containerName)
  const client = await Peer.start('c1', h1.containerName)
  const hostClient = await Peer.start('h1', h1.name)
  await server.listen('tcp', 80)
  await server.listen('udp', 53)
  t.equal(await client.ask('udp', h2.container, 53), `c2 sees ${h1.container}`)
  t.equal(await client.transfer(h2.container, 80, BYTES), `c2 sees ${h1.container} sent ${BYTES}`)
  t.equal(await hostClient.transfer(h2.container, 80, BYTES), `c2 sees 10.42.1.0 sent ${BYTES}`)
  await Promise.all([server.stop(), client.stop(), hostClient.stop()])
  t.equal(await h1.verify(stateOf(h1, hosts)), 0, 'nothing to repair')
  run('true')
})
