/** Labels by which the containers of services are known: nobody but Drover gives them to a pod. */
import t from 'tap'
import { CONTAINER_LABELS_ANNOTATION, LABEL } from '../../../../protocol/index.ts'
import { COMPONENT_GROUPS } from '../../../../server/master/apiserver/index.ts'
import { eventually, node, pod, temporaryMaster } from './temporary-master.ts'

const PODS = '/api/v1/namespaces/default/pods'
const MERGE = { 'content-type': 'application/merge-patch+json' }
const NETES = { 'impersonate-user': 'system:drover:netes', 'impersonate-group': COMPONENT_GROUPS.netes }

const labels = JSON.stringify({
  main: { [LABEL.containerUuid]: 'of somebody else', [LABEL.balancer]: 'true' },
})
const annotations = { [CONTAINER_LABELS_ANNOTATION]: labels }

t.test('labels of containers', async t => {
  const { ask } = await temporaryMaster(t)
  await ask('/api/v1/nodes', { method: 'POST', body: node('n1') })
  const given = async (name: string) =>
    (await ask(`${PODS}/${name}`)).body.metadata.annotations?.[CONTAINER_LABELS_ANNOTATION]
  const patch = (place: string, value: string | null, headers: object = {}) =>
    ask(place, {
      method: 'PATCH',
      body: { metadata: { annotations: { [CONTAINER_LABELS_ANNOTATION]: value } } },
      headers: { ...MERGE, ...headers },
    })

  t.test('by the part of Drover that makes pods of services', async t => {
    const made = await ask(PODS, {
      method: 'POST',
      body: pod('service', {}, { annotations }),
      headers: NETES,
    })
    t.equal(made.status, 201)
    t.equal(await given('service'), labels)
    t.equal((await patch(`${PODS}/service`, '{}', NETES)).status, 200)
    t.equal((await patch(`${PODS}/service`, labels, NETES)).status, 200)
  })

  t.test('by nobody else, in no way', async t => {
    const copy = await ask(PODS, { method: 'POST', body: pod('copy', {}, { annotations }) })
    t.equal(copy.status, 201, 'a copy is a pod')
    t.match(copy.headers.warning, /is left out/)
    t.equal(await given('copy'), undefined)
    for (const place of [`${PODS}/copy`, `${PODS}/copy/status`]) {
      t.match(await patch(place, labels), { status: 403, body: { message: /given by Drover alone/ } }, place)
    }
    t.equal((await patch(`${PODS}/service`, null)).status, 403, 'nor does anybody take them')
    const { body } = await ask(`${PODS}/copy`)
    const replaced = { ...body, metadata: { ...body.metadata, annotations } }
    t.equal((await ask(`${PODS}/copy`, { method: 'PUT', body: replaced })).status, 403)
    t.equal((await patch(`${PODS}/service`, labels)).status, 200, 'who says what is there says nothing')
  })

  t.test('nor by a template', async t => {
    const template = pod('', {}, { labels: { app: 'sly' }, annotations })
    await ask('/apis/apps/v1/namespaces/default/replicasets', {
      method: 'POST',
      body: {
        metadata: { name: 'sly' },
        spec: { replicas: 1, selector: { matchLabels: { app: 'sly' } }, template },
      },
    })
    const made = await eventually(async () => {
      const [first] = (await ask(`${PODS}?labelSelector=app=sly`)).body.items
      return first
    }, 'the pod of the set')
    t.equal(made.metadata.annotations?.[CONTAINER_LABELS_ANNOTATION], undefined)
  })
})
