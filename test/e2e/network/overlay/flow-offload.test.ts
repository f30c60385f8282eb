/** Packets of known flows take a short way through two hosts, in the real kernel; and nobody else's do. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { attachedPrograms } from '../../../../netplugins/bpf/index.ts'
import { inNetworkNamespace } from '../../../../netplugins/netlink/index.ts'
import { until } from '../../../lab/fleet.ts'
import { inPrivateNetwork } from '../../../lab/private-network.ts'
import { deleteNamespace, namespacePath, Peer, runIn } from '../lab.ts'
import {
  addContainer,
  attachmentOf,
  BRIDGE,
  hostState,
  type OverlayHost,
  startHosts,
  stateOf,
} from './world.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(180_000)

const BYTES = 100 * 1024 * 1024
/** Bytes of the part of a transfer that may pass the rules: what comes before the flow is known, and a packet a second. */
const FEW = BYTES / 10

/** Bytes of a question of a peer by UDP. */
const DATAGRAM = 33

/** Everything of the short way that could be on a host. */
function leftovers(host: OverlayHost): Record<string, unknown> {
  const settings = ['nf_conntrack_tcp_be_liberal', 'nf_conntrack_tcp_timeout_unacknowledged']
  return {
    ...hostState(host),
    tables: host.run('nft', 'list', 'tables', 'ip'),
    settings: host.run('sysctl', ...settings.map(name => `net.netfilter.${name}`)),
  }
}

/** Counts what passes the host's rules from one container to the other. */
class Counter {
  readonly #host: OverlayHost
  readonly #name: string
  #taken = 0

