/** Who may talk to whom, judged by the real kernel: containers of one host, and the world outside. */
import { rmSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { PodIndex, type PolicyInput } from '../../../netplugins/policy/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { BRIDGE, METADATA, makeHostDirectories, makeHostNetwork, makeRuntime, SETTINGS } from './host.ts'
import {
  addNamespace,
  connectOutside,
  deleteNamespace,
  HOST_ADDRESS,
  kernelState,
  namespacePath,
  OUTSIDE_ADDRESS,
  Peer,
  run,
  runIn,
} from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(120_000)

const NAMES = ['web', 'db', 'other']

function attachment(name: string) {
  return { containerId: name, namespace: namespacePath(name), interfaceName: 'eth0' }
}

/** Waits until `condition` holds; the test's own time limit is the deadline. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(resolve => setTimeout(resolve, 10))
}

function ourSets(): string[] {
  return run('ipset', 'list', '-name')
    .split('\n')
    .filter(name => /^(RNCH|TMP)-/.test(name))
}

t.test('network policies', { skip }, async t => {
  connectOutside()
  NAMES.forEach(addNamespace)
  const { links, rules } = kernelState()
  const before = { links, rules }
  const directories = await makeHostDirectories()
  let network = makeHostNetwork(directories)
  await network.start()
  await network.configure(SETTINGS)
  const runtime = makeRuntime(directories)
  const addresses = new Map<string, string>()
  for (const [index, name] of NAMES.entries()) {
    const portMappings = [{ hostPort: 8000 + index, containerPort: 80 }]
    const result = await runtime.add({ ...attachment(name), portMappings })
    addresses.set(name, result.ips[0]?.address.split('/')[0] ?? '')
  }
  const names = [...NAMES, 'outside']
  const peers = new Map(
    await Promise.all(names.map(async name => [name, await Peer.start(name, name)] as const)),
  )
  const peer = (name: string) => peers.get(name) as Peer
  const address = (name: string) => addresses.get(name) ?? ''
  for (const name of names) {
    await peer(name).listen('tcp', 80)
    await peer(name).listen('udp', 53)
  }
  const reaches = (from: string, to: string, protocol: 'tcp' | 'udp' = 'tcp') =>
    peer(from).reaches(protocol, address(to), protocol === 'tcp' ? 80 : 53)

  const members = [
    {
      address: address('web'),
      labels: { app: 'web' },
      stackUuid: 'one',
      linkedServiceUuids: [],
      system: false,
    },
    {
      address: address('db'),
      labels: { app: 'db' },
      stackUuid: 'one',
      linkedServiceUuids: [],
      system: false,
    },
    {
      address: address('other'),
      labels: { app: 'other' },
      stackUuid: 'two',
      linkedServiceUuids: [],
      system: false,
    },
  ]
  const stackOnly: PolicyInput = {
    network: { defaultAction: 'deny', rules: [{ within: 'stack', action: 'allow' }], members },
  }
  const apply = async (input: PolicyInput) => {
    network.setPolicy(input)
    await network.reconcileNow('test')
    t.equal(network.failure, undefined)
  }

  await t.test('without a policy everybody reaches everybody, and no packet takes a longer way', async t => {
    t.ok(await reaches('other', 'db'))
    t.match(run('ip', '-details', 'link', 'show', BRIDGE), /nf_call_iptables 0/)
    t.strictSame(ourSets(), [])
  })
  await t.test('containers of one host are kept apart', async t => {
    await apply(stackOnly)
    t.ok(await reaches('web', 'db'))
    t.notOk(await reaches('other', 'db'))
    t.notOk(await reaches('db', 'other', 'udp'))
    t.ok(await peer('outside').ask('tcp', HOST_ADDRESS, 8001), 'published ports are for everybody outside')
    t.notOk(await peer('other').reaches('tcp', HOST_ADDRESS, 8001), 'and no way round')
    t.ok(await peer('web').reaches('tcp', HOST_ADDRESS, 8001))
    t.ok(await peer('other').ask('tcp', OUTSIDE_ADDRESS, 80), 'the outside is not meant')
    runIn('other', 'ping', '-c', '1', '-w', '5', METADATA)
  })
  await t.test('the agent stops, starts, and does not know yet what is wanted', async t => {
    await network.stop()
    t.notOk(await reaches('other', 'db'))
    network = makeHostNetwork(directories)
    await network.start()
    t.equal(network.failure, undefined)
    t.notOk(await reaches('other', 'db'))
    t.ok(await reaches('web', 'db'))
  })
  await t.test('members change, rules stay', async t => {
    const rules = () =>
      run('iptables-save', '-t', 'filter')
        .replace(/\[\d+:\d+\]/g, '')
        .replace(/^#.*$/gm, '')
    await apply(stackOnly)
    const good = rules()
    const moved = members.map(member => ({
      ...member,
      stackUuid: member.labels.app === 'web' ? 'two' : 'one',
    }))
    await apply({
      network: { defaultAction: 'deny', rules: [{ within: 'stack', action: 'allow' }], members: moved },
    })
    t.equal(rules(), good)
    t.ok(await reaches('other', 'db'))
    t.notOk(await reaches('web', 'db'))
  })
  await t.test('policies of Kubernetes', async t => {
    const pods = new PodIndex()
    for (const name of NAMES) {
      pods.putPod({ namespace: 'shop', name, address: address(name), labels: { app: name } })
    }
    pods.setNamespace('shop', {})
    const policy = (name: string, spec: object) => ({
      metadata: { name, namespace: 'shop' },
      spec: { podSelector: { matchLabels: { app: 'db' } }, ...spec },
    })
    const kubernetes = (...policies: ReturnType<typeof policy>[]): PolicyInput => ({
      kubernetes: { policies, pods },
    })
    await apply(
      kubernetes(
        policy('in', {
          ingress: [
            { from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 80 }] },
            { from: [{ ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.128/25'] } }] },
          ],
        }),
      ),
    )
    t.ok(await reaches('web', 'db'))
    t.notOk(await reaches('web', 'db', 'udp'))
    t.notOk(await reaches('other', 'db'))
    t.ok(await reaches('db', 'other'), 'answers come back')
    t.ok(await peer('outside').reaches('tcp', HOST_ADDRESS, 8001))
    runIn('outside', 'ip', 'address', 'add', '192.0.2.200/24', 'dev', 'eth0')
    runIn('outside', 'ip', 'route', 'replace', `${HOST_ADDRESS}/32`, 'dev', 'eth0', 'src', '192.0.2.200')
    t.notOk(await peer('outside').reaches('tcp', HOST_ADDRESS, 8001))
    t.ok(await peer('outside').reaches('tcp', HOST_ADDRESS, 8002))
    runIn('outside', 'ip', 'route', 'delete', `${HOST_ADDRESS}/32`)
    runIn('outside', 'ip', 'address', 'delete', '192.0.2.200/24', 'dev', 'eth0')

    await apply(
      kubernetes(
        policy('out', {
          policyTypes: ['Egress'],
          egress: [
            {
              to: [{ podSelector: { matchLabels: { app: 'web' } } }],
              ports: [{ protocol: 'UDP', port: 53 }],
            },
          ],
        }),
      ),
    )
    t.ok(await reaches('db', 'web', 'udp'))
    t.notOk(await reaches('db', 'web'))
    t.notOk(await peer('db').reaches('tcp', OUTSIDE_ADDRESS, 80))
    t.ok(await reaches('web', 'db'))
  })
  await t.test('a flush of everything is repaired', async t => {
    await apply(stackOnly)
    run('iptables', '-F')
    await until(async () => !(await reaches('other', 'db')))
    for (const chain of ['CATTLE_NETWORK_POLICY', 'CATTLE_POLICY_NETWORK']) run('iptables', '-F', chain)
    for (const name of ourSets()) run('ipset', 'flush', name)
    await network.reconcileNow('test')
    t.equal(network.failure, undefined)
    t.ok(await reaches('web', 'db'))
    t.notOk(await reaches('other', 'db'))
  })
  await t.test('a policy that cannot be read leaves what was', async t => {
    const rule = { to: { selector: 'not a selector' }, action: 'allow' as const }
    network.setPolicy({ network: { defaultAction: 'allow', rules: [rule], members } })
    await until(() => network.failure?.includes('selector') === true)
    t.notOk(await reaches('other', 'db'))
    network.requireReady()
  })
  await t.test('no policy any more', async t => {
    await apply({})
    t.ok(await reaches('other', 'db'))
    t.strictSame(ourSets(), [])
    t.match(run('ip', '-details', 'link', 'show', BRIDGE), /nf_call_iptables 0/)
    t.notMatch(run('iptables-save'), 'POLICY')
  })
  await t.test('nothing stays', async t => {
    await apply(stackOnly)
    for (const peer of peers.values()) await peer.stop()
    await network.uninstall()
    const { links, rules } = kernelState()
    t.strictSame({ links, rules }, before)
    t.strictSame(ourSets(), [])
  })
  NAMES.forEach(deleteNamespace)
  rmSync(path.dirname(directories.dataDirectory), { recursive: true })
})
