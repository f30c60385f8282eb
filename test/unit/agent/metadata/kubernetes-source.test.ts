/** The names of Kubernetes on disk: kept, replaced when they make no sense, never in the way of starting. */
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import t, { type Test } from 'tap'
import { KubernetesSource } from '../../../../agent/metadata/index.ts'
import { AddressSet } from '../../../../dns/index.ts'
import { createLogger } from '../../../../kit/index.ts'
import { KubernetesClient } from '../../../../protocol/kubernetes/index.ts'

const log = createLogger('test', 'silent')

const web = {
  metadata: { name: 'web', namespace: 'shop', resourceVersion: '1' },
  spec: { clusterIP: '10.43.0.9', ports: [{ port: 80 }] },
}

/** An API server with one service and no slices, whose watches stay silent. */
async function smallServer(t: Test): Promise<string> {
  const server = createServer((request, response) => {
    if (request.url?.includes('watch=true')) {
      response.writeHead(200).flushHeaders()
      return
    }
    const items = request.url?.startsWith('/api/v1/services') ? [web] : []
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ metadata: { resourceVersion: '1' }, items }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function sourceOf(t: Test, url: string, directory: string): KubernetesSource {
  const client = new KubernetesClient({ url, bearerToken: 'key:secret', authority: '' })
  t.teardown(() => client.close())
  return new KubernetesSource({ client, directory, log })
}

function seen(source: KubernetesSource): string {
  const found = source.names.find('web.shop.svc')
  return found instanceof AddressSet ? found.addresses().join() : String(found)
}

async function untilKnown(source: KubernetesSource): Promise<void> {
  while (source.names.version === 0) await new Promise(resolve => setImmediate(resolve))
}

/** A port where nobody listens. */
const NOWHERE = 'http://127.0.0.1:1'

t.test('what was known is answered without a server', { timeout: 30_000 }, async t => {
  const directory = path.join(t.testdir(), 'kubernetes')
  const first = sourceOf(t, await smallServer(t), directory)
  await first.start()
  await untilKnown(first)
  await first.stop()
  const second = sourceOf(t, NOWHERE, directory)
  await second.start()
  t.equal(seen(second), '10.43.0.9')
  await second.stop()
})

t.test('a damaged file is left out and replaced', { timeout: 30_000 }, async t => {
  for (const damaged of ['{"services":[', '{"services":[{"name":7}],"slices":[]}', '']) {
    const directory = t.testdir({ 'names.json': damaged, 'names.json.1.1.tmp': 'unfinished' })
    const alone = sourceOf(t, NOWHERE, directory)
    await alone.start()
    t.equal(seen(alone), 'undefined')
    await alone.stop()
    t.equal(await readFile(path.join(directory, 'names.json'), 'utf8'), damaged, 'nothing to write yet')

    const source = sourceOf(t, await smallServer(t), directory)
    await source.start()
    await untilKnown(source)
    await source.stop()
    const kept = JSON.parse(await readFile(path.join(directory, 'names.json'), 'utf8'))
    t.match(kept, { services: [{ name: 'web', addresses: ['10.43.0.9'] }], slices: [] })
  }
})

t.test('a service that went while nobody looked is forgotten', { timeout: 30_000 }, async t => {
  const directory = t.testdir()
  const record = { namespace: 'shop', addresses: ['10.43.0.8'], publishesUnready: false, ports: [] }
  const slice = { namespace: 'shop', name: 'old-1', service: 'old', endpoints: [], ports: [] }
  const content = { services: [{ ...record, name: 'old' }], slices: [slice] }
  await writeFile(path.join(directory, 'names.json'), JSON.stringify(content))
  const source = sourceOf(t, await smallServer(t), directory)
  await source.start()
  t.not(source.names.find('old.shop.svc'), undefined)
  while (source.names.find('old.shop.svc') !== undefined || source.names.slices().length > 0) {
    await new Promise(resolve => setImmediate(resolve))
  }
  t.equal(seen(source), '10.43.0.9')
  await source.stop()
})
