/** The VXLAN network between three hosts, in the real kernel. */
import t from 'tap'
import type { OverlayState } from '../../../../netplugins/overlay/index.ts'
import { inPrivateNetwork } from '../../../lab/private-network.ts'
import { Peer, runIn } from '../lab.ts'
import { hostState, type OverlayHost, pings, startHosts, stateOf } from './world.ts'

const skip = inPrivateNetwork(import.meta.filename)

// Many processes are started; on a busy machine that takes longer than the usual limit.
t.setTimeout(180_000)

/** More than one packet of any MTU, many times. */
const BYTES = 10 * 1024 * 1024

t.test('the VXLAN network', { skip }, async t => {
  const hosts = await startHosts(t, { kind: 'vxlan' })
  const [h1, h2, h3] = hosts
  const connect = () => Promise.all(hosts.map(host => host.apply(stateOf(host, hosts))))

  t.test('packets get everywhere', async t => {
    await connect()
    for (const from of hosts) {
      for (const to of hosts) {
        t.ok(pings(from.containerName, to.container), `${from.containerName} → ${to.containerName}`)
        t.ok(pings(from.name, to.container), `${from.name} → ${to.containerName}`)
        t.ok(pings(from.containerName, to.address), `${from.containerName} → ${to.name}`)
      }
    }
    t.ok(pings(h1.containerName, h2.container, '-M', 'do', '-s', String(1450 - 28)), 'the largest packet')
    t.notOk(pings(h1.containerName, h2.container, '-M', 'do', '-s', String(1450 - 27)), 'not one byte more')

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
    const vtep = 'vtep1042'
    const make = (...args: string[]) => ip('link', 'add', ...args)
    const changes: Record<string, () => void> = {
      'the link deleted': () => ip('link', 'delete', vtep),
      'the link down': () => ip('link', 'set', vtep, 'down'),
      'another MAC address': () => ip('link', 'set', vtep, 'address', '0e:00:00:00:00:01'),
      'another MTU': () => ip('link', 'set', vtep, 'mtu', '1200'),
      'a port of the bridge': () => ip('link', 'set', vtep, 'master', 'drover0'),
      'another identifier': () => {
        ip('link', 'delete', vtep)
        make(vtep, 'type', 'vxlan', 'id', '7', 'dstport', '4789', 'nolearning')
      },
      'another port': () => {
        ip('link', 'delete', vtep)
        make(vtep, 'type', 'vxlan', 'id', '1042', 'dstport', '8472', 'nolearning')
      },
      'another source address': () => {
        ip('link', 'delete', vtep)
        make(vtep, 'type', 'vxlan', 'id', '1042', 'dstport', '4789', 'nolearning', 'local', '192.0.2.99')
      },
      learning: () => {
        ip('link', 'delete', vtep)
        make(vtep, 'type', 'vxlan', 'id', '1042', 'dstport', '4789', 'local', h1.address)
      },
      'another name': () => {
        ip('link', 'set', vtep, 'down')
        ip('link', 'set', vtep, 'name', 'vtep7', 'up')
      },
      'its address deleted': () => ip('address', 'flush', 'dev', vtep),
      'the route deleted': () => ip('route', 'delete', h2.block),
      'the uplink with another MTU': () => ip('link', 'set', 'eth0', 'mtu', '1400'),
    }
    for (const [name, change] of Object.entries(changes)) {
      await h1.concernedBy(change)
      t.ok((await h1.verify(state)) > 0, `${name}: repaired`)
      t.equal(await h1.verify(state), 0, `${name}: once`)
      t.ok(pings(h1.containerName, h2.container), `${name}: packets pass again`)
    }
    t.match(ip('link', 'show', vtep), 'mtu 1350', 'the MTU follows the uplink')
    ip('link', 'set', 'eth0', 'mtu', '1500')
    await h1.verify(state)

    const fdb = (...args: string[]) => h1.run('bridge', 'fdb', ...args)
    const silent: Record<string, () => void> = {
      'the forwarding entry deleted': () =>
        fdb('delete', '0e:00:c0:00:02:02', 'dev', vtep, 'dst', h2.address, 'self'),
      'the forwarding entry elsewhere': () =>
        fdb('replace', '0e:00:c0:00:02:02', 'dev', vtep, 'dst', '192.0.2.77', 'self', 'permanent'),
      'a forwarding entry of nobody': () =>
        fdb('add', '0e:00:c0:00:02:63', 'dev', vtep, 'dst', '192.0.2.99', 'self', 'permanent'),
      'a neighbour with another MAC address': () =>
        ip(
          'neighbour',
          'replace',
          h2.address,
          'lladdr',
          '02:00:00:00:00:09',
          'dev',
          vtep,
          'nud',
          'permanent',
        ),
      'the neighbour deleted': () => ip('neighbour', 'delete', h2.address, 'dev', vtep),
      'a route to nobody': () =>
        ip('route', 'add', '10.42.77.0/26', 'via', '192.0.2.77', 'dev', vtep, 'onlink', 'proto', '142'),
      'the set of peers without one': () => h1.run('ipset', 'del', 'DROVER_VXLAN_PEERS', h2.address),
    }
    for (const [name, change] of Object.entries(silent)) {
      change()
      t.ok((await h1.verify(state)) > 0, `${name}: repaired`)
      t.equal(await h1.verify(state), 0, `${name}: once`)
      t.ok(pings(h1.containerName, h2.container), `${name}: packets pass`)
    }
  })

  t.test('hosts come, change and go', async t => {
    await connect()
    await h1.apply(stateOf(h1, [h1, h2]))
    t.notOk(pings(h3.containerName, h1.container), 'who is no peer any more is not heard')
    t.ok(pings(h2.containerName, h1.container))

    // In this order: with the first address of a network its others go.
    h3.run('ip', 'address', 'delete', `${h3.address}/24`, 'dev', 'eth0')
    h3.run('ip', 'address', 'add', '192.0.2.33/24', 'dev', 'eth0')
    const moved = (host: OverlayHost): OverlayState => {
      const state = stateOf(host, hosts)
      const peers = state.peers.map(peer =>
        peer.hostId === 'h3'
          ? { ...peer, address: '192.0.2.33', blocks: [...peer.blocks, '10.42.33.0/26'] }
          : peer,
      )
      return { ...state, peers, ...(host === h3 ? { address: '192.0.2.33' } : {}) }
    }
    for (const host of hosts) await host.apply(moved(host))
    for (const host of [h1, h2]) {
      t.ok(pings(host.containerName, h3.container), `${host.name} knows the new address`)
      t.ok(pings(h3.containerName, host.container), `and is known to the host with it`)
      t.equal(await host.verify(moved(host)), 0)
    }
    t.match(h1.run('ip', 'route', 'get', '10.42.33.1'), 'via 192.0.2.33 dev vtep1042')
    h3.run('ip', 'address', 'delete', '192.0.2.33/24', 'dev', 'eth0')
    h3.run('ip', 'address', 'add', `${h3.address}/24`, 'dev', 'eth0')
  })

  t.test('one wrong peer harms no other', async t => {
    await connect()
    const wrong = { name: 'wrong', labels: {}, blocks: [] }
    h1.run('ip', 'route', 'add', '10.42.9.0/26', 'via', '192.0.2.9', 'dev', 'eth0', 'onlink')
    const state = stateOf(h1, hosts)
    const peers = [
      { ...wrong, hostId: 'address', address: 'ten', blocks: ['10.42.5.0/26'] },
      ...state.peers,
      { ...wrong, hostId: 'twin', address: h2.address },
      { ...wrong, hostId: 'thief', address: '192.0.2.6', blocks: ['10.42.2.0/28'] },
      { ...wrong, hostId: 'stranger', address: '192.0.2.7', blocks: ['10.43.0.0/26'] },
      { ...wrong, hostId: 'foreign', address: '192.0.2.8', blocks: ['10.42.9.0/26'] },
    ]
    await t.rejects(h1.apply({ ...state, peers }), /10\.42\.9\.0\/26.*EEXIST/)
    t.match(await h1.states(), [
      { hostId: 'address', state: 'down', reason: /not an IPv4 address/ },
      { hostId: 'h2', state: 'up' },
      { hostId: 'h3', state: 'up' },
      { hostId: 'twin', state: 'down', reason: /another host has the address/ },
      { hostId: 'thief', state: 'down', reason: /another host's/ },
      { hostId: 'stranger', state: 'down', reason: /outside/ },
      { hostId: 'foreign', state: 'down', reason: /EEXIST/ },
    ])
    t.ok(pings(h1.containerName, h2.container))
    t.match(h1.run('ip', 'route', 'show', '10.42.9.0/26'), 'dev eth0', "somebody else's route stays")
    h1.run('ip', 'route', 'delete', '10.42.9.0/26')
  })

  t.test('strangers are not let in, and nothing leads out', async t => {
    await connect()
    // Still believes to be a peer of h1.
    const withoutThird = stateOf(h1, [h1, h2])
    await h1.apply(withoutThird)
    t.notOk(pings(h3.name, h1.container))
    // A kernel without sets.
    h1.installRules({
      ...(await h1.rules(withoutThird)),
      input: [
        `-s ${h2.address}/32 -p udp -m udp --dport 4789 -j RETURN`,
        '-p udp -m udp --dport 4789 -j DROP',
      ],
    })
    t.ok(pings(h2.containerName, h1.container))
    t.notOk(pings(h3.containerName, h1.container))
    // A peer that wants to be forwarded to somewhere else by h1.
    h2.run('ip', 'route', 'add', '192.0.2.50', 'via', h1.address, 'dev', 'vtep1042', 'onlink')
    runIn('switch', 'ip', 'address', 'add', '192.0.2.50/24', 'dev', 'lan0')
    runIn('switch', 'ip', 'route', 'add', '10.42.0.0/16', 'via', h1.address)
    t.notOk(pings(h2.name, '192.0.2.50'))
  })

  t.test('a link that is in the way', async t => {
    await h1.remove()
    const state = stateOf(h1, hosts)
    h1.run('ip', 'link', 'add', 'vtep1042', 'type', 'bridge')
    await t.rejects(h1.apply(state), /vtep1042: is not a VXLAN link but bridge/)
    t.match(await h1.states(), [{ hostId: 'h2', state: 'down', reason: /not a VXLAN link/ }])
    h1.run('ip', 'link', 'delete', 'vtep1042')
    h1.run('ip', 'link', 'add', 'flannel.1', 'type', 'vxlan', 'id', '1042', 'dstport', '4789')
    await t.rejects(h1.apply(state), /flannel\.1 has its identifier/)
    h1.run('ip', 'link', 'delete', 'flannel.1')
    await h1.apply(state)
    t.match(await h1.states(), [{ hostId: 'h2', state: 'up' }])
  })

  t.test('removal leaves nothing', async t => {
    await h1.remove()
    const before = hostState(h1)
    await h1.apply(stateOf(h1, hosts))
    t.notSame(hostState(h1), before)
    await h1.remove()
    t.strictSame(hostState(h1), before)
    await h1.apply(stateOf(h1, hosts))
    await h1.remove()
    await h1.remove()
    t.strictSame(hostState(h1), before)
  })
})
