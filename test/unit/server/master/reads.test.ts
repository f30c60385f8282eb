/** Getting and listing, over HTTP. */

import { request } from 'node:http'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { pod, temporaryMaster } from './temporary-master.ts'

const MAPS = '/api/v1/namespaces/default/configmaps'
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
const PARTIAL = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'
const PARTIAL_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json'

interface Named {
  readonly metadata: { readonly name: string }
}

function map(name: string, labels: object = {}, data: object = {}) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data }
}

const names = (items: readonly Named[]) => items.map(item => item.metadata.name)

t.test('lists', async t => {
  const { ask } = await temporaryMaster(t)
  for (const [name, tier] of [
    ['a', 'front'],
    ['b', 'back'],
    ['c', 'front'],
    ['d', 'back'],
    ['e', 'front'],
  ]) {
    await ask(MAPS, { method: 'POST', body: map(name ?? '', { tier }) })
  }

  t.test('selectors', async t => {
    t.same(names((await ask(`${MAPS}?labelSelector=tier%3Dfront`)).body.items), ['a', 'c', 'e'])
    t.same(names((await ask(`${MAPS}?fieldSelector=metadata.name%3Db`)).body.items), ['b'])
    t.same(
      names(
        (await ask('/api/v1/configmaps?fieldSelector=metadata.name!=b,metadata.namespace=default')).body
          .items,
      ),
      ['a', 'c', 'd', 'e', 'kube-root-ca.crt'],
    )
    t.same(names((await ask(`${MAPS}?fieldSelector=metadata.name%3Dzz`)).body.items), [])
    t.match(await ask(`${MAPS}?fieldSelector=spec.x=1`), {
      status: 400,
      body: { message: /field label not supported/ },
    })
    t.match(await ask(`${MAPS}?labelSelector=a+b`), { status: 400 })
  })

  t.test('pages come from one moment', async t => {
    const first = await ask(`${MAPS}?limit=2`)
    t.same(names(first.body.items), ['a', 'b'])
    t.match(first.body.metadata, { continue: /./, remainingItemCount: 4 })
    await ask(`${MAPS}/c`, { method: 'DELETE' })
    await ask(MAPS, { method: 'POST', body: map('cc') })
    const second = await ask(`${MAPS}?limit=2&continue=${first.body.metadata.continue}`)
    t.same(names(second.body.items), ['c', 'd'], 'what was deleted meanwhile is still there')
    t.equal(second.body.metadata.resourceVersion, first.body.metadata.resourceVersion)
    const third = await ask(`${MAPS}?limit=2&continue=${second.body.metadata.continue}`)
    t.same(names(third.body.items), ['e', 'kube-root-ca.crt'])
    t.notOk('continue' in third.body.metadata)
    const selected = await ask(`${MAPS}?limit=1&labelSelector=tier%3Dback`)
    t.same(names(selected.body.items), ['b'])
    t.notOk('remainingItemCount' in selected.body.metadata)
    const rest = await ask(
      `${MAPS}?limit=5&labelSelector=tier%3Dback&continue=${selected.body.metadata.continue}`,
    )
    t.same(names(rest.body.items), ['d'])
  })

  t.test('continue tokens', async t => {
    for (const token of ['x', 'e30', 'bm90IGpzb24', 'x'.repeat(5000)]) {
      t.match(await ask(`${MAPS}?limit=1&continue=${token}`), { status: 400, body: { reason: 'BadRequest' } })
    }
    const old = Buffer.from(JSON.stringify({ revision: 1, namespace: 'default', name: 'a' })).toString(
      'base64url',
    )
    t.match(await ask(`${MAPS}?limit=1&continue=${old}`), { status: 410, body: { reason: 'Expired' } })
  })

  t.test('resource versions', async t => {
    const { resourceVersion } = (await ask(MAPS)).body.metadata
    t.equal((await ask(`${MAPS}?resourceVersion=0`)).status, 200)
    t.equal((await ask(`${MAPS}?resourceVersion=1&resourceVersionMatch=NotOlderThan`)).status, 200)
    t.equal((await ask(`${MAPS}?resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`)).status, 200)
    t.match(await ask(`${MAPS}?resourceVersion=1&resourceVersionMatch=Exact`), { status: 410 })
    const future = await ask(`${MAPS}?resourceVersion=${Number(resourceVersion) + 1000}`)
    t.match(future, {
      status: 504,
      headers: { 'retry-after': '1' },
      body: {
        reason: 'Timeout',
        message: /Too large resource version/,
        details: { causes: [{ reason: 'ResourceVersionTooLarge' }] },
      },
    })
    for (const query of [
      'resourceVersion=x',
      'resourceVersion=-1',
      'resourceVersionMatch=Exact',
      'limit=-1',
      'limit=x',
      'resourceVersionMatch=Odd&resourceVersion=1',
    ]) {
      t.match(await ask(`${MAPS}?${query}`), { status: 400 }, query)
    }
  })

  t.test('tables and metadata only', async t => {
    const table = await ask(MAPS, { headers: { accept: TABLE } })
    t.match(table.body, {
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      columnDefinitions: [
        { name: 'Name', format: 'name' },
        { name: 'Data', type: 'integer' },
        { name: 'Age' },
      ],
      rows: [{ cells: ['a', 0, /s$/], object: { kind: 'PartialObjectMetadata', metadata: { name: 'a' } } }],
    })
    const one = await ask(`${MAPS}/a?includeObject=Object`, { headers: { accept: TABLE } })
    t.match(one.body.rows, [{ object: { kind: 'ConfigMap', data: undefined } }])
    const none = await ask(`${MAPS}?includeObject=None`, { headers: { accept: TABLE } })
    t.equal(none.body.rows[0].object, null)
    t.match((await ask(`${MAPS}/a`, { headers: { accept: PARTIAL } })).body, {
      kind: 'PartialObjectMetadata',
    })
    t.match((await ask(MAPS, { headers: { accept: PARTIAL_LIST } })).body, {
      kind: 'PartialObjectMetadataList',
      items: [{ kind: 'PartialObjectMetadata', metadata: { name: 'a' } }],
    })
  })

  t.test('what can be accepted', async t => {
    for (const accept of [
      'application/vnd.kubernetes.protobuf',
      'application/vnd.kubernetes.protobuf,application/json',
      '*/*',
      '',
    ]) {
      t.equal((await ask(MAPS, { headers: { accept } })).headers['content-type'], 'application/json', accept)
    }
    t.match(await ask(MAPS, { headers: { accept: 'text/html' } }), { status: 406 })
    t.match(await ask(MAPS, { headers: { accept: 'application/json;as=Poem;v=v1;g=meta.k8s.io' } }), {
      status: 406,
    })
  })

  t.test('unknown objects and paths', async t => {
    t.match(await ask(`${MAPS}/zz`), {
      status: 404,
      body: {
        message: 'configmaps "zz" not found',
        details: { name: 'zz', kind: 'configmaps' },
        reason: 'NotFound',
      },
    })
    for (const path of [
      '/api/v2',
      '/apis/none/v1/x',
      '/api/v1/pods/x',
      `${MAPS}/a/b`,
      `${MAPS}/a/status`,
      '/metrics/nonsense',
      '/openapi/v9',
    ]) {
      t.match(await ask(path), { status: 404, body: { kind: 'Status' } }, path)
    }
    t.match(await ask('/api/v1/namespaces/%zz/pods'), { status: 400 })
    t.match(await ask('/api/v1/pods', { method: 'OPTIONS' }), { status: 405 })
  })
})

