/** Network policies where containers have IPv6 addresses too, judged by the real kernel, and what happens when they cannot be held. */
import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import type { HostNetwork, NetworkSettings } from '../../../agent/network/index.ts'
import { PodIndex, type PolicyInput } from '../../../netplugins/policy/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { makeHostDirectories, makeHostNetwork, makeRuntime, SETTINGS } from './host.ts'
import { addNamespace, connectOutside, kernelState, namespacePath, Peer, run } from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(180_000)

const DUAL: NetworkSettings = {
  ...SETTINGS,
  network: { kind: 'bridge', options: { ipv6Prefix: 'fd42::/96' }, hostPorts: true },
}

const NAMES = ['web', 'db', 'other'] as const
type Name = (typeof NAMES)[number]

interface Container {
  readonly peer: Peer
  readonly address: string
  readonly address6: string
}

function attachment(name: string) {
  return { containerId: name, namespace: namespacePath(name), interfaceName: 'eth0' }
}

function setsOf(pattern: RegExp): string[] {
  return run('ipset', 'list', '-name')
    .split('\n')
    .filter(name => pattern.test(name))
}

/** From here on `ipset` knows no IPv6, as where its module is missing. @returns ends that */
function breakIpv6Sets(directory: string): () => void {
  const script = `#!/bin/sh
case "$1" in save) exec ${run('which', 'ipset').trim()} "$@";; esac
input=$(cat)
case "$input" in *inet6*|*RNCH6*) echo "ipset: no such family" >&2; exit 1;; esac
printf '%s\\n' "$input" | exec ${run('which', 'ipset').trim()} "$@"
`
  writeFileSync(path.join(directory, 'ipset'), script, { mode: 0o755 })
  const before = process.env.PATH
  process.env.PATH = `${directory}:${before}`
  return () => {
    process.env.PATH = before
  }
}

