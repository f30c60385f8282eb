/** The routed network (host gateway) between three hosts, in the real kernel. */
import t from 'tap'
import type { OverlayState } from '../../../../netplugins/overlay/index.ts'
import { inPrivateNetwork } from '../../../lab/private-network.ts'
import { Peer } from '../lab.ts'
import { hostState, pings, startHosts, stateOf } from './world.ts'

const skip = inPrivateNetwork(import.meta.filename)

// Many processes are started; on a busy machine that takes longer than the usual limit.
t.setTimeout(180_000)

const BYTES = 10 * 1024 * 1024
const LABEL = 'io.rancher.network.per_host_subnet.'

t.test('the routed network', { skip }, async t => {
  const hosts = await startHosts(t, { kind: 'routed' })
  const [h1, h2, h3] = hosts
  const connect = () => Promise.all(hosts.map(host => host.apply(stateOf(host, hosts))))

  /** What h1 should do when the others say this by labels. */
  const labelled = (labels: Record<string, Record<string, string>>): OverlayState => {
    const state = stateOf(h1, hosts)
    return { ...state, peers: state.peers.map(peer => ({ ...peer, labels: labels[peer.hostId] ?? {} })) }
  }

  t.test('packets get everywhere', async t => {
    await connect()
    for (const from of hosts) {
      for (const to of hosts) {
        t.ok(pings(from.containerName, to.container), `${from.containerName} → ${to.containerName}`)
        t.ok(pings(from.name, to.container), `${from.name} → ${to.containerName}`)
        t.ok(pings(from.containerName, to.address), `${from.containerName} → ${to.name}`)
      }
    }
    t.ok(pings(h1.containerName, h2.container, '-M', 'do', '-s', String(1500 - 28)), 'the largest packet')
    const server = await Peer.start('c2', h2.containerName)
    const client = await Peer.start('c1', h1.containerName)
    const hostClient = await Peer.start('h1', h1.name)
    await server.listen('tcp', 80)
    await server.listen('udp', 53)
    t.equal(await client.ask('udp', h2.container, 53), `c2 sees ${h1.container}`)
    t.equal(await client.transfer(h2.container, 80, BYTES), `c2 sees ${h1.container} sent ${BYTES}`)
    t.equal(await hostClient.transfer(h2.container, 80, BYTES), `c2 sees ${h1.address} sent ${BYTES}`)
    await Promise.all([server.stop(), client.stop(), hostClient.stop()])
    t.equal(await h1.verify(stateOf(h1, hosts)), 0, 'nothing to repair')
    // By their text rules are recognised when they are looked at again.
    const saved = h1.run('iptables-save').split('\n')
    for (const rule of Object.values(await h1.rules(stateOf(h1, hosts))).flat())
      t.ok(
        saved.some(line => line.startsWith('-A ') && line.endsWith(` ${rule}`)),
        rule,
      )
  })

  t.test('what others change is noticed and repaired', async t => {
    await connect()
    const state = stateOf(h1, hosts)
    const ip = (...args: string[]) => h1.run('ip', ...args)
    const changes: Record<string, () => void> = {
      'the route deleted': () => ip('route', 'delete', h2.block),
      'the uplink down and up': () => {
        ip('link', 'set', 'eth0', 'down')
        ip('link', 'set', 'eth0', 'up')
      },
      'a route of our own that leads elsewhere': () => {
        ip('route', 'replace', h2.block, 'via', '192.0.2.77', 'dev', 'eth0', 'proto', '142')
        ip('route', 'add', '10.42.77.0/26', 'via', '192.0.2.77', 'dev', 'eth0', 'proto', '142')
        ip('route', 'delete', h3.block)
      },
    }
    for (const [name, change] of Object.entries(changes)) {
      await h1.concernedBy(change)
      t.ok((await h1.verify(state)) > 0, `${name}: repaired`)
      t.equal(await h1.verify(state), 0, `${name}: once`)
      t.ok(pings(h1.containerName, h2.container), `${name}: packets pass again`)
    }
    h1.run('ipset', 'flush', 'RANCHER_DISABLE_HOST_NAT_IPSET')
    t.equal(await h1.verify(state), 2)
    t.match(h1.run('ipset', 'list', 'RANCHER_DISABLE_HOST_NAT_IPSET'), h2.block)
  })

  t.test('labels of hosts', async t => {
    await connect()
    const subnet = { [`${LABEL}subnet`]: '172.20.2.0/24' }
    await h1.apply(labelled({ h2: subnet }))
    t.match(
      h1.run('ip', 'route', 'show', '172.20.2.0/24'),
      `via ${h2.address} dev eth0 proto 142 src ${h1.address}`,
    )
    t.equal(h1.run('ip', 'route', 'show', h2.block), '', 'instead of the allocated block')

    await h1.apply(labelled({ h2: { ...subnet, [`${LABEL}override_agent_ip`]: '192.0.2.22' } }))
    t.match(h1.run('ip', 'route', 'show', '172.20.2.0/24'), 'via 192.0.2.22')

    await h1.apply(labelled({ h2: { [`${LABEL}subnet`]: 'none' } }))
    t.match(await h1.states(), [
      { hostId: 'h2', state: 'down', reason: /per_host_subnet\.subnet is "none"/ },
      { hostId: 'h3', state: 'up' },
    ])
    t.ok(pings(h1.containerName, h3.container), 'one wrong host harms no other')

    await h1.apply(labelled({ h2: { [`${LABEL}override_agent_ip`]: '198.51.100.2' } }))
    t.match(await h1.states(), [
      { hostId: 'h2', state: 'down', reason: /198\.51\.100\.2 is not on a network of this host/ },
      { hostId: 'h3', state: 'up' },
    ])
    t.equal(h1.run('ip', 'route', 'show', h2.block), '')
    // The network appears later.
    await h1.concernedBy(() => h1.run('ip', 'address', 'add', '198.51.100.1/24', 'dev', 'eth0'))
    const state = labelled({ h2: { [`${LABEL}override_agent_ip`]: '198.51.100.2' } })
    await h1.apply(state)
    t.match(await h1.states(), [{ state: 'up' }, { state: 'up' }])
    h1.run('ip', 'address', 'delete', '198.51.100.1/24', 'dev', 'eth0')
  })

  t.test("somebody else's routes stay", async t => {
    await h1.remove()
    h1.run('ip', 'route', 'add', h2.block, 'via', '192.0.2.9', 'dev', 'eth0')
    await h1.apply(stateOf(h1, hosts))
    t.match(await h1.states(), [{ hostId: 'h2', state: 'down', reason: /EEXIST/ }, { state: 'up' }])
    await h1.remove()
    t.match(h1.run('ip', 'route', 'show', h2.block), 'via 192.0.2.9')
    h1.run('ip', 'route', 'delete', h2.block)
    await h1.apply(stateOf(h1, hosts))
    t.match(await h1.states(), [{ state: 'up' }, { state: 'up' }])
  })

  t.test('another provider removes what the one before made', async t => {
    await connect()
    await h1.restart({ PROVIDER: 'none' })
    await h1.apply(stateOf(h1, hosts))
    t.equal(h1.run('ip', 'route', 'show', 'proto', '142'), '')
    t.match(await h1.states(), [{ state: 'up' }, { state: 'up' }])
    await h1.restart({})
    await h1.apply(stateOf(h1, hosts))
    t.ok(pings(h1.containerName, h2.container))
    // Nothing is known any more but that the network was routed.
    await h1.restart({ PROVIDER: 'none' })
    await h1.remove()
    t.equal(h1.run('ip', 'route', 'show', 'proto', '142'), '')
    await h1.restart({})
  })

  t.test('removal leaves nothing', async t => {
    await h1.remove()
    const before = hostState(h1)
    await h1.apply(stateOf(h1, hosts))
    t.notSame(hostState(h1), before)
    await h1.remove()
    await h1.remove()
    t.strictSame(hostState(h1), before)
  })
})
