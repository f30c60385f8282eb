/** Containers of several hosts reach each other through tunnels of real charons, and nobody else sees what they say. */
import t from 'tap'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { IpsecHost, makeWire } from './ipsec-lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(240_000)

t.test('two hosts', { skip }, async t => {
  makeWire()
  const keys = { kind: 'psk', current: 'a-secret-of-the-cluster' } as const
  const [a, b] = [new IpsecHost(1, keys), new IpsecHost(2, keys)]
  const hosts = [a, b]
  t.teardown(() => {
    for (const host of hosts) host.dispose()
  })
  for (const host of hosts) await host.start()
  const ca = await a.addContainer(5)
  const cb = await b.addContainer(5)
  await Promise.all(hosts.map(host => host.apply(hosts)))
  await a.untilPeer(b, 'up')
  await b.untilPeer(a, 'up')
  t.equal(await ca.peer.ask('udp', cb.address, 53), `h2c05 sees ${ca.address}`)
  t.match(await ca.peer.transfer(cb.address, 80, 10_000_000), /sent 10000000/)
})