t.test('policies for both families', { skip }, async t => {
  connectOutside()
  NAMES.forEach(addNamespace)
  const { links, rules } = kernelState()
  const before = { links, rules }
  const directories = await makeHostDirectories()
  const base = path.dirname(directories.dataDirectory)
  let network: HostNetwork = makeHostNetwork(directories)
  await network.start()
  await network.configure(DUAL)
  const runtime = makeRuntime(directories)
  const containers = new Map<Name, Container>()
  for (const name of NAMES) {
    const { ips } = await runtime.add(attachment(name))
    const [address = '', address6 = ''] = ips.map(ip => ip.address.split('/')[0])
    const peer = await Peer.start(name, name)
    for (const any of ['0.0.0.0', '::']) {
      await peer.listen('tcp', 80, any)
      await peer.listen('udp', 53, any)
    }
    containers.set(name, { peer, address, address6 })
  }
  const get = (name: Name) => containers.get(name) as Container
  /** By IPv4, and by IPv6. */
  const reaches = async (from: Name, to: Name, protocol: 'tcp' | 'udp' = 'tcp') => {
    const port = protocol === 'tcp' ? 80 : 53
    const { address, address6 } = get(to)
    return [
      await get(from).peer.reaches(protocol, address, port),
      await get(from).peer.reaches(protocol, address6, port),
    ]
  }
  const members = NAMES.map(name => ({
    address: get(name).address,
    labels: { app: name },
    stackUuid: name === 'other' ? 'two' : 'one',
    linkedServiceUuids: [],
    system: false,
  }))
  const stackOnly: PolicyInput = {
    network: { defaultAction: 'deny', rules: [{ within: 'stack', action: 'allow' }], members },
  }
  const pods = new PodIndex()
  for (const name of NAMES) {
    pods.putPod({ namespace: 'shop', name, address: get(name).address, labels: { app: name } })
  }
  const ingress = (...from: object[]): PolicyInput => {
    const spec = { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ from, ports: [{ port: 80 }] }] }
    return { kubernetes: { policies: [{ metadata: { name: 'in', namespace: 'shop' }, spec }], pods } }
  }
  const apply = async (input: PolicyInput) => {
    network.setPolicy(input)
    await network.reconcileNow('test')
  }

  await t.test('without a policy, there is nothing of it', async t => {
    t.strictSame(await reaches('other', 'db'), [true, true])
    t.strictSame(setsOf(/^(RNCH|TMP)6-/), [])
    t.notMatch(run('ip6tables-save'), 'CATTLE_POLICY')
  })
  await t.test('of the network object', async t => {
    await apply(stackOnly)
    t.equal(network.failure, undefined)
    t.strictSame(await reaches('web', 'db'), [true, true])
    t.strictSame(await reaches('other', 'db'), [false, false])
    t.strictSame(await reaches('db', 'other', 'udp'), [false, false])
    const none: PolicyInput = { network: { defaultAction: 'allow', rules: [], members } }
    await apply(none)
    t.strictSame(await reaches('other', 'db'), [true, true])
    t.strictSame(setsOf(/^(RNCH|TMP)/), [])
  })
  await t.test('of Kubernetes: by label, and by blocks of either family', async t => {
    await apply(ingress({ podSelector: { matchLabels: { app: 'web' } } }))
    t.strictSame(await reaches('web', 'db'), [true, true])
    t.strictSame(await reaches('web', 'db', 'udp'), [false, false])
    t.strictSame(await reaches('other', 'db'), [false, false])
    t.strictSame(await reaches('db', 'other'), [true, true], 'answers come back')
    await apply(ingress({ ipBlock: { cidr: '0.0.0.0/0' } }))
    t.strictSame(await reaches('other', 'db'), [true, false])
    await apply(ingress({ ipBlock: { cidr: '::/0', except: [`${get('web').address6}/128`] } }))
    t.strictSame(await reaches('other', 'db'), [false, true])
    t.strictSame(await reaches('web', 'db'), [false, false])
  })
  const byLabel = ingress({ podSelector: { matchLabels: { app: 'web' } } })
  await t.test('the agent stops, starts, and does not know yet what is wanted', async t => {
    await apply(byLabel)
    await network.stop()
    t.strictSame(await reaches('other', 'db'), [false, false])
    network = makeHostNetwork(directories)
    await network.start()
    t.strictSame(await reaches('other', 'db'), [false, false])
    t.strictSame(await reaches('web', 'db'), [true, true])
    await apply(byLabel)
  })
  await t.test('a flush of everything is repaired', async t => {
    for (const table of ['filter', 'nat']) run('ip6tables', '-t', table, '-F')
    run('ipset', 'flush')
    await network.reconcileNow('test')
    t.strictSame(await reaches('other', 'db'), [false, false])
    t.strictSame(await reaches('web', 'db'), [true, true])
  })
  await t.test('where there are no sets for IPv6, nobody reaches by it who is isolated', async t => {
    const mend = breakIpv6Sets(base)
    t.teardown(mend)
    run('ip6tables', '-F')
    for (const name of setsOf(/^RNCH6-/)) run('ipset', 'destroy', name)
    await apply(ingress({ podSelector: {} }))
    // Whether the flush was noticed before is chance; a change of rules that are gone is refused once.
    await network.reconcileNow('test')
    t.match(network.failure, /policy: network policies for IPv6: are not enforced.*no such family/s)
    t.strictSame(await reaches('other', 'db'), [true, false], 'IPv4 goes on')
    t.strictSame(await reaches('web', 'other'), [true, true], 'and whoever is not isolated')
    mend()
    await apply(byLabel)
    t.equal(network.failure, undefined)
    t.strictSame(await reaches('web', 'db'), [true, true])
    t.strictSame(await reaches('other', 'db'), [false, false])
  })
  await t.test('without a prefix again', async t => {
    await network.configure(SETTINGS)
    await apply(byLabel)
    t.strictSame(await reaches('web', 'db'), [true, false])
    t.strictSame(await reaches('other', 'db'), [false, false])
    t.notMatch(run('ip6tables-save'), 'CATTLE_')
    t.strictSame(setsOf(/^(RNCH|TMP)6-/), [])
    await network.configure(DUAL)
    t.equal(network.failure, undefined)
    t.strictSame(await reaches('web', 'db'), [true, true])
    t.strictSame(await reaches('other', 'db'), [false, false], 'closed before it is open')
  })
  await t.test('uninstalled, nothing is left', async t => {
    for (const name of NAMES) {
      await get(name).peer.stop()
      await runtime.delete(attachment(name))
    }
    await network.uninstall()
    t.strictSame(setsOf(/^(RNCH|TMP)/), [])
    t.notMatch(run('ip6tables-save'), 'CATTLE_')
    const after = kernelState()
    t.strictSame({ links: after.links, rules: after.rules }, before)
  })
  rmSync(base, { recursive: true })
})
