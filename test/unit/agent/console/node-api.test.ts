/** What a host answers about itself, in the words of a kubelet. */
import { request } from 'node:http'
import { duplexPair, type Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { NodeApi } from '../../../../agent/console/index.ts'
import type { ContainerDetails } from '../../../../agent/docker/index.ts'
import { createLogger } from '../../../../kit/index.ts'
import { LABEL } from '../../../../protocol/index.ts'
import type { Pod } from '../../../../protocol/kubernetes/index.ts'

const pod = (name: string, phase: string) =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'default', name, uid: `uid-${name}` },
    spec: { containers: [{ name: 'main' }] },
    status: { phase, startTime: '2026-01-01T00:00:00Z' },
  }) as unknown as Pod
const container = (id: string, labels: Record<string, string>, status = 'running') =>
  ({ id, status, labels, startedAt: '2026-01-01T00:00:01Z' }) as unknown as ContainerDetails
const of = (name: string) => ({ [LABEL.podUid]: `uid-${name}`, [LABEL.podContainer]: 'main' })

const logs: unknown[] = []
const api = new NodeApi({
  engine: {
    usage: async id =>
      id === 'gone'
        ? undefined
        : { processorNanoseconds: 2.5e9, memory: 3000, workingSet: 2000, processes: 1 },
  },
  inventory: {
    all: () =>
      [
        container('a', of('web')),
        container('gone', of('web')),
        container('sandbox', { [LABEL.podUid]: 'uid-web', [LABEL.podContainer]: 'POD' }),
        container('ended', of('once'), 'exited'),
        container('other', {}),
      ].values(),
  },
  nodeName: 'n1',
  pods: () => [pod('web', 'Running'), pod('once', 'Succeeded')],
  metrics: () => 'drover_things 1\n',
  sendLog: async (params: unknown, sink: Writable) => {
    logs.push(params)
    if ((params as { container: string }).container === 'absent')
      throw new Error('container "absent" not found')
    sink.end('a line\n')
  },
  log: createLogger('test', 'silent'),
})

async function ask(path: string, method = 'GET') {
  const [ours, theirs] = duplexPair()
  api.open(theirs)
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string; type: string }>()
  request({ createConnection: () => ours, path, method, headers: { connection: 'close' } })
    .on('response', response => {
      text(response).then(
        body =>
          resolve({ status: response.statusCode ?? 0, body, type: response.headers['content-type'] ?? '' }),
        reject,
      )
    })
    .on('error', reject)
    .end()
  return await promise
}

t.test('what a kubelet answers', async t => {
  t.match(await ask('/healthz'), { status: 200, body: 'ok' })
  const names = (body: string) => JSON.parse(body).items.map((item: Pod) => item.metadata.name)
  t.strictSame(names((await ask('/pods')).body), ['web', 'once'])
  t.strictSame(names((await ask('/runningpods/')).body), ['web'])
  t.match(await ask('/metrics'), { body: 'drover_things 1\n', type: /^text\/plain; version=0\.0\.4/ })
  const summary = JSON.parse((await ask('/stats/summary')).body)
  t.match(summary.node, {
    nodeName: 'n1',
    cpu: { usageCoreNanoSeconds: Number },
    memory: { availableBytes: Number },
  })
  t.strictSame(summary.pods.length, 1, 'pods that run')
  t.match(summary.pods[0], {
    podRef: { name: 'web', namespace: 'default', uid: 'uid-web' },
    memory: { workingSetBytes: 2000 },
    containers: [{ name: 'main', cpu: { usageCoreNanoSeconds: 2.5e9 }, memory: { usageBytes: 3000 } }],
  })
  t.equal(summary.pods[0].containers.length, 1, 'one that ended meanwhile is left out')
  const metrics = (await ask('/metrics/resource')).body
  t.match(
    metrics,
    /^container_cpu_usage_seconds_total\{container="main",namespace="default",pod="web"\} 2\.5$/m,
  )
  t.match(metrics, /^pod_memory_working_set_bytes\{namespace="default",pod="web"\} 2000$/m)
  t.match(metrics, /^node_memory_working_set_bytes \d+$/m)
})

t.test('logs', async t => {
  t.match(await ask('/containerLogs/default/web/main?tailLines=5&follow=true'), {
    status: 200,
    body: 'a line\n',
    type: 'text/plain',
  })
  t.match(logs.at(-1), {
    namespace: 'default',
    pod: 'web',
    uid: 'uid-web',
    container: 'main',
    options: { tailLines: 5, follow: true, previous: false },
  })
  t.match(await ask('/containerLogs/default/web/absent'), { status: 500, body: /"absent" not found/ })
  t.equal((await ask('/containerLogs/default/none/main')).status, 404)
})

t.test('what it does not answer', async t => {
  for (const path of ['/', '/exec/default/web/main', '/configz', '/../etc/passwd', '/containerLogs/a/b']) {
    t.equal((await ask(path)).status, 404, path)
  }
  t.equal((await ask('/run/default/web/main', 'POST')).status, 405)
})
