/** A balancer's UDP ports: packets from outside, through a published port and the balancer's container, to who answers. */
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { ContainedUdp } from '../../../agent/balancer/index.ts'
import type { UdpBackend } from '../../../netplugins/udp-balancer/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { makeHostDirectories, makeHostNetwork, makeRuntime, SETTINGS } from '../network/host.ts'
import { addNamespace, connectOutside, HOST_ADDRESS, Peer } from '../network/lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(120_000)

/** At the host, at the balancer, and at those who answer. */
const [PUBLISHED, SOURCE, TARGET] = [5300, 53, 5353]

t.test('UDP through a balancer', { skip }, async t => {
  connectOutside()
  const directories = await makeHostDirectories()
  const network = makeHostNetwork(directories)
  await network.start()
  await network.configure(SETTINGS)
  const runtime = makeRuntime(directories)
  const addressOf = new Map<string, string>()
  const namespaceOf = new Map<string, string>()
  for (const name of ['balancer', 'one', 'two', 'client']) {
    const namespace = addNamespace(name)
    const portMappings =
      name === 'balancer'
        ? [{ hostPort: PUBLISHED, containerPort: SOURCE, protocol: 'udp' as const }]
        : undefined
    const request = { containerId: name, namespace, interfaceName: 'eth0' }
    const result = await runtime.add({ ...request, ...(portMappings && { portMappings }) })
    addressOf.set(name, result.ips[0]?.address.split('/')[0] ?? '')
    namespaceOf.set(name, namespace)
  }
  const address = (name: string) => addressOf.get(name) ?? ''
  const inside = (...command: string[]) =>
    execFileSync('nsenter', [`--net=${namespaceOf.get('balancer')}`, '--', ...command], { encoding: 'utf8' })
  const peers = {
    one: await Peer.start('one', 'one'),
    two: await Peer.start('two', 'two'),
    client: await Peer.start('client', 'client'),
    outside: await Peer.start('outside', 'outside'),
    host: await Peer.start('host'),
  }
  for (const name of ['one', 'two'] as const) await peers[name].listen('udp', TARGET)
  const udp = new ContainedUdp(namespaceOf.get('balancer') ?? '')
  t.teardown(async () => {
    for (const peer of Object.values(peers)) await peer.stop()
    await network.stop()
    rmSync(path.dirname(directories.dataDirectory), { recursive: true })
  })
  const backend = (name: string, weight = 1): UdpBackend => ({ address: address(name), port: TARGET, weight })
  const serve = async (...backends: UdpBackend[]) => await udp.apply([{ port: SOURCE, backends }])
  const answers = async (
    peer: Peer,
    count: number,
    [place, port]: readonly [string, number] = [HOST_ADDRESS, PUBLISHED],
  ) => {
    const found = new Map<string, number>()
    for (let index = 0; index < count; index += 1) {
      const [name = ''] = (await peer.ask('udp', place, port)).split(' ')
      found.set(name, (found.get(name) ?? 0) + 1)
    }
    return found
  }

  await t.test('from outside, from the host, and from another container', async t => {
    t.equal(await serve(backend('one'), backend('two')), undefined)
    for (const peer of [peers.outside, peers.host]) {
      t.strictSame([...(await answers(peer, 40)).keys()].toSorted(), ['one', 'two'])
    }
    const direct = await answers(peers.client, 40, [address('balancer'), SOURCE])
    t.strictSame([...direct.keys()].toSorted(), ['one', 'two'])
    t.match(
      await peers.outside.ask('udp', HOST_ADDRESS, PUBLISHED),
      new RegExp(`sees ${address('balancer')}$`),
    )
  })

  await t.test('by weight', async t => {
    await serve(backend('one', 1), backend('two', 9))
    const found = await answers(peers.outside, 100)
    t.ok((found.get('two') ?? 0) > 3 * (found.get('one') ?? 0), JSON.stringify([...found]))
  })

  await t.test('a client stays, until who answers it goes', async t => {
    const ask = async () => (await peers.outside.askFrom(20_100, HOST_ADDRESS, PUBLISHED)).split(' ')[0]
    const first = (await ask()) ?? ''
    const other = first === 'one' ? 'two' : 'one'
    for (let index = 0; index < 10; index += 1) t.equal(await ask(), first)
    await serve(backend(first, 0), backend(other))
    t.equal(await ask(), first, 'it is to end, and keeps the client')
    for (let port = 20_000; port < 20_010; port += 1) {
      // A port that the kernel gives no socket: those of earlier clients it remembers.
      const answer = await peers.outside.askFrom(port, HOST_ADDRESS, PUBLISHED)
      t.match(answer, new RegExp(`^${other} `), 'and gets no other')
    }
    await serve(backend(other))
    t.equal(await ask(), other)
    await serve(backend(first), backend(other))
    t.equal(await ask(), other)
  })

  await t.test('nobody answers, then somebody does', async t => {
    await serve()
    const ask = async () => await peers.client.askFrom(20_101, address('balancer'), SOURCE)
    await t.rejects(ask())
    await serve(backend('one'))
    t.match(await ask(), /^one /)
  })

  await t.test('what passed is measured', async t => {
    const [before] = await udp.measure()
    t.match(before, { name: '53/udp', kind: 'frontend' })
    await answers(peers.outside, 3)
    const [after] = await udp.measure()
    t.equal(after?.sessionsTotal, (before?.sessionsTotal ?? 0) + 3)
    t.ok((after?.bytesIn ?? 0) > (before?.bytesIn ?? 0))
    t.ok((after?.bytesOut ?? 0) > (before?.bytesOut ?? 0))
    await serve(backend('two'))
    t.strictSame((await udp.measure())[0]?.sessionsTotal, after?.sessionsTotal, 'other backends, same port')
  })

  await t.test('an agent that starts anew takes over what is there', async t => {
    const next = new ContainedUdp(namespaceOf.get('balancer') ?? '')
    await next.apply([{ port: 54, backends: [backend('one')] }])
    t.match(await peers.client.ask('udp', address('balancer'), 54), /^one /)
    t.notOk(await peers.client.reaches('udp', address('balancer'), SOURCE))
    await next.apply([])
    t.equal(inside('nft', 'list', 'tables'), '')
    await new ContainedUdp(namespaceOf.get('balancer') ?? '').apply([])
    t.equal(inside('nft', 'list', 'tables'), '')
  })

  await t.test('the host is nobody’s balancer', async t => {
    const host = new ContainedUdp('/proc/self/ns/net')
    t.match(await host.apply([{ port: SOURCE, backends: [backend('one')] }]), /host/)
    t.equal(await host.apply([]), undefined)
    await t.rejects(new ContainedUdp('/proc/0/ns/net').apply([{ port: SOURCE, backends: [] }]), {
      code: 'NamespaceMissing',
    })
  })
})
