/** IPv6 between containers of two hosts passes through the tunnels of real charons or not at all, beside IPv4. */
import t from 'tap'
import { requireIpv6Prefix } from '../../../kit/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { Capture, type Container, IpsecHost, makeWire, until } from './ipsec-lab.ts'
import { Peer } from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(240_000)

const PREFIX = requireIpv6Prefix('fd42::/96', 'test')

t.test('two hosts', { skip }, async t => {
  makeWire()
  const keys = { kind: 'psk', current: 'a-secret-of-the-cluster' } as const
  const [a, b] = [new IpsecHost(1, keys), new IpsecHost(2, keys)]
  const hosts = [a, b]
  t.teardown(() => {
    for (const host of hosts) host.dispose()
  })
  for (const host of hosts) await host.start()
  const before = hosts.map(routesOf)
  await Promise.all(hosts.map(host => host.apply(hosts)))
  await a.untilPeer(b, 'up')
  t.strictSame(hosts.map(routesOf), before, 'without a prefix there is nothing of IPv6')

  for (const host of hosts) host.setIpv6Prefix(PREFIX)
  const one = await a.addContainer(5)
  const two = await b.addContainer(6)
  const capture = await Capture.start()
  await a.apply(hosts)
  await t.test('while one of them alone has a prefix, IPv4 goes on', async t => {
    const states = await until(
      'what is missing',
      () => a.peerStates(),
      ([state]) => state?.reason !== undefined,
    )
    t.match(states, [
      { state: 'connecting', reason: /does not carry fd42::a2a:100\/122, fd42::a2a:200\/122 yet/ },
    ])
    t.equal(await one.peer.ask('udp', two.address, 53), `${two.name} sees ${one.address}`)
    t.notOk(await reaches(one, two))
  })
  await b.apply(hosts)
  for (const [host, other] of [
    [a, b],
    [b, a],
  ] as const) {
    await host.untilPeer(other, 'up')
  }
  await until('one to two', () => reaches(one, two), Boolean)

  t.test('containers reach each other by both, with more than fits into a packet', async t => {
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const) {
      const greeting = `${to.name} sees ${from.address6}`
      t.equal(await from.peer.ask('udp', to.address6, 53), greeting)
      t.equal(await from.peer.transfer(to.address6, 80, 5_000_000), `${greeting} sent 5000000`)
      t.equal(await from.peer.ask('udp', to.address, 53), `${to.name} sees ${from.address}`)
    }
    const carried = (await a.associations()).map(({ localBlocks, remoteBlocks }) => [
      localBlocks,
      remoteBlocks,
    ])
    t.ok(
      carried.some(([local]) => local?.join() === '10.42.1.0/26,fd42::a2a:100/122'),
      JSON.stringify(carried),
    )
  })

  t.test('a host reaches containers of another one, and is known by an address of its own', async t => {
    const peer = await Peer.start('host', a.name)
    t.equal(await peer.ask('tcp', two.address6, 80), `${two.name} sees fd42::a2a:100 sent 0`)
    await peer.stop()
  })

  t.test('what is as it should be is left alone, what somebody removed is put back', async t => {
    t.equal(await a.verify(hosts), 0)
    a.run('ip', '-6', 'route', 'del', 'fd42::a2a:200/122')
    a.run('ip', '-6', 'address', 'flush', 'dev', 'ipsec0')
    t.ok((await a.verify(hosts)) >= 2)
    await until('transfer', () => reaches(one, two), Boolean)
    t.equal(await a.verify(hosts), 0)
  })

  t.test('without a tunnel nothing leaves', async t => {
    // Where packets would go that nothing holds back.
    a.run('ip', '-6', 'address', 'add', 'fd99::1/64', 'dev', 'eth0', 'nodad')
    a.run('ip', '-6', 'route', 'add', 'default', 'via', 'fd99::2')
    await a.kill()
    a.run('ip', 'link', 'set', 'ipsec0', 'down')
    a.run('ip', 'link', 'set', 'drover0', 'down')
    t.match(a.run('ip', '-6', 'route'), /unreachable fd42::a2a:0\/112/)
    const peer = await Peer.start('closed', a.name)
    t.notOk(await peer.reaches('udp', two.address6, 53))
    t.notOk(await peer.reaches('tcp', two.address6, 80))
    await peer.stop()
    a.run('ip', 'link', 'set', 'drover0', 'up')
    a.setIpv6Prefix(PREFIX)
    a.run('ip', '-6', 'route', 'del', 'default')
    await a.start()
    await a.apply(hosts)
    await until('transfer', () => reaches(one, two), Boolean)
  })

  t.test('nobody on the wire sees what is said', async t => {
    const wire = await capture.stop()
    t.ok(wire.length > 10_000_000, 'there was traffic')
    t.notOk(wire.includes('sees fd42:'))
    t.notOk(wire.includes('hello'), 'of the questions neither')
  })

  t.test('without a prefix again, IPv4 goes on and nothing of IPv6 is left', async t => {
    for (const host of hosts) host.setIpv6Prefix(undefined)
    await Promise.all(hosts.map(host => host.apply(hosts)))
    await a.untilPeer(b, 'up')
    t.equal(await one.peer.ask('udp', two.address, 53), `${two.name} sees ${one.address}`)
    t.notOk(await reaches(one, two))
    t.equal(await a.verify(hosts), 0)
    t.notMatch(hosts.map(routesOf).join(), /fd42/)
  })

  t.test('removed, it leaves nothing', async t => {
    for (const host of hosts) host.setIpv6Prefix(PREFIX)
    await Promise.all(hosts.map(host => host.apply(hosts)))
    await a.untilPeer(b, 'up')
    for (const host of hosts) await host.remove()
    for (const { peer } of [one, two]) await peer.stop()
    t.notMatch(hosts.map(routesOf).join(), /unreachable|ipsec/)
  })
})

async function reaches(from: Container, to: Container): Promise<boolean> {
  return await from.peer.reaches('udp', to.address6, 53)
}

/** Those of IPv6 that have to do with containers or tunnels. */
function routesOf(host: IpsecHost): string[] {
  return host
    .run('ip', '-6', 'route')
    .split('\n')
    .filter(line => /fd42|ipsec|unreachable/.test(line))
}
