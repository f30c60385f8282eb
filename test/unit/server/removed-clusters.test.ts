/** A cluster that is removed leaves nothing with the parts of a server that knew it. */
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import t from 'tap'
import { createLogger } from '../../../kit/index.ts'
import { HostCertificates } from '../../../server/auth/index.ts'
import { KubernetesPodWriter } from '../../../server/netes/index.ts'
import { forgetWithCluster } from '../../../server/removed-clusters.ts'
import { makeCluster } from './metadata/world.ts'
import { temporaryModel } from './temporary-model.ts'

const log = createLogger('test', 'silent')

t.test('of a removed cluster', async t => {
  const { model, directory } = await temporaryModel(t)
  /** Requests by cluster that are being answered, of which watches never are to their end. */
  const open = new Map<string, number>()
  const server = createServer((request, response) => {
    const [, id = ''] = /^\/([^/]+)/.exec(request.url ?? '') ?? []
    open.set(id, (open.get(id) ?? 0) + 1)
    response.once('close', () => open.set(id, (open.get(id) ?? 0) - 1))
    if (request.url?.includes('watch=true')) response.flushHeaders()
    else if (request.method === 'DELETE') response.writeHead(404).end('{"reason":"NotFound"}')
    else response.end(JSON.stringify({ items: [], metadata: { resourceVersion: '1' } }))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const access = (id: string) => ({ url: `http://127.0.0.1:${port}/${id}`, bearerToken: 't', authority: '' })
  const pods = new KubernetesPodWriter(access, log)
  const certificates = new HostCertificates(path.join(directory, 'hosts'))
  t.teardown(async () => {
    await pods.stop()
    server.close()
  })
  forgetWithCluster(
    model,
    [cluster => pods.disconnect(cluster.id), cluster => certificates.forget(cluster.uuid)],
    log,
  )
  const [gone, stays] = [await makeCluster(model, 'gone'), await makeCluster(model, 'stays')]
  for (const { cluster, project } of [gone, stays]) {
    await certificates.issue(cluster.uuid, 'h')
    await pods.removeNamespace(project)
    while (open.get(cluster.id) !== 1) await new Promise(resolve => setImmediate(resolve))
  }
  t.equal((await readdir(path.join(directory, 'hosts'))).length, 4)
  await model.clusters.delete(gone.cluster.id)
  while ((await readdir(path.join(directory, 'hosts'))).length > 2)
    await new Promise(resolve => setImmediate(resolve))
  while (open.get(gone.cluster.id) !== 0) await new Promise(resolve => setImmediate(resolve))
  t.equal(open.get(stays.cluster.id), 1, 'nothing of the other one')
})
