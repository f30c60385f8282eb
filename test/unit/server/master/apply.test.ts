/** Server-side apply: who manages which fields, conflicts, what goes and what stays. */
import t from 'tap'
import { type Answer, temporaryMaster } from './temporary-master.ts'

const MAPS = '/api/v1/namespaces/default/configmaps'
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'

t.test('apply', async t => {
  const { ask } = await temporaryMaster(t)
  const apply = (place: string, body: unknown, query: string) =>
    ask(`${place}?${query}`, {
      method: 'PATCH',
      body,
      headers: { 'content-type': 'application/apply-patch+yaml' },
    })
  const map = (name: string, data?: object, metadata: object = {}) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, ...metadata },
    ...(data === undefined ? {} : { data }),
  })
  const fieldsOf = ({ body }: Answer, manager: string) =>
    body.metadata.managedFields.find((entry: { manager: string }) => entry.manager === manager)?.fieldsV1

  t.test('makes, changes, and writes nothing twice', async t => {
    const made = await apply(`${MAPS}/one`, map('one', { a: '1', b: '2' }), 'fieldManager=me')
    t.equal(made.status, 201)
    t.strictSame(fieldsOf(made, 'me'), { 'f:data': { 'f:a': {}, 'f:b': {} } })
    t.match(made.body.metadata.managedFields, [
      { operation: 'Apply', apiVersion: 'v1', fieldsType: 'FieldsV1' },
    ])
    const again = await apply(`${MAPS}/one`, map('one', { a: '1', b: '2' }), 'fieldManager=me')
    t.equal(again.status, 200)
    t.equal(again.body.metadata.resourceVersion, made.body.metadata.resourceVersion)
    const less = await apply(`${MAPS}/one`, map('one', { a: '1' }), 'fieldManager=me')
    t.strictSame(less.body.data, { a: '1' }, 'what is not wanted any more goes')
    const yaml = await apply(
      `${MAPS}/one`,
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: "3"}\n',
      'fieldManager=me',
    )
    t.strictSame(yaml.body.data, { a: '3' })
  })

  t.test('an empty map that was wanted is filled', async t => {
    const place = '/apis/apps/v1/namespaces/default/deployments/filled'
    const web = (labels: object, annotations: object) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'filled', annotations },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: {
          metadata: { labels: { a: 'b', ...labels } },
          spec: { containers: [{ name: 'a', image: 'a:1' }], volumes: [] },
        },
      },
    })
    t.equal((await apply(place, web({}, {}), 'fieldManager=me')).status, 201)
    const filled = await apply(place, web({}, { note: 'x' }), 'fieldManager=me')
    t.equal(filled.body.metadata.annotations.note, 'x')
    const map0 = await apply(`${MAPS}/filled`, { ...map('filled'), data: {} }, 'fieldManager=me')
    t.equal(map0.status, 201)
    const map1 = await apply(`${MAPS}/filled`, map('filled', { a: '1' }), 'fieldManager=me')
    t.strictSame(map1.body.data, { a: '1' })
    const map2 = await apply(`${MAPS}/filled`, { ...map('filled'), data: {} }, 'fieldManager=me')
    t.notOk(map2.body.data?.a)
  })

  t.test('conflicts name manager and field, and yield to force', async t => {
    await ask(`${MAPS}?fieldManager=other`, { method: 'POST', body: map('two', { a: '1', b: '2' }) })
    const refused = await apply(`${MAPS}/two`, map('two', { a: '5' }), 'fieldManager=me')
    t.equal(refused.status, 409)
    t.match(refused.body, {
      reason: 'Conflict',
      message: 'Apply failed with 1 conflict: conflict with "other" using v1: .data.a',
      details: { causes: [{ reason: 'FieldManagerConflict', field: '.data.a' }] },
    })
    const same = await apply(`${MAPS}/two`, map('two', { a: '1' }), 'fieldManager=me')
    t.equal(same.status, 200, 'the same value is no conflict')
    const shared = await apply(`${MAPS}/two`, map('two'), 'fieldManager=me')
    t.strictSame(shared.body.data, { a: '1', b: '2' }, 'what another has too stays')
    const forced = await apply(`${MAPS}/two`, map('two', { a: '5' }), 'fieldManager=me&force=true')
    t.strictSame(forced.body.data, { a: '5', b: '2' })
    t.strictSame(fieldsOf(forced, 'me'), { 'f:data': { 'f:a': {} } })
    t.notOk('f:a' in fieldsOf(forced, 'other')['f:data'])
    const patched = await ask(`${MAPS}/two?fieldManager=third`, {
      method: 'PATCH',
      body: { data: { a: '6' } },
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    t.strictSame(fieldsOf(patched, 'third'), { 'f:data': { 'f:a': {} } }, 'who changes a field has it')
    t.equal(fieldsOf(patched, 'me'), undefined)
  })

  t.test('lists by key, templates, defaults, replicas of another', async t => {
    const web = (image: string, more: object = {}, containers: object[] = []) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: {
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: {
            containers: [{ name: 'web', image, ports: [{ containerPort: 80 }] }, ...containers],
          },
        },
        ...more,
      },
    })
    const made = await apply(
      `${DEPLOYMENTS}/web`,
      web('web:1', { replicas: 2 }, [{ name: 'log', image: 'log:1' }]),
      'fieldManager=me',
    )
    t.equal(made.status, 201)
    const containers = fieldsOf(made, 'me')['f:spec']['f:template']['f:spec']['f:containers']
    t.match(containers['k:{"name":"web"}'], {
      '.': {},
      'f:image': {},
      'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
    })
    t.notOk('f:imagePullPolicy' in containers['k:{"name":"web"}'], "defaults are nobody's")
    await ask(`${DEPLOYMENTS}/web/scale?fieldManager=scaler`, {
      method: 'PATCH',
      body: { spec: { replicas: 7 } },
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    const conflict = await apply(`${DEPLOYMENTS}/web`, web('web:2', { replicas: 2 }), 'fieldManager=me')
    t.match(
      conflict.body.message,
      /conflict with "scaler" with subresource "scale" using apps\/v1: \.spec\.replicas/,
    )
    const given = await apply(`${DEPLOYMENTS}/web`, web('web:2'), 'fieldManager=me')
    t.equal(given.status, 200)
    t.equal(given.body.spec.replicas, 7)
    t.strictSame(
      given.body.spec.template.spec.containers.map(({ name, image }: { name: string; image: string }) => [
        name,
        image,
      ]),
      [['web', 'web:2']],
      'a container that is not wanted any more goes, with its defaults',
    )
    const added = await apply(
      `${DEPLOYMENTS}/web`,
      { ...web('x'), spec: { template: { spec: { containers: [{ name: 'side', image: 'side:1' }] } } } },
      'fieldManager=sidecars',
    )
    t.equal(added.status, 200, `an applied object need not be whole: ${added.text.slice(0, 300)}`)
    t.equal(added.body.spec.template.spec.containers.length, 2)
  })

  t.test('the status is another part', async t => {
    const status = { conditions: [{ type: 'Available', status: 'True' }] }
    const place = '/apis/apps/v1/namespaces/default/statefulsets/db'
    const body = { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'db' }, status }
    const spec = {
      selector: { matchLabels: { app: 'db' } },
      template: {
        metadata: { labels: { app: 'db' } },
        spec: { containers: [{ name: 'db', image: 'db:1' }] },
      },
    }
    await ask(place.slice(0, -3), { method: 'POST', body: { metadata: { name: 'db' }, spec } })
    const answer = await apply(`${place}/status`, body, 'fieldManager=controller')
    t.equal(answer.status, 200)
    t.match(answer.body.metadata.managedFields.at(-1), { manager: 'controller', subresource: 'status' })
    t.match((await ask(place)).body.status, status)
    t.equal(
      (
        await apply(
          '/apis/apps/v1/namespaces/default/statefulsets/absent/status',
          { ...body, metadata: { name: 'absent' } },
          'fieldManager=x',
        )
      ).status,
      404,
    )
  })

  t.test('refusals', async t => {
    const cases: [body: unknown, query: string, status: number, message: RegExp][] = [
      [map('bad'), '', 422, /fieldManager: Required value/],
      [map('bad'), `fieldManager=${'x'.repeat(129)}`, 422, /fieldManager/],
      [{ metadata: {} }, 'fieldManager=me', 400, /apiVersion and kind/],
      [map('other'), 'fieldManager=me', 400, /does not match the name on the URL/],
      [map('bad', undefined, { managedFields: [] }), 'fieldManager=me', 400, /managedFields must be nil/],
      [map('bad', { a: 1 }), 'fieldManager=me', 400, /cannot be handled as a ConfigMap/],
      [{ ...map('bad'), extra: 1 }, 'fieldManager=me&fieldValidation=Strict', 400, /unknown field "extra"/],
      [
        map('bad', undefined, { resourceVersion: '1' }),
        'fieldManager=me',
        400,
        /resourceVersion should not be set/,
      ],
      ['[]', 'fieldManager=me', 400, /must be an object/],
      ['a: [', 'fieldManager=me', 400, /not valid YAML/],
    ]
    for (const [body, query, status, message] of cases) {
      const answer = await apply(`${MAPS}/bad`, body, query)
      t.equal(answer.status, status, `${message}: ${answer.text.slice(0, 200)}`)
      t.match(answer.body.message, message)
    }
    const stale = await apply(`${MAPS}/one`, map('one', {}, { resourceVersion: '1' }), 'fieldManager=me')
    t.equal(stale.status, 409)
    const dry = await apply(`${MAPS}/dry`, map('dry', { a: '1' }), 'fieldManager=me&dryRun=All')
    t.equal(dry.status, 201)
    t.equal((await ask(`${MAPS}/dry`)).status, 404)
  })

  t.test('managers can be forgotten', async t => {
    const { body } = await ask(`${MAPS}/one`)
    const answer = await ask(`${MAPS}/one`, {
      method: 'PUT',
      body: { ...body, metadata: { ...body.metadata, managedFields: [{}] } },
    })
    t.equal(answer.body.metadata.managedFields, undefined)
  })

  t.test('hosts are not tracked', async t => {
    const node = { metadata: { name: 'n1' } }
    const answer = await ask('/api/v1/nodes', { method: 'POST', body: node, token: 'node|n1|c1' })
    t.equal(answer.status, 201)
    t.equal(answer.body.metadata.managedFields, undefined)
  })
})
