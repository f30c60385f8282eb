/** Hosts come, go, move, change their keys, or have the wrong ones: the others are not disturbed. */
import t from 'tap'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { type Container, IpsecHost, makeWire, repeatedly, until } from './ipsec-lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(300_000)

t.test('hosts of a cluster', { skip }, async t => {
  makeWire()
  const keys = { kind: 'psk', current: 'first-secret' } as const
  const [a, b, c] = [new IpsecHost(1, keys), new IpsecHost(2, keys), new IpsecHost(3, keys)]
  const hosts = [a, b, c]
  c.keys = { kind: 'psk', current: 'guessed-secret' }
  t.teardown(async () => {
    for (const host of hosts) await host.remove()
    for (const host of hosts) host.dispose()
  })
  for (const host of hosts) await host.start()
  const [ca, cb, cc] = [await a.addContainer(5), await b.addContainer(5), await c.addContainer(5)]
  t.teardown(async () => {
    for (const { peer } of [ca, cb, cc]) await peer.stop()
  })
  await Promise.all(hosts.map(host => host.apply(hosts)))

  t.test('a host with another secret is refused and reported, and harms nobody', async t => {
    await a.untilPeer(b, 'up')
    await b.untilPeer(a, 'up')
    for (const [host, peer] of [
      [a, c],
      [b, c],
      [c, a],
      [c, b],
    ] as const) {
      const { reason } = await host.untilPeer(peer, 'refused')
      t.match(reason, /credentials/)
    }
    t.notOk(await cc.peer.reaches('udp', ca.address, 53))
    t.match(await ca.peer.transfer(cb.address, 80, 10_000_000), /sent 10000000/)
  })

  t.test('with the right one it is let in', async t => {
    c.keys = keys
    await c.apply(hosts)
    for (const host of [a, b]) {
      await host.untilPeer(c, 'up')
      await c.untilPeer(host, 'up')
    }
    t.match(await cc.peer.transfer(ca.address, 80, 1_000_000), /sent 1000000/)
  })

  t.test('the secret is replaced, host by host, and no connection is lost', async t => {
    const before = new Set((await a.associations()).map(({ credential }) => credential))
    const stop = repeatedly(() => ca.peer.transfer(cb.address, 80, 500_000))
    const next = { kind: 'psk', current: 'second-secret', previous: 'first-secret' } as const
    for (const host of hosts) {
      host.keys = next
      await host.apply(hosts)
    }
    const isReplaced = (list: readonly { credential: string; isEstablished: boolean }[]) =>
      list.length === 2 && list.every(entry => entry.isEstablished && !before.has(entry.credential))
    for (const host of hosts) await until(`keys of ${host.name}`, () => host.associations(), isReplaced)
    t.ok((await stop()) > 0)
    // The first secret is worth nothing now.
    for (const host of [a, b]) {
      host.keys = { kind: 'psk', current: 'second-secret' }
      await host.apply(hosts)
    }
    c.keys = keys
    await c.apply(hosts)
    await a.untilPeer(c, 'refused')
    t.notOk(await cc.peer.reaches('udp', ca.address, 53))
    t.match(await ca.peer.transfer(cb.address, 80, 1_000_000), /sent 1000000/)
    c.keys = { kind: 'psk', current: 'second-secret' }
    await c.apply(hosts)
    await untilConnected(cc, ca)
  })

  t.test('a further block of a host is reached, whoever hears of it first', async t => {
    b.blocks = [...b.blocks, '10.42.9.64/26']
    const more = await b.addContainer(7, 1)
    t.teardown(() => more.peer.stop())
    const stop = repeatedly(() => ca.peer.transfer(cb.address, 80, 200_000))
    await b.apply(hosts)
    await a.apply(hosts)
    await c.apply(hosts)
    for (const container of [ca, cc]) await untilConnected(container, more)
    await untilConnected(more, ca)
    t.ok((await stop()) > 0, 'and connections to the first block go on')
  })

  t.test('a host that moves to another address is found there', async t => {
    b.move('192.0.2.77')
    for (const host of hosts) await host.apply(hosts)
    for (const host of [a, c]) await host.untilPeer(b, 'up')
    await untilConnected(ca, cb)
    await untilConnected(cb, cc)
    t.pass()
  })

  t.test('a host that is gone is reported, and connected again when it is back', async t => {
    b.setConnected(false)
    const { reason } = await a.untilPeer(b, 'down')
    t.match(reason, /does not answer|no way/)
    t.match(await ca.peer.transfer(cc.address, 80, 1_000_000), /sent 1000000/)
    b.setConnected(true)
    await a.untilPeer(b, 'up')
    await untilConnected(ca, cb)
  })

  t.test(
    'a host whose charon was restarted, and that has forgotten everything, is connected again',
    async t => {
      await b.remove()
      await b.apply(hosts)
      await untilConnected(ca, cb)
      await untilConnected(cb, ca)
      t.pass()
    },
  )

  t.test('a host that left has no way in any more', async t => {
    await a.apply([a, b])
    await until(
      'association',
      () => a.associations(),
      list => list.every(({ hostId }) => hostId !== c.name),
    )
    t.notOk(await cc.peer.reaches('udp', ca.address, 53))
    t.same(
      (await a.peerStates()).map(({ hostId }) => hostId),
      [b.name],
    )
  })
})

async function untilConnected(from: Container, to: Container): Promise<void> {
  await until(`${from.name} to ${to.name}`, () => from.peer.reaches('tcp', to.address, 80), Boolean)
}
