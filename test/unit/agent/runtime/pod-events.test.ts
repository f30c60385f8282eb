import t from 'tap'
import { PodEvents } from '../../../../agent/runtime/pod-events.ts'
import { createLogger } from '../../../../kit/index.ts'
import type { Pod } from '../../../../protocol/kubernetes/index.ts'

const pod: Pod = { metadata: { name: 'p', namespace: 'n', uid: 'u' }, spec: { containers: [] } }

t.test('happenings are told, counted, and bounded', async t => {
  const told: [string, string, Record<string, unknown>][] = []
  const client = {
    create: async (target: string, body: Record<string, unknown>) => told.push(['create', target, body]),
    patch: async (target: string, _type: string, body: Record<string, unknown>) =>
      told.push(['patch', target, body]),
  }
  const events = new PodEvents(client as never, 'host', createLogger('test', 'silent'))
  const started = {
    type: 'Normal',
    reason: 'Started',
    message: 'Started container a',
    container: 'a',
  } as const
  events.record(pod, started)
  events.record(pod, started)
  for (let index = 0; index < 100; index += 1) events.record(pod, { ...started, message: `another ${index}` })
  while (told.length < 25) await new Promise(resolve => setImmediate(resolve))
  await events.stop()
  t.match(told[0], [
    'create',
    '/api/v1/namespaces/n/events',
    {
      involvedObject: { kind: 'Pod', name: 'p', uid: 'u', fieldPath: 'spec.containers{a}' },
      ...{ type: 'Normal', reason: 'Started', count: 1, source: { component: 'kubelet', host: 'host' } },
    },
  ])
  t.match(told[1], ['patch', /^\/api\/v1\/namespaces\/n\/events\/p\.[0-9a-f]+$/, { count: 2 }])
  t.equal(told.length, 25, 'no pod may flood the cluster')
  events.record(pod, started)
  t.equal(told.length, 25)
})
