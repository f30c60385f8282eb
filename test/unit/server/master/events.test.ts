/** Events are written and read under both of their groups. */
import t from 'tap'
import { temporaryMaster } from './temporary-master.ts'

t.test('events have two faces', async t => {
  const { ask } = await temporaryMaster(t)
  const made = await ask('/api/v1/namespaces/default/events', {
    method: 'POST',
    body: {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'e1' },
      involvedObject: { kind: 'Pod', namespace: 'default', name: 'p' },
      reason: 'Tested',
      message: 'hello',
      type: 'Normal',
    },
  })
  t.equal(made.status, 201)
  const face = '/apis/events.k8s.io/v1/namespaces/default/events'
  t.match((await ask(`${face}/e1`)).body, {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    note: 'hello',
    regarding: { name: 'p' },
  })
  const other = await ask(face, {
    method: 'POST',
    body: {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: 'e2' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      regarding: { kind: 'Pod', namespace: 'default', name: 'p' },
      note: 'other',
      reportingController: 'test',
    },
  })
  t.match(other, { status: 201, body: { note: 'other' } })
  t.match((await ask('/api/v1/namespaces/default/events/e2')).body, {
    apiVersion: 'v1',
    message: 'other',
    involvedObject: { name: 'p' },
    reportingComponent: 'test',
  })
  const headers = { 'content-type': 'application/merge-patch+json' }
  t.match(await ask(`${face}/e2`, { method: 'PATCH', body: { note: 'changed' }, headers }), {
    body: { note: 'changed' },
  })
  const list = await ask(face)
  t.match(list.body, {
    kind: 'EventList',
    apiVersion: 'events.k8s.io/v1',
    items: [{ note: 'hello' }, { note: 'changed' }],
  })
  const selected = await ask('/api/v1/events?fieldSelector=involvedObject.name=p,reason=Tested')
  t.equal(selected.body.items.length, 1)
  const reported = await ask(`${face}?fieldSelector=reportingController=test,regarding.name=p`)
  t.match(reported.body.items, [{ metadata: { name: 'e2' } }])
  t.equal((await ask(`${face}?fieldSelector=involvedObject.name=p`)).status, 400, 'a name of the other face')
  const strange = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e3' },
    involvedObject: { namespace: 'other' },
  }
  t.equal((await ask('/api/v1/namespaces/default/events', { method: 'POST', body: strange })).status, 422)
})