t.test('people get answers that they can read', async t => {
  const { ask } = await temporaryMaster(t)
  await ask(MAPS, { method: 'POST', body: map('read') })
  const lines = async (query: string, agent: string) =>
    (await ask(`${MAPS}/read${query}`, { headers: { 'user-agent': agent } })).text.split('\n').length
  t.ok((await lines('', 'curl/8.5')) > 5)
  t.ok((await lines('', 'Mozilla/5.0 (X11)')) > 5)
  t.ok((await lines('?pretty=true', 'other')) > 5)
  t.equal(await lines('', 'other'), 1)
  t.equal(await lines('?pretty=false', 'curl/8.5'), 1)
  const list = await ask(`${MAPS}?limit=1&pretty=1`)
  t.match(list.text, '\n    {\n')
  t.equal(list.body.items.length, 1)
  t.match((await ask(`${MAPS}/none?pretty=true`)).text, '\n  "code": 404')
})

t.test('large lists are streamed, and compressed when asked', async t => {
  const { ask, port } = await temporaryMaster(t)
  const text = 'lorem ipsum '.repeat(8000)
  await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      ask(MAPS, { method: 'POST', body: map(`m${index}`, {}, { text }) }),
    ),
  )
  t.equal((await ask(MAPS)).body.items.length, 21)
  const compressed = await new Promise<{ encoding: string | undefined; body: Buffer }>((resolve, reject) => {
    const headers = { authorization: 'Bearer admin|c1', 'accept-encoding': 'gzip' }
    request({ host: '127.0.0.1', port, path: `/k8s/clusters/c1${MAPS}`, headers }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ encoding: response.headers['content-encoding'], body: Buffer.concat(chunks) }),
      )
    })
      .on('error', reject)
      .end()
  })
  t.equal(compressed.encoding, 'gzip')
  t.equal(JSON.parse(gunzipSync(compressed.body).toString()).items.length, 21)
  t.match(await ask(MAPS, { headers: { accept: 'application/yaml' } }), { status: 406 }, 'too large for YAML')
})

