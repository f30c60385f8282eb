/** Custom kinds whose versions a webhook converts. */
import t, { type Test } from 'tap'
import { eventually, type TemporaryMaster, temporaryMaster } from './temporary-master.ts'
import { openWatch } from './watching.ts'
import { allow, type Review, WebhookServer } from './webhook-server.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const PLACES = (version: string) => `/apis/example.com/${version}/namespaces/default/places`
const MERGE = { 'content-type': 'application/merge-patch+json' }
const APPLY = { 'content-type': 'application/apply-patch+yaml' }
const TABLE = { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' }

function version(name: string, properties: object, storage: boolean, column: string) {
  return {
    name,
    served: true,
    storage,
    schema: {
      openAPIV3Schema: {
        type: 'object',
        properties: {
          spec: { type: 'object', properties: { ...properties, replicas: { type: 'integer' } } },
          status: { type: 'object', properties: { replicas: { type: 'integer' } } },
        },
      },
    },
    subresources: {
      status: {},
      scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
    },
    additionalPrinterColumns: [{ name: 'Shown', type: 'string', jsonPath: `.spec.${column}` }],
  }
}

function definition(hooks: WebhookServer, kept: 'v1' | 'v2' = 'v1') {
  return {
    metadata: { name: 'places.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'places', kind: 'Place' },
      versions: [
        version('v1', { address: { type: 'string' } }, kept === 'v1', 'address'),
        version('v2', { host: { type: 'string' }, port: { type: 'string' } }, kept === 'v2', 'host'),
      ],
      conversion: {
        strategy: 'Webhook',
        webhook: {
          clientConfig: hooks.clientConfig('/convert'),
          conversionReviewVersions: ['v1', 'v1beta1'],
        },
      },
    },
  }
}

/** `address: a:1` is `host: a` and `port: "1"`. */
function convertOne(object: Review, desired: string): object {
  const { address, host, port, ...rest } = object.spec
  const [before = '', after = ''] = (address ?? '').split(':')
  const spec = desired.endsWith('/v1') ? { address: `${host}:${port}` } : { host: before, port: after }
  return { ...object, apiVersion: desired, spec: { ...rest, ...spec } }
}

function convert({ request, ...review }: Review): object {
  const { uid, objects, desiredAPIVersion } = request
  return {
    ...review,
    response: {
      uid,
      result: { status: 'Success' },
      convertedObjects: objects.map((each: Review) => convertOne(each, desiredAPIVersion)),
    },
  }
}

interface Bench {
  readonly master: TemporaryMaster
  readonly hooks: WebhookServer
  ask: TemporaryMaster['ask']
}

async function bench(t: Test): Promise<Bench> {
  const hooks = await WebhookServer.start(t)
  const master = await temporaryMaster(t, { connectToPod: hooks.connectToPod })
  const { ask } = master
  await hooks.install(master)
  hooks.answer = (review, path) => (path === '/convert' ? convert(review) : allow(review))
  const made = await ask(DEFINITIONS, { method: 'POST', body: definition(hooks) })
  t.equal(made.status, 201, made.text)
  await eventually(async () => (await ask(PLACES('v1'))).status === 200, 'the kind is served')
  return { master, hooks, ask }
}

function place(name: string, spec: object, apiVersion = 'v1') {
  return { apiVersion: `example.com/${apiVersion}`, kind: 'Place', metadata: { name }, spec }
}

t.test('each version sees all objects as its own', async t => {
  const { ask, hooks, master } = await bench(t)
  const one = await ask(PLACES('v1'), { method: 'POST', body: place('one', { address: 'a:1' }) })
  t.match(one, { status: 201, body: { apiVersion: 'example.com/v1', spec: { address: 'a:1' } } })
  t.same(hooks.take('/convert'), [], 'nothing was to be converted')
  const two = await ask(PLACES('v2'), { method: 'POST', body: place('two', { host: 'b', port: '2' }, 'v2') })
  t.match(two, {
    status: 201,
    body: { apiVersion: 'example.com/v2', kind: 'Place', spec: { host: 'b', port: '2', address: undefined } },
  })
  t.match((await ask(`${PLACES('v2')}/one`)).body, {
    apiVersion: 'example.com/v2',
    spec: { host: 'a', port: '1' },
  })
  t.match((await ask(`${PLACES('v1')}/two`)).body, { apiVersion: 'example.com/v1', spec: { address: 'b:2' } })
  hooks.take()
  const listed = await ask(PLACES('v2'))
  t.match(listed.body, {
    apiVersion: 'example.com/v2',
    items: [
      { apiVersion: 'example.com/v2', metadata: { name: 'one' }, spec: { host: 'a' } },
      { apiVersion: 'example.com/v2', metadata: { name: 'two' }, spec: { host: 'b' } },
    ],
  })
  t.same(hooks.take('/convert'), [], 'what was converted once is remembered')
  const table = await ask(PLACES('v2'), { headers: TABLE })
  t.same(
    table.body.rows.map(({ cells }: Review) => cells),
    [
      ['one', 'a'],
      ['two', 'b'],
    ],
  )

  await t.test('changes', async t => {
    const patched = await ask(`${PLACES('v2')}/one`, {
      method: 'PATCH',
      headers: MERGE,
      body: { spec: { port: '9' } },
    })
    t.match(patched, { status: 200, body: { spec: { host: 'a', port: '9' } } })
    t.match((await ask(`${PLACES('v1')}/one`)).body.spec, { address: 'a:9' })
    const unchanged = await ask(`${PLACES('v2')}/one`, {
      method: 'PATCH',
      headers: MERGE,
      body: { spec: { port: '9' } },
    })
    t.equal(unchanged.body.metadata.resourceVersion, patched.body.metadata.resourceVersion)
    const { body } = await ask(`${PLACES('v2')}/one`)
    body.spec.host = 'c'
    t.match(await ask(`${PLACES('v2')}/one`, { method: 'PUT', body }), {
      status: 200,
      body: { spec: { host: 'c' } },
    })
    t.equal((await ask(`${PLACES('v2')}/one`, { method: 'PUT', body })).status, 409)
    const status = await ask(`${PLACES('v2')}/one/status`, {
      method: 'PATCH',
      headers: MERGE,
      body: { status: { replicas: 3 }, spec: { host: 'unseen' } },
    })
    t.match(status.body, { spec: { host: 'c' }, status: { replicas: 3 } })
    const scaled = await ask(`${PLACES('v2')}/one/scale`, {
      method: 'PATCH',
      headers: MERGE,
      body: { spec: { replicas: 5 } },
    })
    t.match(scaled, { status: 200, body: { kind: 'Scale', spec: { replicas: 5 }, status: { replicas: 3 } } })
    t.match((await ask(`${PLACES('v1')}/one`)).body.spec, { address: 'c:9', replicas: 5 })
    const applied = await ask(`${PLACES('v2')}/three?fieldManager=me`, {
      method: 'PATCH',
      headers: APPLY,
      body: place('three', { host: 'd', port: '3' }, 'v2'),
    })
    t.equal(applied.status, 201, applied.text)
    const again = await ask(`${PLACES('v2')}/three?fieldManager=me`, {
      method: 'PATCH',
      headers: APPLY,
      body: place('three', { host: 'e', port: '3' }, 'v2'),
    })
    t.match(again, { status: 200, body: { spec: { host: 'e' } } }, again.text)
    t.match((await ask(`${PLACES('v1')}/three`)).body.spec, { address: 'e:3' })
    const dry = await ask(`${PLACES('v2')}/three?dryRun=All`, {
      method: 'PATCH',
      headers: MERGE,
      body: { spec: { host: 'f' } },
    })
    t.match(dry.body.spec, { host: 'f' })
    t.match((await ask(`${PLACES('v2')}/three`)).body.spec, { host: 'e' })
    t.equal((await ask(`${PLACES('v2')}/three`, { method: 'DELETE' })).status, 200)
    t.equal((await ask(`${PLACES('v1')}/three`)).status, 404)
  })

  await t.test('watches', async t => {
    const watch = await openWatch(master.port, `${PLACES('v2')}?watch=true`)
    t.teardown(() => watch.close())
    const next = async () => {
      const { type, object } = (await watch.next()) ?? {}
      return [
        type,
        object.apiVersion,
        object.metadata.name,
        object.spec.host,
        object.metadata.resourceVersion,
      ]
    }
    t.match(await next(), ['ADDED', 'example.com/v2', 'one', 'c'])
    t.match(await next(), ['ADDED', 'example.com/v2', 'two', 'b'])
    const four = await ask(PLACES('v1'), { method: 'POST', body: place('four', { address: 'g:4' }) })
    t.match(await next(), ['ADDED', 'example.com/v2', 'four', 'g', four.body.metadata.resourceVersion])
    await ask(`${PLACES('v1')}/four`, { method: 'DELETE' })
    const gone = await next()
    t.match(gone, ['DELETED', 'example.com/v2', 'four', 'g'])
    t.ok(Number(gone.at(-1)) > Number(four.body.metadata.resourceVersion))
  })

  await t.test('another version to keep', async t => {
    const { body: current } = await ask(`${DEFINITIONS}/places.example.com`)
    const switched = await ask(`${DEFINITIONS}/places.example.com`, {
      method: 'PUT',
      body: { ...current, spec: definition(hooks, 'v2').spec },
    })
    t.equal(switched.status, 200, switched.text)
    await ask(PLACES('v2'), { method: 'POST', body: place('five', { host: 'h', port: '5' }, 'v2') })
    hooks.take()
    for (const [name, address] of [
      ['one', 'c:9'],
      ['five', 'h:5'],
    ]) {
      t.match((await ask(`${PLACES('v1')}/${name}`)).body.spec, { address })
    }
    const patched = await ask(`${PLACES('v1')}/one`, {
      method: 'PATCH',
      headers: MERGE,
      body: { metadata: { labels: { seen: 'yes' } } },
    })
    t.match(patched, {
      status: 200,
      body: { spec: { address: 'c:9' }, metadata: { labels: { seen: 'yes' } } },
    })
  })
})

t.test('webhooks that do not convert', async t => {
  const { ask, hooks } = await bench(t)
  await ask(PLACES('v1'), { method: 'POST', body: place('one', { address: 'a:1' }) })
  const failure = async () => {
    const { status, body } = await ask(`${PLACES('v2')}/one`)
    return [status, body.reason, body.message]
  }
  const failed = 'conversion webhook for example.com/v1, Kind=Place '
  const answers: [Review, string | RegExp][] = [
    [{ result: { status: 'Failure', message: 'cannot' } }, `${failed}failed: cannot`],
    [
      { result: { status: 'Failure' } },
      `${failed}failed: response.result.status was 'Failure', not 'Success'`,
    ],
    [{ convertedObjects: [] }, `${failed}returned 0 objects, expected 1`],
    [
      { convertedObjects: [place('one', { host: 'a' }, 'v1')] },
      `${failed}returned invalid converted object at index 0: invalid groupVersion (expected example.com/v2, received example.com/v1)`,
    ],
    [
      { convertedObjects: [place('two', { host: 'a' }, 'v2')] },
      `${failed}returned invalid converted object at index 0: must have the same name`,
    ],
  ]
  for (const [response, message] of answers) {
    hooks.answer = ({ request, ...review }) => ({
      ...review,
      response: { uid: request.uid, result: { status: 'Success' }, ...response },
    })
    t.same(await failure(), [500, undefined, message])
  }
  hooks.answer = () => ({})
  t.match(await failure(), [500, undefined, /is no ConversionReview/])
  t.match(await ask(PLACES('v2')), { status: 500 })
  t.match(await ask(PLACES('v2'), { method: 'POST', body: place('two', { host: 'b' }, 'v2') }), {
    status: 500,
  })
  const merge = { method: 'PATCH', headers: MERGE, body: { spec: { host: 'b' } } }
  t.match(await ask(`${PLACES('v2')}/one`, merge), { status: 500 })
  t.equal((await ask(`${PLACES('v1')}/one`)).status, 200, 'the version that is kept needs nobody')
  t.equal((await ask(`${PLACES('v1')}/one`, { method: 'DELETE' })).status, 200)
  const gone = await ask(`${DEFINITIONS}/places.example.com`, { method: 'DELETE' })
  t.equal(gone.status, 200)
  await eventually(
    async () => (await ask(`${DEFINITIONS}/places.example.com`)).status === 404,
    'the definition is gone',
  )
})

t.test('metadata stays what it was, but for labels and annotations', async t => {
  const { ask, hooks } = await bench(t)
  hooks.answer = review => {
    const converted = convert(review) as Review
    for (const object of converted.response.convertedObjects) {
      object.metadata = {
        name: object.metadata.name,
        labels: { made: 'so' },
        finalizers: ['example.com/never'],
        generation: 99,
      }
    }
    return converted
  }
  const { body: one } = await ask(PLACES('v1'), {
    method: 'POST',
    body: { ...place('one', { address: 'a:1' }), metadata: { name: 'one', annotations: { a: 'b' } } },
  })
  const { body } = await ask(`${PLACES('v2')}/one`)
  const { annotations: _, ...kept } = one.metadata
  t.same(body.metadata, { ...kept, labels: { made: 'so' } })
})

t.test('admission webhooks see the version that they want', async t => {
  const { ask, hooks } = await bench(t)
  hooks.answer = (review, path) =>
    path === '/convert' ? convert(review) : allow(review, [{ op: 'replace', path: '/spec/port', value: '7' }])
  const made = await ask('/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations', {
    method: 'POST',
    body: {
      metadata: { name: 'm' },
      webhooks: [
        {
          name: 'm.hooks.test',
          clientConfig: hooks.clientConfig('/mutate'),
          rules: [
            { operations: ['*'], apiGroups: ['example.com'], apiVersions: ['v2'], resources: ['places'] },
          ],
          sideEffects: 'None',
          admissionReviewVersions: ['v1'],
        },
      ],
    },
  })
  t.equal(made.status, 201, made.text)
  const one = await ask(PLACES('v1'), { method: 'POST', body: place('one', { address: 'a:1' }) })
  t.match(one, { status: 201, body: { spec: { address: 'a:7' } } }, one.text)
  t.match(hooks.take('/mutate'), [
    {
      request: {
        kind: { version: 'v2' },
        requestKind: { version: 'v1' },
        object: { apiVersion: 'example.com/v2', spec: { host: 'a', port: '1' } },
      },
    },
  ])
})
