/** A host is lost: its pods are elsewhere after their time, and nothing runs twice when it is back. */
import t from 'tap'
import { Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const REPLICAS = 6
/** Seconds that its pods stay on a host that is lost. */
const PATIENCE = 5

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: REPLICAS,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'main', image: 'drover/busybox:1', command: ['sleep', '100000'] }],
        tolerations: ['unreachable', 'not-ready'].map(state => ({
          key: `node.kubernetes.io/${state}`,
          operator: 'Exists',
          effect: 'NoExecute',
          tolerationSeconds: PATIENCE,
        })),
      },
    },
  },
}

interface PodObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string }
  readonly spec: { readonly nodeName?: string }
  readonly status: { readonly phase?: string }
}

t.test('a lost host', { skip, timeout: 280_000 }, async t => {
  const fleet = await Fleet.start(t, 'lost', 3)
  await Promise.all([fleet.join(2), fleet.join(3)])
  const pods = async (): Promise<PodObject[]> => {
    const { stdout } = await fleet.kubectl(['get', 'pods', '-l', 'app=web', '-o', 'json'])
    return (JSON.parse(stdout) as { items: PodObject[] }).items
  }
  const running = async () =>
    (await pods()).filter(
      ({ metadata, status }) => metadata.deletionTimestamp === undefined && status.phase === 'Running',
    )
  const nodesOf = async () => new Set((await running()).map(({ spec }) => spec.nodeName))
  const readyNodes = async () => {
    const { stdout } = await fleet.kubectl(['get', 'nodes', '--no-headers'])
    return stdout.match(/^h\d +Ready /gm)?.length ?? 0
  }
  await until('all hosts are ready', 20_000, async () => (await readyNodes()) === 3)
  await fleet.kubectl(['apply', '-f', '-'], { input: JSON.stringify(deployment) })
  await until('they run on all hosts', 30_000, async () => {
    return (await running()).length === REPLICAS && (await nodesOf()).size === 3
  })
  const lost = fleet.host(3)
  await lost.run('ip', ['link', 'set', 'eth0', 'down'])
  await until('they run on the others', 120_000, async () => {
    const nodes = await nodesOf()
    return (await running()).length === REPLICAS && !nodes.has('h3')
  })

  await lost.run('ip', ['link', 'set', 'eth0', 'up'])
  await until('the host is ready again', 60_000, async () => (await readyNodes()) === 3)
  const counts = async () =>
    await Promise.all(
      fleet.lab.hosts.map(async host => {
        const { stdout } = await host.run('docker', [
          'ps',
          '--quiet',
          '--filter',
          'label=io.kubernetes.container.name=main',
        ])
        return stdout.split('\n').filter(Boolean).length
      }),
    )
  await until('what it ran is gone', 30_000, async () => {
    const wanted = Map.groupBy(await running(), ({ spec }) => spec.nodeName ?? '')
    const expected = fleet.lab.hosts.map(({ name }) => wanted.get(name)?.length ?? 0)
    return (await counts()).join() === expected.join()
  })
  t.equal((await pods()).length, REPLICAS)
})