t.test('what the server tells of itself', async t => {
  const { ask } = await temporaryMaster(t)
  t.match((await ask('/version', { token: '' })).body, { major: '1', minor: '36', gitVersion: /^v1\.36\./ })
  for (const path of ['/livez', '/readyz', '/healthz', '/livez/ping']) {
    t.match(await ask(path, { token: '' }), { status: 200, text: 'ok' }, path)
  }
  t.equal((await ask('/readyz?verbose', { token: '' })).text, '[+]ping ok\nreadyz check passed\n')
  const { paths } = (await ask('/')).body
  t.strictSame(paths, paths.toSorted())
  for (const path of ['/api', '/api/v1', '/apis/apps/v1', '/metrics', '/version'])
    t.ok(paths.includes(path), path)
  t.equal((await ask('/', { token: 'group|strangers|c1' })).status, 403)
  t.equal((await ask('/livez/nonsense', { token: '' })).status, 404)
  const documents: [string, object][] = [
    ['/api', { kind: 'APIVersions', versions: ['v1'] }],
    ['/apis', { kind: 'APIGroupList' }],
    ['/api/v1', { kind: 'APIResourceList', groupVersion: 'v1' }],
    ['/apis/coordination.k8s.io', { kind: 'APIGroup', preferredVersion: { version: 'v1' } }],
    ['/apis/coordination.k8s.io/v1', { resources: [{ name: 'leases', kind: 'Lease' }] }],
    ['/openapi/v2', { swagger: '2.0' }],
    ['/openapi/v3', { paths: { 'api/v1': { serverRelativeURL: /hash=/ } } }],
    ['/openapi/v3/api/v1', { openapi: '3.0.0' }],
  ]
  for (const [path, expected] of documents) t.match((await ask(path)).body, expected, path)
  const accept =
    'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json'
  const whole = await ask('/apis', { headers: { accept } })
  t.equal(
    whole.headers['content-type'],
    'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
  )
  t.match(whole.body.items[0], { versions: [{ version: 'v1', freshness: 'Current' }] })
  const cached = await ask('/apis', { headers: { accept, 'if-none-match': String(whole.headers.etag) } })
  t.equal(cached.status, 304)
  const protobuf = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'
  const packed = await ask('/openapi/v2', { headers: { accept: protobuf } })
  t.match(packed, { status: 200, headers: { 'content-type': protobuf.replace('@', '.') } })
  t.match(packed.text, 'io.k8s.api.core.v1.PodSpec')
  const { body } = await ask('/openapi/v3/api/v1')
  const patch = body.paths['/api/v1/namespaces/{namespace}/pods/{name}'].patch
  t.match(patch['x-kubernetes-group-version-kind'], { group: '', kind: 'Pod', version: 'v1' })
  t.ok(patch.parameters.some((parameter: { name: string }) => parameter.name === 'fieldValidation'))
  const { schemas } = body.components
  for (const schema of Object.values(schemas)) {
    for (const [, name] of JSON.stringify(schema).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)) {
      if (!(name !== undefined && name in schemas)) t.fail(`${name} is missing`)
    }
  }
})

t.test('logs come through the node', async t => {
  const { ask, logRequests } = await temporaryMaster(t)
  const pods = '/api/v1/namespaces/default/pods'
  const spec = {
    schedulerName: 'nobody',
    containers: [
      { name: 'a', image: 'x' },
      { name: 'b', image: 'x' },
    ],
  }
  const made = await ask(pods, { method: 'POST', body: pod('p', spec) })
  t.match(await ask(`${pods}/p/log?container=a`), {
    status: 400,
    body: { message: /does not have a host assigned/ },
  })
  await ask(`${pods}/p/binding`, {
    method: 'POST',
    body: { metadata: { name: 'p' }, target: { name: 'n1' } },
  })
  t.match(await ask(`${pods}/p/log`), { status: 400, body: { message: /choose one of: \[a b\]/ } })
  t.match(await ask(`${pods}/p/log?container=z`), {
    status: 400,
    body: { message: /container z is not valid/ },
  })
  t.match(await ask(`${pods}/p/log?container=a&tailLines=x`), { status: 400 })
  t.match(await ask(`${pods}/p/log?container=a&sinceSeconds=0`), { status: 400 })
  t.match(await ask(`${pods}/zz/log`), { status: 404 })
  const log = await ask(
    `${pods}/p/log?container=a&tailLines=5&follow=true&timestamps=true&limitBytes=100&previous=false`,
  )
  t.match(log, { status: 200, text: 'line of a\n', headers: { 'content-type': 'text/plain' } })
  t.same(logRequests, [
    {
      namespace: 'default',
      pod: 'p',
      uid: made.body.metadata.uid,
      container: 'a',
      options: { follow: true, previous: false, timestamps: true, tailLines: 5, limitBytes: 100 },
    },
  ])
})
