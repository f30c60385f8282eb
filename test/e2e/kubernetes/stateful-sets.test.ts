/** A stateful set with a volume for each replica, made by the cluster's own storage class, over the hosts of a lab. */
import t from 'tap'
import { Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'
import { missingKubectl } from '../master/kubectl.ts'

const skip = (await missingKubectl()) || inPrivateNetwork(import.meta.filename)

t.setTimeout(400_000)

const VOLUMES = '/var/lib/drover/volumes'

const MANIFEST = `
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: main, port: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 1000, runAsNonRoot: true}
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: db}}}
      containers:
      - name: main
        image: drover/busybox:1
        command: [sh, -c, 'echo "$HOSTNAME started" >> /data/log; exec httpd -f -p 8080 -h /data']
        readinessProbe: {httpGet: {path: /log, port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`

const NAMES = ['db-0', 'db-1', 'db-2']

interface PodObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly creationTimestamp: string }
  readonly spec: { readonly nodeName: string }
}

t.test('a stateful set with volumes', { skip, timeout: 380_000 }, async t => {
  const fleet = await Fleet.start(t, 'stateful', 3)
  await Promise.all([fleet.join(2), fleet.join(3)])
  const hosts = [1, 2, 3].map(number => fleet.host(number))
  const kubectl = async (...args: readonly string[]) =>
    (await fleet.kubectl(args, { deadline: 130_000 })).stdout
  const pods = async (): Promise<PodObject[]> =>
    (JSON.parse(await kubectl('get', 'pods', '-l', 'app=db', '-o', 'json')) as { items: PodObject[] }).items
  const places = async () =>
    Object.fromEntries((await pods()).map(({ metadata, spec }) => [metadata.name, spec.nodeName]))
  const log = async (name: string) => await kubectl('exec', name, '--', 'cat', '/data/log')
  const directories = async (host: VirtualHost) =>
    (await host.run('sh', ['-c', `ls ${VOLUMES} 2> /dev/null || true`])).stdout.split('\n').filter(Boolean)
  const rolled = async () => await kubectl('rollout', 'status', 'statefulset/db', '--timeout=120s')
  /** Names of pods in the order in which they became ready, as events of the stateful set and its pods tell it. */
  const order = async (reason: string) => {
    const path = '{range .items[*]}{.metadata.creationTimestamp} {.message}{"\\n"}{end}'
    const selector = `--field-selector=involvedObject.name=db,reason=${reason}`
    const text = await kubectl(
      'get',
      'events',
      selector,
      '--sort-by=.metadata.creationTimestamp',
      '-o',
      `jsonpath=${path}`,
    )
    return [...text.matchAll(/Pod (db-\d)/g)].map(([, name]) => name)
  }

  await fleet.kubectl(['apply', '-f', '-'], { input: MANIFEST })
  await rolled()
  const first = await places()

  await t.test('each replica has a volume on its own host', async t => {
    t.strictSame(Object.values(first).toSorted(), ['h1', 'h2', 'h3'])
    t.match(
      await kubectl('get', 'storageclass'),
      /drover-local \(default\)\s+drover\.io\/local\s+Delete\s+WaitForFirstConsumer/,
    )
    t.match(await kubectl('get', 'pvc'), /data-db-0\s+Bound\s+pvc-\S+\s+1Gi\s+RWO\s+drover-local/)
    for (const host of hosts) t.equal((await directories(host)).length, 1, host.name)
    for (const name of NAMES) t.equal(await log(name), `${name} started\n`)
    t.strictSame(await order('SuccessfulCreate'), NAMES, 'one after the other')
    const created = (await pods()).map(({ metadata }) => `${metadata.creationTimestamp} ${metadata.name}`)
    t.strictSame(created.toSorted(), created, 'the next one when the one before was ready')
  })

  await t.test('replicas reach each other by name', async t => {
    for (const name of NAMES) {
      const ask = ['exec', name, '--', 'wget', '-q', '-O', '-']
      for (const other of NAMES)
        t.equal(await kubectl(...ask, `http://${other}.db:8080/log`), `${other} started\n`)
    }
  })

  await t.test('a restart goes from the last to the first, and every replica finds its data', async t => {
    const before = await pods()
    const seen: string[] = []
    await kubectl('rollout', 'restart', 'statefulset/db')
    const watch = (async () => {
      const left = new Set(before.map(({ metadata }) => metadata.uid))
      await until('all are made anew', 120_000, async () => {
        const present = new Set((await pods()).map(({ metadata }) => metadata.uid))
        for (const { metadata } of before.toReversed()) {
          if (!left.has(metadata.uid) || present.has(metadata.uid)) continue
          left.delete(metadata.uid)
          seen.push(metadata.name)
        }
        return left.size === 0
      })
    })()
    await watch
    await rolled()
    t.strictSame(seen, NAMES.toReversed())
    t.strictSame(await places(), first)
    for (const name of NAMES) t.equal(await log(name), `${name} started\n`.repeat(2))
  })

  await t.test('a pod that is deleted comes back to its host and its data', async t => {
    await kubectl('delete', 'pod', 'db-1', '--timeout=60s')
    await rolled()
    t.strictSame(await places(), first)
    t.equal(await log('db-1'), 'db-1 started\n'.repeat(3))
  })

  await t.test('a host that is drained keeps the data, and its pod waits for it', async t => {
    const node = first['db-2'] ?? ''
    await kubectl('drain', node, '--ignore-daemonsets', '--timeout=60s')
    await until('it says why it waits', 30_000, async () =>
      /volume node affinity conflict/.test(
        await kubectl('get', 'pod', 'db-2', '-o', 'jsonpath={.status.conditions[*].message}'),
      ),
    )
    await kubectl('uncordon', node)
    await rolled()
    t.strictSame(await places(), first)
    t.equal(await log('db-2'), 'db-2 started\n'.repeat(3))
  })

  await t.test('smaller and larger again, with the same data', async t => {
    await kubectl('scale', 'statefulset/db', '--replicas=1')
    await kubectl('wait', '--for=delete', 'pod/db-1', 'pod/db-2', '--timeout=60s')
    t.match(await kubectl('get', 'pvc', '-o', 'name'), /data-db-2/)
    await kubectl('scale', 'statefulset/db', '--replicas=3')
    await rolled()
    t.strictSame(await places(), first)
    t.equal(await log('db-2'), 'db-2 started\n'.repeat(4))
  })

  await t.test('data go with their claims', async t => {
    await kubectl('delete', 'statefulset,service', 'db')
    await kubectl('wait', '--for=delete', 'pod', '-l', 'app=db', '--timeout=60s')
    for (const host of hosts) t.equal((await directories(host)).length, 1, host.name)
    await kubectl('delete', 'pvc', '--all', '--timeout=60s')
    for (const host of hosts)
      await until(`${host.name} has no directory`, 30_000, async () => (await directories(host)).length === 0)
    await until('no volume is left', 30_000, async () => (await kubectl('get', 'pv', '-o', 'name')) === '')
    t.pass()
  })
})
