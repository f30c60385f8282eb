/**
 * Containers of several hosts reach each other through tunnels of real charons, nobody else sees what they say, and neither
 * the end of an agent nor that of a charon is the end of it.
 */
import { existsSync } from 'node:fs'
import t from 'tap'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { Capture, type Container, IpsecHost, isRunning, makeWire, repeatedly, until } from './ipsec-lab.ts'
import { Peer, runIn } from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(240_000)

/** Part of what every server in a container says. */
const MARKER = 'sees 10.42.'

t.test('three hosts', { skip }, async t => {
  makeWire()
  const keys = { kind: 'psk', current: 'a-secret-of-the-cluster' } as const
  const [a, b, c] = [new IpsecHost(1, keys), new IpsecHost(2, keys), new IpsecHost(3, keys)]
  const hosts = [a, b, c]
  t.teardown(() => {
    for (const host of hosts) host.dispose()
  })
  const before = hosts.map(host => stateOf(host))
  const containers = new Map<IpsecHost, Container>()
  for (const host of hosts) {
    await host.start()
    containers.set(host, await host.addContainer(5))
  }
  const containerOf = (host: IpsecHost): Container => {
    const container = containers.get(host)
    if (container === undefined) throw new Error(`no container on ${host.name}`)
    return container
  }
  const capture = await Capture.start()
  await Promise.all(hosts.map(host => host.apply(hosts)))
  const pairs = hosts.flatMap(from => hosts.filter(to => to !== from).map(to => [from, to] as const))
  for (const [from, to] of pairs) await from.untilPeer(to, 'up')

  t.test('containers reach each other by UDP and TCP, with more than fits into a packet', async t => {
    for (const [from, to] of pairs) {
      const { peer, address } = containerOf(from)
      const target = containerOf(to)
      const greeting = `${target.name} sees ${address}`
      t.equal(await peer.ask('udp', target.address, 53), greeting)
      t.equal(await peer.transfer(target.address, 80, 10_000_000), `${greeting} sent 10000000`)
    }
  })

  t.test('a host reaches containers of another one, and is known by an address of its own', async t => {
    const peer = await Peer.start('host', a.name)
    const target = containerOf(b)
    t.equal(await peer.ask('tcp', target.address, 80), `${target.name} sees 10.42.1.0 sent 0`)
    await peer.stop()
  })

  t.test('there is one association between two hosts, although both may have begun', async t => {
    const isSingle = (list: readonly { isEstablished: boolean }[]) =>
      list.length === hosts.length - 1 && list.every(({ isEstablished }) => isEstablished)
    for (const host of hosts) await until(`associations of ${host.name}`, () => host.associations(), isSingle)
    t.pass()
  })

  t.test('what is as it should be is left alone', async t => {
    t.equal(await a.verify(hosts), 0)
  })

  t.test('an agent that is killed disturbs no tunnel, and the next one takes over', async t => {
    const charon = await a.charon()
    const associations = await a.associations()
    await a.kill()
    const { peer } = containerOf(a)
    t.match(await peer.transfer(containerOf(b).address, 80, 1_000_000), /sent 1000000/)
    const stop = repeatedly(() => peer.transfer(containerOf(b).address, 80, 100_000))
    await a.start()
    await a.apply(hosts)
    await a.untilPeer(b, 'up')
    t.ok((await stop()) > 0, 'connections go on')
    t.equal(await a.charon(), charon)
    t.same(
      (await a.associations()).map(({ id }) => id),
      associations.map(({ id }) => id),
    )
    t.equal(await a.verify(hosts), 0)
  })

  t.test('what somebody removed is put back', async t => {
    a.run('ip', 'route', 'del', '10.42.2.0/26', 'proto', '142')
    a.run('ip', 'address', 'flush', 'dev', 'ipsec0')
    t.ok((await a.verify(hosts)) >= 2)
    await until('transfer', () => reaches(containerOf(a), containerOf(b)), Boolean)
    t.equal(await a.verify(hosts), 0)
  })

  t.test('a charon that is killed comes back; until then nothing leaves', async t => {
    const charon = await a.charon()
    process.kill(charon ?? 0, 'SIGKILL')
    await until(
      'charon',
      () => a.charon(),
      pid => pid !== undefined && pid !== charon,
    )
    for (const host of [b, c]) await a.untilPeer(host, 'up')
    await until('transfer', () => reaches(containerOf(a), containerOf(b)), Boolean)
    await until('transfer back', () => reaches(containerOf(c), containerOf(a)), Boolean)
    t.not(await a.charon(), charon)
  })

  t.test('without a tunnel nothing leaves', async t => {
    await a.kill()
    a.run('ip', 'link', 'set', 'ipsec0', 'down')
    a.run('ip', 'link', 'set', 'drover0', 'down')
    const peer = await Peer.start('closed', a.name)
    t.notOk(await peer.reaches('udp', containerOf(b).address, 53))
    await peer.stop()
    a.run('ip', 'link', 'set', 'drover0', 'up')
    await a.start()
    await a.apply(hosts)
    await until('transfer', () => reaches(containerOf(a), containerOf(b)), Boolean)
  })

  t.test('nobody on the wire sees what is said', async t => {
    const wire = await capture.stop()
    t.ok(wire.length > 10_000_000, 'there was traffic')
    t.notOk(wire.includes(MARKER))
    t.notOk(wire.includes('hello'), 'of the questions neither')
  })

  t.test('removed, it leaves nothing', async t => {
    for (const host of hosts) {
      const charon = await host.charon()
      await host.remove()
      await host.remove()
      t.notOk(charon === undefined || isRunning(charon), 'charon ended')
      t.notOk(existsSync(`${host.directory}/ipsec`))
    }
    for (const container of containers.values()) await container.peer.stop()
    t.same(
      hosts.map(host => stateOf(host)),
      before,
    )
  })
})

async function reaches(from: Container, to: Container): Promise<boolean> {
  return await from.peer.reaches('tcp', to.address, 80)
}

/** What the kernel has of tunnels on a host; containers come and go without it. */
function stateOf(host: IpsecHost): unknown {
  const lines = (...args: string[]) =>
    runIn(host.name, 'ip', ...args)
      .trim()
      .split('\n')
  return {
    links: lines('-brief', 'link')
      .filter(line => !line.startsWith('veth-'))
      .map(line => line.split(' ')[0]),
    rules: lines('rule'),
    rules6: lines('-6', 'rule'),
    routes: lines('route', 'show', 'table', 'main'),
    table: lines('route', 'show', 'table', 'all').filter(line => line.includes('table 142')),
    policies: lines('xfrm', 'policy'),
    states: lines('xfrm', 'state'),
  }
}
