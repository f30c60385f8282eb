/** The client of the Kubernetes API, with servers that do not say what they should. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { KubernetesClient, type KubernetesObject } from '../../../protocol/kubernetes/index.ts'

async function clientOf(t: Test, answer: (response: ServerResponse) => void): Promise<KubernetesClient> {
  const server = createServer((_request, response) => answer(response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const client = new KubernetesClient({ url: `http://127.0.0.1:${port}`, bearerToken: 't', authority: '' })
  t.teardown(() => {
    client.close()
    server.closeAllConnections()
    server.close()
  })
  return client
}

/** What a watch sees until it ends. */
async function seen(client: KubernetesClient, silence: number): Promise<string[]> {
  const names: string[] = []
  const events = client.watch<KubernetesObject>('/api/v1/pods', {}, new AbortController().signal, silence)
  for await (const event of events) names.push(event.type)
  return names
}

const bookmark = `${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { name: '', resourceVersion: '1' } } })}\n`

t.test('a watch ends when the server says nothing', { timeout: 30_000 }, async t => {
  const never = await clientOf(t, () => undefined)
  await t.rejects(seen(never, 30), { code: 'DeadlineExceeded' }, 'not even that it has begun')
  const heads = await clientOf(t, response => response.flushHeaders())
  await t.rejects(seen(heads, 30), { code: 'DeadlineExceeded' }, 'after the head')
  const once = await clientOf(t, response => void response.write(bookmark))
  await t.rejects(seen(once, 30), { code: 'DeadlineExceeded' }, 'after a word')
  const brief = await clientOf(t, response => response.end(bookmark))
  t.same(await seen(brief, 20_000), ['BOOKMARK'], 'one that ends, ends')
})
