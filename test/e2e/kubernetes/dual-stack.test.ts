/**
 * Containers with an IPv6 address beside their IPv4 one, from `drover network set` to the packets: what pods say of
 * themselves, who reaches whom by which family, and what the wire sees.
 */
import t from 'tap'
import { requireIpv6Prefix, withIpv6Prefix } from '../../../kit/index.ts'
import { LABEL } from '../../../protocol/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { missingKubectl } from '../master/kubectl.ts'
import { Capture } from '../network/ipsec-lab.ts'
import { answers, PodFleet, type RunningPod } from './pods.ts'

const skip = (await missingKubectl()) || inPrivateNetwork(import.meta.filename)

t.setTimeout(400_000)

const PREFIX = requireIpv6Prefix('fd42::/96', 'test')
const OPTIONS = JSON.stringify({ ipv6Prefix: PREFIX.text })
const PORT = 8080

/** Part of what every process in a pod answers by IPv6. */
const MARKER = 'sees fd42:'

function policy(name: string, ingress: readonly object[]): object {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name },
    spec: { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress'], ingress },
  }
}

t.test('dual stack', { skip, timeout: 390_000 }, async t => {
  const world = await PodFleet.start(t, 'dual', 2)
  const { fleet } = world
  const choose = (kind: string, options?: string) =>
    fleet.drover(
      ['network', 'set', kind, ...(options === undefined ? [] : ['--options', options]), '--timeout', '60s'],
      { deadline: 90_000, acceptedExitCodes: [0, 1, 2] },
    )
  const podIps = async (name: string) => {
    const path = 'jsonpath={.status.podIPs[*].ip}'
    return (await fleet.kubectl(['get', 'pod', name, '-o', path])).stdout.split(' ')
  }
  const ports = [['tcp', PORT]] as const
  const address6 = ({ address }: RunningPod) => withIpv6Prefix(PREFIX, address)
  /** Waits until it is so by IPv4 and by IPv6. */
  const reach = async (from: RunningPod, to: RunningPod, ipv4: boolean, ipv6: boolean) => {
    for (const [isWanted, target] of [
      [ipv4, to.address],
      [ipv6, address6(to)],
    ] as const) {
      await answers(
        `${from.name} → ${to.name} at ${target} ${isWanted ? 'opens' : 'closes'}`,
        () => from.peer.ask('tcp', target, PORT, 600),
        answer => (isWanted ? answer.startsWith(`${to.name} sees `) : answer === 'silence'),
      )
    }
  }

  const [old] = (await world.run([{ name: 'old', host: 1 }], ports)) as [RunningPod]
  await t.test('what cannot be is refused, and says why', async t => {
    const wrong = await choose('vxlan', '{"ipv6Prefix":"fd42::/64"}')
    t.not(wrong.exitCode, 0)
    t.match(wrong.stderr, /ipv6Prefix.*must be a unicast prefix of 96 bits such as fd42::\/96/)
    const routed = await choose('routed', `{"routed":{"provider":"hostgw"},"ipv6Prefix":"${PREFIX.text}"}`)
    t.not(routed.exitCode, 0)
    t.match(routed.stderr, /a network of kind routed has no IPv6 addresses/)
  })
  t.equal((await choose('vxlan', OPTIONS)).exitCode, 0)
  const [web, near, far] = (await world.run(
    [
      { name: 'web', host: 1, labels: { app: 'web' } },
      { name: 'near', host: 1, labels: { app: 'near' } },
      { name: 'far', host: 2, labels: { app: 'far' } },
    ],
    ports,
  )) as [RunningPod, RunningPod, RunningPod]
  const pods = [web, near, far]
  for (const pod of pods) await pod.peer.listen('tcp', PORT, address6(pod))

  await t.test('pods say both of their addresses', async t => {
    for (const pod of pods) t.strictSame(await podIps(pod.name), [pod.address, address6(pod)])
    t.strictSame(await podIps('old'), [old.address], 'who was there before has one')
    const { stdout } = await fleet.drover(['network', 'ls'])
    t.match(stdout, /10\.42\.0\.0\/16 fd42::\/96/)
    t.match((await fleet.drover(['hosts'])).stdout, /vxlan 1\/1 fd42::\/96/)
  })
  await t.test('names lead to both, and both to names', async () => {
    const name = 'web-main.default.discover.internal'
    const query = (question: string, type: string) => async () =>
      (await fleet.drover(['dns', 'query', question, type])).stdout
    await answers('A', query(name, 'A'), answer => answer.includes(web.address))
    await answers('AAAA', query(name, 'AAAA'), answer => answer.includes(address6(web)))
    await answers('PTR', query(address6(web), 'PTR'), answer => answer.includes(name))
    await answers('AAAA of who has none', query('old-main.default.discover.internal', 'AAAA'), answer =>
      answer.includes('ENODATA'),
    )
    const path = '/latest/containers/web-main/ips/1'
    const [container] = await fleet.docker([`${LABEL.podName}=web`])
    const told = async () =>
      (await fleet.drover(['metadata', 'get', path, '--as', container?.id ?? ''])).stdout
    await answers('metadata', told, answer => answer.trim() === address6(web))
  })
  await t.test('everybody reaches everybody by both', async () => {
    for (const from of pods) for (const to of pods) if (from !== to) await reach(from, to, true, true)
  })
  await t.test('a policy isolates by both, and lets in by both', async () => {
    await world.apply(policy('closed', []))
    for (const from of [near, far]) await reach(from, web, false, false)
    await reach(web, far, true, true)
    await world.apply(policy('by-label', [{ from: [{ podSelector: { matchLabels: { app: 'far' } } }] }]))
    await reach(far, web, true, true)
    await reach(near, web, false, false)
  })
  await t.test('a new pod is isolated from the start', async t => {
    const wish = { name: 'web-2', host: 1, labels: { app: 'web' } }
    const [second] = (await world.run([wish], ports)) as [RunningPod]
    await second.peer.listen('tcp', PORT, address6(second))
    t.equal(await near.peer.reaches('tcp', address6(second), PORT), false)
    await world.delete('pod', 'web-2')
  })
  await t.test('blocks count in their own family', async () => {
    const block = (cidr: string) => policy('by-block', [{ from: [{ ipBlock: { cidr } }] }])
    await world.apply(block('0.0.0.0/0'))
    await reach(near, web, true, false)
    await world.apply(block('::/0'))
    await reach(near, web, false, true)
    await world.apply(block('fd42::/96'))
    await reach(near, web, false, true)
    await world.delete('networkpolicy', 'by-block')
    await reach(near, web, false, false)
  })
  await t.test('an agent that is killed leaves them in force, and the next one keeps them', async t => {
    await fleet.first.run('kill', ['-KILL', String(await fleet.daemonPid('agent'))])
    t.equal(await near.peer.reaches('tcp', address6(web), PORT), false)
    await fleet.quickstart()
    await reach(near, web, false, false)
    await reach(far, web, true, true)
  })
  await t.test('encrypted, nobody on the wire sees what is said by either', async t => {
    await world.delete('networkpolicy', '--all')
    await reach(far, web, true, true)
    const open = await Capture.start()
    await reach(far, web, true, true)
    // The last packets before the end may be missing.
    await far.peer.transfer(address6(web), PORT, 1_000_000)
    t.ok((await open.stop()).includes(MARKER), 'it would be seen')
    t.equal((await choose('ipsec', OPTIONS)).exitCode, 0)
    const closed = await Capture.start()
    for (const [from, to] of [
      [far, web],
      [web, far],
    ] as const) {
      await reach(from, to, true, true)
      t.match(await from.peer.transfer(address6(to), PORT, 1_000_000), /sent 1000000$/)
    }
    const wire = await closed.stop()
    t.ok(wire.length > 1_000_000, 'there was traffic')
    t.notOk(wire.includes(MARKER))
    t.notOk(wire.includes('sees 10.42.'))
  })
  await t.test('without the option, new pods have one address, and nothing of IPv6 is left', async t => {
    t.equal((await choose('vxlan')).exitCode, 0)
    const [late] = (await world.run([{ name: 'late', host: 2 }], ports)) as [RunningPod]
    t.strictSame(await podIps('late'), [late.address])
    await answers(
      'whoever had two has one that counts',
      async () => (await podIps('web')).join(' '),
      answer => answer === web.address,
    )
    for (const host of [fleet.first, fleet.host(2)]) {
      await answers(
        `${host.name} has no rules of IPv6`,
        async () => (await host.run('ip6tables-save', [])).stdout,
        rules => !rules.includes('CATTLE_'),
      )
      t.notMatch((await host.run('ipset', ['list', '-name'])).stdout, /^(RNCH|TMP)6-/m)
    }
  })
})
