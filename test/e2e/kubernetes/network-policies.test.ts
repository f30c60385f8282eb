/** From `kubectl apply` of a NetworkPolicy to the packets: pods of one host, of two, and the world outside. */
import t from 'tap'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { missingKubectl } from '../master/kubectl.ts'
import type { Protocol } from '../network/peer.ts'
import { answers, PodFleet, type RunningPod } from './pods.ts'

const skip = (await missingKubectl()) || inPrivateNetwork(import.meta.filename)

t.setTimeout(300_000)

const PORT = 8080
const OTHER_PORT = 8081
const DNS_PORT = 53

function policy(name: string, spec: object, namespace = 'default'): object {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace },
    spec: { podSelector: { matchLabels: { app: 'web' } }, ...spec },
  }
}

t.test('network policies of Kubernetes', { skip, timeout: 280_000 }, async t => {
  const world = await PodFleet.start(t, 'policies', 2)
  const { fleet } = world
  const outside = await fleet.lab.addMachine(9, 'outside')
  await fleet.kubectl(['create', 'namespace', 'ops'])
  await fleet.kubectl(['label', 'namespace', 'ops', 'team=ops'])
  const [web, near, far, ops] = (await world.run(
    [
      { name: 'web', host: 1, labels: { app: 'web' }, ports: [{ name: 'http', containerPort: PORT }] },
      { name: 'near', host: 1, labels: { app: 'near' } },
      { name: 'far', host: 2, labels: { app: 'far' } },
      { name: 'ops', namespace: 'ops', host: 2, labels: { app: 'probe' } },
    ],
    [
      ['tcp', PORT],
      ['tcp', OTHER_PORT],
      ['udp', DNS_PORT],
    ],
  )) as [RunningPod, RunningPod, RunningPod, RunningPod]
  const host = await world.onHost(fleet.first)
  const elsewhere = await world.onHost(outside)
  await elsewhere.listen('tcp', PORT)

  const opens = (from: RunningPod, to: RunningPod, protocol: Protocol = 'tcp', port = PORT) =>
    answers(
      `${from.name} → ${to.name}:${port}/${protocol} opens`,
      () => from.peer.ask(protocol, to.address, port, 1_000),
      answer => answer === `${to.name} sees ${from.address}` || answer.startsWith(`${to.name} sees `),
    )
  const closes = (from: RunningPod, to: RunningPod, protocol: Protocol = 'tcp', port = PORT) =>
    answers(
      `${from.name} → ${to.name}:${port}/${protocol} closes`,
      () => from.peer.ask(protocol, to.address, port, 600),
      answer => answer === 'silence',
    )

  await t.test('without a policy everybody reaches everybody', async t => {
    for (const from of [near, far, ops]) await opens(from, web)
    const { stdout } = await fleet.first.run('iptables-save', [])
    t.notMatch(stdout, 'CATTLE_POLICY')
  })
  await t.test('deny all', async t => {
    await world.apply(policy('closed', {}))
    for (const from of [near, far, ops]) await closes(from, web)
    await opens(web, near)
    await opens(web, far)
    await opens(near, far)
    t.match(await host.ask('tcp', web.address, PORT), /^web sees/, 'its own node always reaches a pod')
  })
  await t.test('a new pod is isolated from the start', async t => {
    const [second] = (await world.run(
      [{ name: 'web-2', host: 1, labels: { app: 'web' } }],
      [['tcp', PORT]],
    )) as [RunningPod]
    t.equal(await near.peer.reaches('tcp', second.address, PORT), false)
    await world.delete('pod', 'web-2')
  })
  await t.test('allow by label, and labels change', async () => {
    await world.apply(
      policy('by-label', {
        ingress: [{ from: [{ podSelector: { matchLabels: { app: 'far' } } }], ports: [{ port: 'http' }] }],
      }),
    )
    await opens(far, web)
    await closes(far, web, 'tcp', OTHER_PORT)
    await closes(near, web)
    await fleet.kubectl(['label', 'pod', 'near', 'app=far', '--overwrite'])
    await opens(near, web)
    await fleet.kubectl(['label', 'pod', 'near', 'app=near', '--overwrite'])
    await closes(near, web)
  })
  await t.test('by way of a service, all the same', async () => {
    const spec = { selector: { app: 'web' }, ports: [{ port: 80, targetPort: PORT }] }
    await world.apply({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' }, spec })
    const path = 'jsonpath={.spec.clusterIP}'
    const address = (await fleet.kubectl(['get', 'service', 'web', '-o', path])).stdout
    const ask = (from: RunningPod) => () => from.peer.ask('tcp', address, 80, 600)
    await answers('far is let in', ask(far), answer => answer.startsWith(`web sees ${far.address}`))
    await answers('near is not', ask(near), answer => answer === 'silence')
    await answers('nobody is kept from itself', ask(web), answer => answer.startsWith('web sees '))
  })
  await t.test('allow by namespace, and its labels change', async () => {
    await world.apply(
      policy('by-namespace', {
        ingress: [
          {
            from: [{ namespaceSelector: { matchLabels: { team: 'ops' } } }],
            ports: [{ port: OTHER_PORT, endPort: OTHER_PORT + 9 }],
          },
        ],
      }),
    )
    await opens(ops, web, 'tcp', OTHER_PORT)
    await closes(ops, web)
    await fleet.kubectl(['label', 'namespace', 'ops', 'team-'])
    await closes(ops, web, 'tcp', OTHER_PORT)
  })
  await t.test('egress, to pods and to blocks', async t => {
    await world.apply(
      policy('out', {
        policyTypes: ['Egress'],
        egress: [
          {
            to: [{ podSelector: { matchLabels: { app: 'far' } } }],
            ports: [{ protocol: 'UDP', port: DNS_PORT }],
          },
          { to: [{ ipBlock: { cidr: '192.0.2.0/24', except: [`${fleet.first.address}/32`] } }] },
        ],
      }),
    )
    await closes(web, far)
    await opens(web, far, 'udp', DNS_PORT)
    await closes(web, near, 'udp', DNS_PORT)
    t.match(await web.peer.ask('tcp', outside.address, PORT), /^outside sees/)
    await opens(far, web)
  })
  await t.test('an agent that starts without a server keeps to them', async t => {
    await fleet.first.run('kill', ['-KILL', String(await fleet.daemonPid('server'))])
    await fleet.first.run('kill', ['-KILL', String(await fleet.daemonPid('agent'))])
    t.equal(await near.peer.reaches('tcp', web.address, PORT), false)
    await fleet.quickstart()
    await opens(far, web)
    await closes(near, web)
  })
  await t.test('no policies any more', async t => {
    await world.delete('networkpolicy', '--all')
    for (const from of [near, far, ops]) await opens(from, web)
    await opens(web, far)
    for (const each of [fleet.first, fleet.host(2)]) {
      await answers(
        `${each.name} has no rules`,
        async () => (await each.run('iptables-save', [])).stdout,
        rules => !rules.includes('CATTLE_POLICY'),
      )
      t.notMatch((await each.run('ipset', ['list', '-name'])).stdout, /^(RNCH|TMP)-/m)
      const left = await each.run('ls', ['/var/lib/drover/agent/cluster'])
      t.notMatch(left.stdout, 'pods.json')
    }
  })
})
