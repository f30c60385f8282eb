/** What is followed of a cluster: kept on disk, replaced when it makes no sense, never in the way of starting. */
import { readFile, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import t, { type Test } from 'tap'
import { ClusterSource } from '../../../../agent/cluster/index.ts'
import { createLogger } from '../../../../kit/index.ts'
import { KubernetesClient } from '../../../../protocol/kubernetes/index.ts'

const log = createLogger('test', 'silent')

const web = {
  metadata: { name: 'web', namespace: 'shop', resourceVersion: '1' },
  spec: { clusterIP: '10.43.0.9', ports: [{ port: 80 }] },
}
const policy = {
  metadata: { name: 'closed', namespace: 'shop', resourceVersion: '2' },
  spec: { podSelector: {} },
}
const pod = {
  metadata: { name: 'web-1', namespace: 'shop', resourceVersion: '1', labels: { app: 'web' } },
  spec: { containers: [{ name: 'main', image: 'x', ports: [{ name: 'http', containerPort: 8080 }] }] },
  status: { podIP: '10.42.0.7' },
}

/** An API server of few objects, whose watches say what the test lets them say. */
class SmallServer {
  readonly url: string
  readonly objects = new Map<string, unknown[]>([
    ['/api/v1/services', [web]],
    ['/api/v1/pods', [pod]],
  ])
  readonly #watches = new Map<string, ServerResponse>()

  private constructor(url: string) {
    this.url = url
  }

  static async start(t: Test): Promise<SmallServer> {
    const server = createServer((request, response) => {
      const [target = '', query = ''] = request.url?.split('?') ?? []
      if (query.includes('watch=true')) {
        response.writeHead(200).flushHeaders()
        made.#watches.set(target, response)
        return
      }
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify({ metadata: { resourceVersion: '1' }, items: made.objects.get(target) ?? [] }),
      )
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    const made = new SmallServer(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    return made
  }

  /** Whether somebody has asked for the objects of a kind. */
  isWatched(target: string): boolean {
    return this.#watches.has(target)
  }

  tell(target: string, type: string, object: unknown): void {
    this.#watches.get(target)?.write(`${JSON.stringify({ type, object })}\n`)
  }
}

const POLICIES = '/apis/networking.k8s.io/v1/networkpolicies'

/** A port where nobody listens. */
const NOWHERE = 'http://127.0.0.1:1'

function sourceOf(t: Test, url: string, directory: string): ClusterSource {
  const client = new KubernetesClient({ url, bearerToken: 'key:secret', authority: '' })
  t.teardown(() => client.close())
  return new ClusterSource({ client, node: 'h1', directory, log })
}

function addressesOf(source: ClusterSource): string[] {
  return [...source.collections.services.values()].flatMap(({ addresses }) => addresses)
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setImmediate(resolve))
}

t.test('what was known counts without a server', { timeout: 30_000 }, async t => {
  const directory = path.join(t.testdir(), 'cluster')
  const server = await SmallServer.start(t)
  const first = sourceOf(t, server.url, directory)
  await first.start()
  t.equal(first.collections.services.ready, false)
  await until(() => first.collections.services.ready)
  await first.stop()
  const second = sourceOf(t, NOWHERE, directory)
  await second.start()
  t.strictSame(addressesOf(second), ['10.43.0.9'])
  t.equal(second.collections.services.ready, true)
  await second.stop()
})

t.test('a damaged file is left out and replaced', { timeout: 30_000 }, async t => {
  for (const damaged of ['[', '[{"name":7}]', '']) {
    const directory = t.testdir({ 'services.json': damaged, 'services.json.1.1.tmp': 'unfinished' })
    const alone = sourceOf(t, NOWHERE, directory)
    await alone.start()
    t.strictSame(addressesOf(alone), [])
    t.equal(alone.collections.services.ready, false)
    await alone.stop()
    t.equal(await readFile(path.join(directory, 'services.json'), 'utf8'), damaged, 'nothing to write yet')

    const source = sourceOf(t, (await SmallServer.start(t)).url, directory)
    await source.start()
    await until(() => source.collections.services.ready)
    await source.stop()
    const kept = JSON.parse(await readFile(path.join(directory, 'services.json'), 'utf8'))
    t.match(kept, [{ name: 'web', addresses: ['10.43.0.9'] }])
  }
})

t.test('what went while nobody looked is forgotten', { timeout: 30_000 }, async t => {
  const directory = t.testdir()
  const record = { namespace: 'shop', addresses: ['10.43.0.8'], publishesUnready: false, ports: [] }
  const slice = { namespace: 'shop', name: 'old-1', service: 'old', endpoints: [], ports: [] }
  await writeFile(path.join(directory, 'services.json'), JSON.stringify([{ ...record, name: 'old' }]))
  await writeFile(path.join(directory, 'slices.json'), JSON.stringify([slice]))
  const source = sourceOf(t, (await SmallServer.start(t)).url, directory)
  const gone: string[] = []
  source.collections.slices.onChange((now, before) => {
    if (now === undefined) gone.push(before?.name ?? '')
  })
  await source.start()
  t.strictSame(addressesOf(source), ['10.43.0.8'])
  await until(() => addressesOf(source).join() === '10.43.0.9' && source.collections.slices.size === 0)
  t.strictSame(gone, ['old-1'])
  await source.stop()
})

t.test('pods are followed while there are policies', { timeout: 30_000 }, async t => {
  const directory = t.testdir()
  const server = await SmallServer.start(t)
  const source = sourceOf(t, server.url, directory)
  const { pods, policies } = source.collections
  await source.start()
  await until(() => server.isWatched(POLICIES))
  t.notOk(server.isWatched('/api/v1/pods'))
  server.tell(POLICIES, 'ADDED', policy)
  await until(() => pods.ready)
  t.strictSame(
    [...pods.values()],
    [
      {
        namespace: 'shop',
        name: 'web-1',
        labels: { app: 'web' },
        address: '10.42.0.7',
        namedPorts: [{ name: 'http', port: 8080 }],
      },
    ],
  )
  await until(() => server.isWatched('/api/v1/pods'))
  let changes = 0
  pods.onChange(() => {
    changes += 1
  })
  const seen = { ...pod, metadata: { ...pod.metadata, resourceVersion: '3', annotations: { seen: 'yes' } } }
  server.tell('/api/v1/pods', 'MODIFIED', seen)
  const broken = { ...seen, metadata: { ...seen.metadata, resourceVersion: '4', labels: { app: 7 } } }
  server.tell('/api/v1/pods', 'MODIFIED', broken)
  const ended = { ...seen, metadata: { ...seen.metadata, resourceVersion: '5' }, status: { phase: 'Failed' } }
  server.tell('/api/v1/pods', 'MODIFIED', ended)
  await until(() => pods.size === 0)
  t.equal(changes, 1, 'what is not kept is no change, and what is not understood neither')
  server.tell(POLICIES, 'DELETED', { ...policy, metadata: { ...policy.metadata, resourceVersion: '6' } })
  await until(() => policies.size === 0 && !pods.ready)
  await source.stop()
})