  constructor(host: OverlayHost, protocol: 'tcp' | 'udp', from: string, to: string) {
    this.#host = host
    this.#name = `counted-${protocol}`
    const match = ['-p', protocol, '-s', from, '-d', to, '-m', 'comment', '--comment', this.#name]
    host.run('iptables', '-A', 'CATTLE_USER', ...match)
  }

  /** @returns bytes since the last call */
  take(): number {
    const lines = this.#host.run('iptables', '-nvxL', 'CATTLE_USER').split('\n')
    const columns = lines
      .find(line => line.includes(`/* ${this.#name} */`))
      ?.trim()
      .split(/\s+/)
    const all = Number(columns?.[1])
    const since = all - this.#taken
    this.#taken = all
    return since
  }
}

t.test('the short way', { skip }, async t => {
  const [h1, h2] = await startHosts(t, { kind: 'vxlan' })
  const both = [h1, h2]
  await Promise.all(both.map(host => host.apply(stateOf(host, both))))
  // Connection tracking has its settings once it is in use.
  h1.run('iptables', '-A', 'CATTLE_USER', '-m', 'conntrack', '--ctstate', 'INVALID')
  const before = both.map(leftovers)
  const server = await Peer.start('c2', h2.containerName)
  const client = await Peer.start('c1', h1.containerName)
  t.teardown(() => Promise.all([server.stop(), client.stop()]))
  await server.listen('tcp', 80)
  await server.listen('udp', 53)
  const counters = both.map(host => new Counter(host, 'tcp', h1.container, h2.container))
  const counted = () => counters.map(counter => counter.take())
  const transfer = () => client.transfer(h2.container, 80, BYTES)

  t.test('everything passes the rules without it', async t => {
    await transfer()
    for (const bytes of counted()) t.ok(bytes > BYTES, `${bytes} bytes`)
  })

  t.test('little does with it', async t => {
    await Promise.all(both.map(host => host.offload()))
    counted()
    t.equal(await transfer(), `c2 sees ${h1.container} sent ${BYTES}`)
    for (const bytes of counted()) t.ok(bytes > 0 && bytes < FEW, `${bytes} bytes`)
  })

  t.test('connection tracking sees the end of a connection', async t => {
    for (const host of both) {
      const tracked = host.run('conntrack', '-L', '-p', 'tcp', '-s', h1.container, '-d', h2.container)
      t.match(tracked, 'TIME_WAIT')
      t.notMatch(tracked, 'ESTABLISHED')
    }
  })

  t.test('it is there again after whatever happened to it', async t => {
    const changes: Record<string, () => void> = {
      'the tunnel made anew': () => h1.run('ip', 'link', 'delete', 'vtep1042'),
      'the rules flushed': () => h1.run('nft', 'delete', 'table', 'ip', 'drover_flows'),
      'another MTU': () => h1.run('ip', 'link', 'set', 'drover0', 'mtu', '1400'),
    }
    for (const [what, change] of Object.entries(changes)) {
      change()
      await h1.verify(stateOf(h1, both))
      await h1.rulesChanged()
      await h1.offload()
      counted()
      await transfer()
      for (const bytes of counted()) t.ok(bytes < FEW, `${what}: ${bytes} bytes`)
    }
  })

  t.test('another process takes it over', async t => {
    await h1.restart({})
    await transfer()
    for (const bytes of counted()) t.ok(bytes < FEW, `nobody looks after it: ${bytes} bytes`)
    await h1.offload()
    await transfer()
    for (const bytes of counted()) t.ok(bytes < FEW, `${bytes} bytes`)
  })

  t.test('translated connections do not take it, and work', async t => {
    const service = ['-d', '10.43.0.9', '-p', 'tcp', '--dport', '80']
    h1.run(
      'iptables',
      '-t',
      'nat',
      '-A',
      'PREROUTING',
      ...service,
      '-j',
      'DNAT',
      '--to',
      `${h2.container}:80`,
    )
    counted()
    t.equal(await client.transfer('10.43.0.9', 80, BYTES), `c2 sees ${h1.container} sent ${BYTES}`)
    const [there = 0, here = 0] = counted()
    t.ok(there > BYTES, 'where they are translated')
    t.ok(here < FEW, 'where they are not')
  })

  t.test('of UDP, flows that last', async t => {
    const counter = new Counter(h1, 'udp', h1.container, h2.container)
    const ask = () => client.askFrom(5353, h2.container, 53)
    await until('the flow is known', 20_000, async () => {
      counter.take()
      for (let count = 0; count < 20; count += 1) await ask()
      return counter.take() < 10 * DATAGRAM
    })

    const refuse = ['CATTLE_USER', '-p', 'udp', '-d', h2.container, '-j', 'DROP']
    h2.run('iptables', '-A', ...refuse)
    await until('what is refused now no longer passes', 10_000, () =>
      ask().then(
        () => false,
        () => true,
      ),
    )
    h2.run('iptables', '-D', ...refuse)
    await ask()
    for (let count = 0; count < 20; count += 1) await ask()
    h2.run('iptables', '-A', ...refuse)
    await h2.forgetFlows()
    await t.rejects(ask(), 'at once, where somebody says so')
    h2.run('iptables', '-D', ...refuse)

    // A neighbour that sends in its name, and does not give itself away.
    addContainer(h1.name, 'other', h1.container, 1450)
    t.teardown(() => deleteNamespace('other'))
    const [gateway] = JSON.parse(h1.run('ip', '-json', 'link', 'show', BRIDGE)) as [{ address: string }]
    const way = ['dev', 'eth0', 'lladdr', gateway.address]
    runIn('other', 'ip', 'link', 'set', 'eth0', 'arp', 'off')
    runIn('other', 'ip', 'neighbour', 'replace', h2.container, ...way, 'nud', 'permanent')
    const other = await Peer.start('other', 'other')
    await ask()
    counter.take()
    await t.rejects(other.askFrom(5353, h2.container, 53))
    const bytes = counter.take()
    t.ok(bytes > 20 * DATAGRAM, `each of its packets passes the rules: ${bytes} bytes`)
    await other.stop()
  })

  t.test('not for links where somebody limits what comes in', async t => {
    h1.run('tc', 'qdisc', 'add', 'dev', 'vethr-c1', 'ingress')
    await h1.offload()
    counted()
    await transfer()
    const [there = 0, here = 0] = counted()
    t.ok(there > BYTES, 'on that host')
    t.ok(here < FEW, 'on the other one')
    const [{ ifindex: link }] = JSON.parse(h1.run('ip', '-json', 'link', 'show', 'vethr-c1')) as [
      { ifindex: number },
    ]
    const present = inNetworkNamespace(namespacePath(h1.name), () =>
      attachedPrograms({ link, direction: 'ingress' }),
    )
    t.strictSame(present, [], 'no program of ours is there')
    h1.run('tc', 'qdisc', 'del', 'dev', 'vethr-c1', 'ingress')
  })

  t.test('a gone container is fine', async t => {
    await h1.offload(attachmentOf('gone', '10.42.1.9', 'vethr-gone'))
    t.equal(await transfer(), `c2 sees ${h1.container} sent ${BYTES}`)
  })

  t.test('nothing is left of it', async t => {
    await Promise.all(both.map(host => host.endOffload()))
    for (const host of both) host.run('iptables', '-t', 'nat', '-F', 'PREROUTING')
    t.strictSame(
      both.map(leftovers).map(({ settings, tables }) => ({ settings, tables })),
      before.map(({ settings, tables }) => ({ settings, tables })),
    )
    counted()
    await transfer()
    for (const bytes of counted()) t.ok(bytes > BYTES, `${bytes} bytes`)
    t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), '/sys/fs/bpf')
  })
})
