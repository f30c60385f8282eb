/** Statuses of pods in a cluster's API: what is written is what they are, and nothing of what they were. */
import t from 'tap'
import { PodStatusWriter } from '../../../../agent/runtime/status-writer.ts'
import { createLogger } from '../../../../kit/index.ts'
import { KubernetesClient, type Pod, type PodStatus } from '../../../../protocol/kubernetes/index.ts'
import { eventually, node, pod, temporaryMaster } from '../../server/master/temporary-master.ts'

const PODS = '/api/v1/namespaces/default/pods'

t.test('a condition that comes true says no more why it was not', async t => {
  const { ask, port } = await temporaryMaster(t)
  await ask('/api/v1/nodes', { method: 'POST', body: node('n1') })
  const { body } = await ask(PODS, { method: 'POST', body: pod('web', { nodeName: 'n1' }) })
  const client = new KubernetesClient({
    url: `http://127.0.0.1:${port}/k8s/clusters/c1`,
    bearerToken: 'node|n1|c1',
    authority: '',
  })
  const writer = new PodStatusWriter(client, createLogger('test', 'silent'))
  await writer.start()
  t.teardown(async () => {
    await writer.stop()
    client.close()
  })
  const status = (ready: object) => ({ phase: 'Running', conditions: [{ type: 'Ready', ...ready }] })
  const condition = async () =>
    (await ask(`${PODS}/web`)).body.status.conditions?.find(({ type }: { type: string }) => type === 'Ready')
  const write = (ready: object) => writer.report(body as Pod, status(ready) as unknown as PodStatus)

  write({ status: 'False', reason: 'ContainersNotReady', message: 'containers with unready status: [main]' })
  await eventually(async () => (await condition())?.message !== undefined, 'it says why')
  write({ status: 'True' })
  await eventually(async () => (await condition())?.status === 'True', 'it is ready')
  t.same(await condition(), { type: 'Ready', status: 'True' })
})
