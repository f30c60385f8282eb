/** How many pods a second get a node, and how long 30,000 replicas on 1,000 nodes take until all run. */
import path from 'node:path'
import { createLogger } from '../../../kit/index.ts'
import {
  type ClusterClient,
  KubernetesMaster,
  MASTERS_GROUP,
  NODES,
  PODS,
} from '../../../server/master/index.ts'
import { openStore } from '../../../server/store/index.ts'
import { median, type PrintFigure, printLine, rounded } from '../figures.ts'
import { inTemporaryDirectory } from '../store/bench-store.ts'

const HOSTS = 1_000
const ZONES = 10
const PODS_TO_PLACE = 5_000
const REPLICAS = 30_000
/** Writes on their way at a time. */
const TOGETHER = 256
const MIB = 1024 * 1024
const DEPLOYMENTS = { group: 'apps', version: 'v1', resource: 'deployments' } as const
const ADMIN = { user: 'bench', groups: [MASTERS_GROUP] }

async function inTurns<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...items]
  await Promise.all(
    Array.from({ length: TOGETHER }, async () => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) await work(next)
    }),
  )
}

function node(index: number) {
  const resources = { cpu: '32', memory: '128Gi', pods: '110' }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: `n${index}`,
      labels: {
        'kubernetes.io/hostname': `n${index}`,
        zone: `z${index % ZONES}`,
        disk: index % 2 === 0 ? 'ssd' : 'hdd',
      },
    },
    spec: {},
    status: {
      allocatable: resources,
      capacity: resources,
      conditions: [{ type: 'Ready' as const, status: 'True' as const }],
      addresses: [],
    },
  }
}

/** Of one of ten services: on fast disks, even over the zones, better not beside others of its kind. */
function demandingPod(index: number) {
  const labels = { app: `s${index % 10}` }
  const labelSelector = { matchLabels: labels }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `p${index}`, namespace: 'default', labels },
    spec: {
      containers: [{ name: 'main', image: 'a:1', resources: { requests: { cpu: '100m', memory: '64Mi' } } }],
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] }],
          },
        },
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 1, podAffinityTerm: { topologyKey: 'kubernetes.io/hostname', labelSelector } },
          ],
        },
      },
      topologySpreadConstraints: [
        { maxSkew: 5, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector },
      ],
    },
  }
}

const RUNNING = {
  status: {
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'True' }],
    containerStatuses: [
      { name: 'main', ready: true, restartCount: 0, image: 'a:1', imageID: '', state: { running: {} } },
    ],
  },
}

/** Waits until `count` pods are in a state; resolves with when each of them got there. */
async function whenPods(
  client: ClusterClient,
  count: number,
  is: (pod: { spec: { nodeName?: string }; status: { phase?: string } }) => boolean,
): Promise<{ readonly done: Promise<void>; readonly stop: () => void }> {
  const seen = new Set<string>()
  const { promise, resolve } = Promise.withResolvers<void>()
  const stop = await client.observe(PODS, {
    sync: () => undefined,
    changed: pod => {
      if (!is(pod)) return
      seen.add(pod.metadata.uid ?? '')
      if (seen.size === count) resolve()
    },
    removed: () => undefined,
  })
  return { done: promise, stop }
}

async function throughput(client: ClusterClient, print: PrintFigure): Promise<void> {
  const bound = await whenPods(client, PODS_TO_PLACE, ({ spec }) => (spec.nodeName ?? '') !== '')
  const begin = performance.now()
  const pods = Array.from({ length: PODS_TO_PLACE }, (_, index) => demandingPod(index))
  await inTurns(pods, pod => client.create(PODS, pod as never))
  await bound.done
  const rate = (PODS_TO_PLACE / (performance.now() - begin)) * 1000
  bound.stop()
  print({
    bench: 'master',
    name: `pods created and bound, ${HOSTS} nodes, affinity and spread`,
    value: rounded(rate),
    unit: '1/s',
    budget: '>= 1000',
  })
}

/** Hosts that run whatever they are given at once. */
async function simulateHosts(client: ClusterClient): Promise<() => void> {
  return await client.observe(PODS, {
    sync: () => undefined,
    changed: ({ metadata, spec, status }, previous) => {
      if (
        (spec.nodeName ?? '') === '' ||
        (previous?.spec.nodeName ?? '') !== '' ||
        status.phase === 'Running'
      )
        return
      const { namespace = '', name } = metadata
      void client.patch(PODS, { namespace, name }, { type: 'merge', part: 'status', body: RUNNING })
    },
    removed: () => undefined,
  })
}

async function replicas(client: ClusterClient, count: number, name: string): Promise<number> {
  const running = await whenPods(client, count, ({ status }) => status.phase === 'Running')
  const labels = { app: name }
  const begin = performance.now()
  await client.create(
    DEPLOYMENTS as never,
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: 'default' },
      spec: {
        replicas: count,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'a:1' }] } },
      },
    } as never,
  )
  await running.done
  running.stop()
  return performance.now() - begin
}

export async function run(print: PrintFigure): Promise<void> {
  await inTemporaryDirectory(async directory => {
    const log = createLogger('bench', 'error')
    const store = await openStore({ database: path.join(directory, 'drover.db'), log })
    const absent = () => Promise.reject(new Error('there are no nodes'))
    const master = new KubernetesMaster({
      store,
      log,
      authenticate: async () => ADMIN,
      nodes: {
        containerLogs: absent,
        runCommand: absent,
        connectToPod: absent,
        connectToNode: absent,
        connectToKubelet: absent,
      },
      serviceAccounts: { secret: 'bench', issuer: cluster => cluster },
      authority: 'authority',
    })
    await master.start()
    try {
      for (const cluster of ['throughput', 'replicas']) {
        await master.createCluster(cluster)
        const client = await master.client(cluster, ADMIN)
        if (client === undefined) throw new Error('the cluster is not there')
        await inTurns(
          Array.from({ length: HOSTS }, (_, index) => node(index)),
          each => client.create(NODES, each as never),
        )
        if (cluster === 'throughput') {
          await throughput(client, print)
          await master.deleteCluster(cluster)
          continue
        }
        const stop = await simulateHosts(client)
        for (const count of [1, 10, 50]) {
          const times: number[] = []
          for (let turn = 0; turn < 3; turn += 1)
            times.push(await replicas(client, count, `r${count}-${turn}`))
          print({
            bench: 'master',
            name: `${count} replicas until all run`,
            value: rounded(median(times)),
            unit: 'ms',
          })
        }
        const whole = await replicas(client, REPLICAS, 'many')
        print({
          bench: 'master',
          name: `${REPLICAS} replicas on ${HOSTS} nodes until all run`,
          value: rounded(whole / 1000),
          unit: 's',
        })
        print({
          bench: 'master',
          name: 'resident, with all of them',
          value: rounded(process.memoryUsage.rss() / MIB),
          unit: 'MiB',
        })
        stop()
      }
    } finally {
      await master.stop()
      await store.stop()
    }
  })
}

if (import.meta.main) await run(printLine)
