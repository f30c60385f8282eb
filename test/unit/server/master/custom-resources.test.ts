/** Custom kinds over HTTP: from their definition to their end. */
import t, { type Test } from 'tap'
import { eventually, type TemporaryMaster, temporaryMaster } from './temporary-master.ts'
import { openWatch } from './watching.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const WIDGETS = '/apis/example.com/v1/namespaces/default/widgets'
const MERGE = { 'content-type': 'application/merge-patch+json' }
const APPLY = { 'content-type': 'application/apply-patch+yaml' }

const schema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: {
        size: { type: 'integer', minimum: 1, maximum: 100 },
        color: { type: 'string', default: 'red' },
        replicas: { type: 'integer', default: 1 },
        ports: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string' }, port: { type: 'integer' } },
          },
        },
        extra: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      },
      'x-kubernetes-validations': [
        { rule: 'self.size < 50 || self.color == "blue"', message: 'only blue ones are large' },
      ],
    },
    status: { type: 'object', properties: { replicas: { type: 'integer' }, selector: { type: 'string' } } },
  },
}

const version = {
  name: 'v1',
  served: true,
  storage: true,
  schema: { openAPIV3Schema: schema },
  subresources: {
    status: {},
    scale: {
      specReplicasPath: '.spec.replicas',
      statusReplicasPath: '.status.replicas',
      labelSelectorPath: '.status.selector',
    },
  },
  additionalPrinterColumns: [
    { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
    { name: 'Color', type: 'string', jsonPath: '.spec.color', priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ],
  selectableFields: [{ jsonPath: '.spec.color' }],
}

const names = { plural: 'widgets', kind: 'Widget', shortNames: ['wg'], categories: ['all'] }

function definition(changes: object = {}, name = 'widgets.example.com') {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name },
    spec: { group: 'example.com', scope: 'Namespaced', names, versions: [version], ...changes },
  }
}

async function define({ ask }: TemporaryMaster, body: { metadata: { name: string } }) {
  const answer = await ask(DEFINITIONS, { method: 'POST', body })
  if (answer.status !== 201) throw new Error(answer.text)
  return await established({ ask }, body.metadata.name)
}

function established({ ask }: Pick<TemporaryMaster, 'ask'>, name: string) {
  return eventually(async () => {
    const { body } = await ask(`${DEFINITIONS}/${name}`)
    const conditions: { type: string; status: string }[] = body.status?.conditions ?? []
    return conditions.some(({ type, status }) => type === 'Established' && status === 'True') && body
  }, `${name} is established`)
}

function gone({ ask }: Pick<TemporaryMaster, 'ask'>, place: string) {
  return eventually(async () => (await ask(place)).status === 404, `${place} is gone`)
}

t.test('objects of a custom kind', async t => {
  const master = await temporaryMaster(t)
  const { ask, port } = master
  const made = await define(master, definition())
  const post = (body: object, query = '') => ask(`${WIDGETS}${query}`, { method: 'POST', body })
  const patch = (name: string, body: object, headers: Record<string, string> = MERGE) =>
    ask(`${WIDGETS}/${name}`, { method: 'PATCH', body, headers })

  t.test('the definition tells how it is', async t => {
    t.match(made, {
      spec: {
        names: { singular: 'widget', listKind: 'WidgetList' },
        conversion: { strategy: 'None' },
      },
      status: {
        acceptedNames: {
          plural: 'widgets',
          singular: 'widget',
          kind: 'Widget',
          listKind: 'WidgetList',
          shortNames: ['wg'],
        },
        storedVersions: ['v1'],
        conditions: [
          { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts' },
          { type: 'Established', status: 'True', reason: 'InitialNamesAccepted' },
        ],
      },
    })
  })

  t.test('are completed, pruned and told', async t => {
    const answer = await post({
      metadata: { name: 'a', labels: { app: 'x' } },
      spec: { size: 5, unknown: 1, extra: { anything: [1] }, ports: [{ name: 'http', port: 80 }] },
      status: { replicas: 3 },
    })
    t.equal(answer.status, 201)
    t.strictSame(answer.body.spec, {
      size: 5,
      color: 'red',
      replicas: 1,
      extra: { anything: [1] },
      ports: [{ name: 'http', port: 80 }],
    })
    t.match(answer.body.metadata, { generation: 1, namespace: 'default', uid: String })
    t.notOk('status' in answer.body, 'the status is the business of its subresource')
    t.match(answer.headers.warning, /unknown field \\"spec\.unknown\\"/)
    const strict = await post(
      { metadata: { name: 'b' }, spec: { size: 5, unknown: 1 } },
      '?fieldValidation=Strict',
    )
    t.match(strict.body, { code: 400, message: /strict decoding error: unknown field "spec\.unknown"/ })
  })

  t.test('are refused where they do not fit', async t => {
    const refused: [body: object, message: RegExp][] = [
      [{ metadata: { name: 'b' }, spec: {} }, /spec\.size: Required value/],
      [{ metadata: { name: 'b' }, spec: { size: 101 } }, /should be less than or equal to 100/],
      [
        { metadata: { name: 'b' }, spec: { size: 60 } },
        /spec: Invalid value: "object": only blue ones are large/,
      ],
      [
        { metadata: { name: 'b' }, spec: { size: 1, ports: [{ name: 'x' }, { name: 'x' }] } },
        /spec\.ports\[1\]: Duplicate value/,
      ],
      [{ metadata: { name: 'B' }, spec: { size: 1 } }, /metadata\.name/],
    ]
    for (const [body, message] of refused) {
      const answer = await post(body)
      t.equal(answer.status, 422)
      t.match(answer.body.message, message)
    }
    t.equal((await post({ metadata: { name: 'b', labels: { a: 5 } }, spec: { size: 1 } })).status, 400)
    t.equal((await post({ kind: 'Other', metadata: { name: 'b' }, spec: { size: 1 } })).status, 400)
    t.equal((await post({ metadata: { name: 'a' }, spec: { size: 1 } })).status, 409)
  })

  t.test('are changed in every way', async t => {
    const merged = await patch('a', { spec: { size: 6 } })
    t.match(merged.body, { metadata: { generation: 2 }, spec: { size: 6 } })
    const json = await patch('a', [{ op: 'replace', path: '/spec/size', value: 7 }], {
      'content-type': 'application/json-patch+json',
    })
    t.match(json.body, { metadata: { generation: 3 }, spec: { size: 7 } })
    const labelled = await patch('a', { metadata: { labels: { more: 'y' } } })
    t.match(labelled.body, { metadata: { generation: 3, labels: { app: 'x', more: 'y' } } })
    const strategic = await patch('a', {}, { 'content-type': 'application/strategic-merge-patch+json' })
    t.equal(strategic.status, 415)
    t.equal((await patch('a', { spec: { size: 0 } })).status, 422)
    const { metadata: _, ...rest } = labelled.body
    const blind = await ask(`${WIDGETS}/a`, { method: 'PUT', body: { ...rest, metadata: { name: 'a' } } })
    t.match(blind.body, { code: 422, message: /metadata\.resourceVersion/ })
    const put = await ask(`${WIDGETS}/a`, { method: 'PUT', body: { ...labelled.body, spec: { size: 8 } } })
    t.strictSame(put.body.spec, { size: 8, color: 'red', replicas: 1 })
    t.equal((await ask(`${WIDGETS}/a`, { method: 'PUT', body: labelled.body })).status, 409)
  })

  t.test('are applied', async t => {
    const apply = (manager: string, spec: object, query = '') =>
      ask(`${WIDGETS}/s?fieldManager=${manager}${query}`, {
        method: 'PATCH',
        headers: APPLY,
        body: { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 's' }, spec },
      })
    const first = await apply('one', { size: 3, ports: [{ name: 'a', port: 1 }] })
    t.equal(first.status, 201)
    t.match(first.body.metadata.managedFields, [
      {
        manager: 'one',
        operation: 'Apply',
        fieldsV1: { 'f:spec': { 'f:size': {}, 'f:ports': { 'k:{"name":"a"}': {} } } },
      },
    ])
    const second = await apply('two', { size: 3, ports: [{ name: 'b', port: 2 }] })
    t.strictSame(second.body.spec.ports, [
      { name: 'a', port: 1 },
      { name: 'b', port: 2 },
    ])
    t.match((await apply('two', { size: 4 })).body, { code: 409, message: /conflict with "one"/ })
    const forced = await apply('two', { size: 4, extra: { deep: { a: 1 } } }, '&force=true')
    t.strictSame(forced.body.spec.ports, [{ name: 'a', port: 1 }], 'what it no longer names is gone')
    t.match(
      forced.body.metadata.managedFields.find(({ manager }: { manager: string }) => manager === 'two'),
      { fieldsV1: { 'f:spec': { 'f:extra': { 'f:deep': { 'f:a': {} } } } } },
    )
  })

  t.test('have a status and a scale', async t => {
    const status = await ask(`${WIDGETS}/a/status`, {
      method: 'PATCH',
      headers: MERGE,
      body: { spec: { size: 50 }, status: { replicas: 2, selector: 'app=x', unknown: 1 } },
    })
    t.match(status.body, { spec: { size: 8 }, status: { replicas: 2, selector: 'app=x' } })
    t.notOk('unknown' in status.body.status)
    const refused = await ask(`${WIDGETS}/a/status`, {
      method: 'PATCH',
      headers: MERGE,
      body: { status: { replicas: 'x' } },
    })
    t.match(refused.body, { code: 422, message: /status\.replicas/ })
    const { generation } = status.body.metadata
    const scale = await ask(`${WIDGETS}/a/scale`)
    t.match(scale.body, {
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      spec: { replicas: 1 },
      status: { replicas: 2, selector: 'app=x' },
    })
    const scaled = await ask(`${WIDGETS}/a/scale`, {
      method: 'PUT',
      body: { ...scale.body, spec: { replicas: 4 } },
    })
    t.equal(scaled.body.spec.replicas, 4)
    t.match((await ask(`${WIDGETS}/a`)).body, {
      metadata: { generation: generation + 1 },
      spec: { replicas: 4 },
    })
  })

  t.test('are found by their fields', async t => {
    await post({ metadata: { name: 'blue' }, spec: { size: 60, color: 'blue' } })
    const found = await ask(`${WIDGETS}?fieldSelector=spec.color%3Dblue`)
    t.strictSame(
      found.body.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name),
      ['blue'],
    )
    t.equal((await ask(`${WIDGETS}?fieldSelector=spec.size%3D1`)).status, 400)
    t.equal(found.body.kind, 'WidgetList')
  })

  t.test('are shown as rows', async t => {
    const { body } = await ask(WIDGETS, {
      headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    })
    t.strictSame(
      body.columnDefinitions.map(
        ({ name, type, priority }: { name: string; type: string; priority: number }) => [
          name,
          type,
          priority,
        ],
      ),
      [
        ['Name', 'string', 0],
        ['Size', 'integer', 0],
        ['Color', 'string', 1],
        ['Age', 'date', 0],
      ],
    )
    const row = body.rows.find(({ cells }: { cells: string[] }) => cells[0] === 'blue')
    t.match(row.cells, ['blue', 60, 'blue', /^\d+s$/])
  })

  t.test('are watched', async t => {
    const watch = await openWatch(
      port,
      `${WIDGETS}?watch=true&resourceVersion=0&fieldSelector=metadata.name%3Dw`,
    )
    await post({ metadata: { name: 'w' }, spec: { size: 1 } })
    await patch('w', { spec: { size: 2 } })
    await ask(`${WIDGETS}/w`, { method: 'DELETE' })
    for (const type of ['ADDED', 'MODIFIED', 'DELETED'])
      t.match(await watch.next(), { type, object: { kind: 'Widget' } })
    watch.close()
  })

  t.test('are known to clients', async t => {
    t.match((await ask('/apis/example.com/v1')).body.resources, [
      {
        name: 'widgets',
        singularName: 'widget',
        namespaced: true,
        kind: 'Widget',
        shortNames: ['wg'],
        categories: ['all'],
      },
      { name: 'widgets/status', kind: 'Widget' },
      { name: 'widgets/scale', kind: 'Scale', group: 'autoscaling' },
    ])
    const groups = (await ask('/apis')).body.groups.map(({ name }: { name: string }) => name)
    t.ok(groups.includes('example.com') && groups.includes('apiextensions.k8s.io'))
    const aggregated = await ask('/apis', {
      headers: { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' },
    })
    t.ok(
      aggregated.body.items.some(
        ({ metadata }: { metadata: { name: string } }) => metadata.name === 'example.com',
      ),
    )
    t.match((await ask('/openapi/v3')).body.paths['apis/example.com/v1'].serverRelativeURL, /hash=/)
    const { schemas } = (await ask('/openapi/v3/apis/example.com/v1')).body.components
    t.match(schemas['com.example.v1.Widget'], {
      properties: {
        spec: { properties: { size: { type: 'integer', minimum: 1 } } },
        metadata: { allOf: [{}] },
      },
      'x-kubernetes-group-version-kind': [{ group: 'example.com', kind: 'Widget', version: 'v1' }],
    })
    t.ok(schemas['com.example.v1.WidgetList'] && schemas['io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'])
    const second = (await ask('/openapi/v2')).body
    t.match(second.definitions['com.example.v1.Widget'].properties.metadata, {
      $ref: '#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta',
    })
    t.ok(second.paths['/apis/example.com/v1/namespaces/{namespace}/widgets'])
    t.equal((await ask('/apis/example.com/v1', { cluster: 'c2', token: 'admin|c2' })).status, 404)
  })

  t.test('need rights', async t => {
    const headers = { 'impersonate-user': 'ann' }
    t.equal((await ask(WIDGETS, { headers })).status, 403)
    const rbac = '/apis/rbac.authorization.k8s.io/v1'
    await ask(`${rbac}/namespaces/default/roles`, {
      method: 'POST',
      body: {
        metadata: { name: 'w' },
        rules: [{ apiGroups: ['example.com'], resources: ['widgets'], verbs: ['list'] }],
      },
    })
    await ask(`${rbac}/namespaces/default/rolebindings`, {
      method: 'POST',
      body: {
        metadata: { name: 'w' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'w' },
        subjects: [{ kind: 'User', name: 'ann', apiGroup: 'rbac.authorization.k8s.io' }],
      },
    })
    t.equal((await ask(WIDGETS, { headers })).status, 200)
    t.equal((await ask(`${WIDGETS}/a`, { headers })).status, 403)
  })

  t.test('own others and are owned', async () => {
    const owner = (await post({ metadata: { name: 'owner' }, spec: { size: 1 } })).body
    const ownerReferences = [
      { apiVersion: 'example.com/v1', kind: 'Widget', name: 'owner', uid: owner.metadata.uid },
    ]
    await post({ metadata: { name: 'owned', ownerReferences }, spec: { size: 1 } })
    const maps = '/api/v1/namespaces/default/configmaps'
    await ask(maps, { method: 'POST', body: { metadata: { name: 'owned', ownerReferences } } })
    await ask(`${WIDGETS}/owner`, { method: 'DELETE' })
    await gone(master, `${WIDGETS}/owned`)
    await gone(master, `${maps}/owned`)
  })

  t.test('go with their namespace', async t => {
    await ask('/api/v1/namespaces', { method: 'POST', body: { metadata: { name: 'other' } } })
    const place = '/apis/example.com/v1/namespaces/other/widgets'
    t.equal(
      (await ask(place, { method: 'POST', body: { metadata: { name: 'x' }, spec: { size: 1 } } })).status,
      201,
    )
    await ask('/api/v1/namespaces/other', { method: 'DELETE' })
    await gone(master, '/api/v1/namespaces/other')
    t.strictSame((await ask(place)).body.items, [])
  })

  t.test('go with their definition, held by finalizers', async t => {
    await post({ metadata: { name: 'held', finalizers: ['example.com/hold'] }, spec: { size: 1 } })
    const deleted = await ask(`${DEFINITIONS}/widgets.example.com`, { method: 'DELETE' })
    t.match(deleted.body, {
      metadata: { deletionTimestamp: String, finalizers: ['customresourcecleanup.apiextensions.k8s.io'] },
    })
    await gone(master, `${WIDGETS}/a`)
    t.match((await post({ metadata: { name: 'late' }, spec: { size: 1 } })).body, {
      code: 405,
      message: /definition is terminating/,
    })
    await patch('held', { metadata: { finalizers: null } })
    await gone(master, `${DEFINITIONS}/widgets.example.com`)
    t.equal((await ask(WIDGETS)).status, 404)
    t.equal((await ask('/apis/example.com')).status, 404)
  })
})

t.test('several versions', async t => {
  const master = await temporaryMaster(t)
  const { ask } = master
  const older = { ...version, name: 'v1beta1', storage: true, deprecated: true }
  const newer = { ...version, storage: false }
  await define(master, definition({ versions: [older, newer] }))
  const beta = '/apis/example.com/v1beta1/namespaces/default/widgets'
  const body = { metadata: { name: 'a' }, spec: { size: 1 } }
  const made = await ask(beta, { method: 'POST', body })
  t.equal(made.body.apiVersion, 'example.com/v1beta1')
  t.match(made.headers.warning, /v1beta1 Widget is deprecated/)
  const seen = await ask(`${WIDGETS}/a`)
  t.equal(seen.body.apiVersion, 'example.com/v1')
  t.equal((await ask(WIDGETS)).body.items[0].apiVersion, 'example.com/v1')
  t.match((await ask('/apis/example.com')).body, { preferredVersion: { version: 'v1' }, versions: [{}, {}] })

  const change = async (spec: object) => {
    const { body: current } = await ask(`${DEFINITIONS}/widgets.example.com`)
    return await ask(`${DEFINITIONS}/widgets.example.com`, {
      method: 'PUT',
      body: { ...current, spec: { ...current.spec, ...spec } },
    })
  }
  const weight = {
    ...schema,
    properties: {
      ...schema.properties,
      spec: {
        ...schema.properties.spec,
        properties: { ...schema.properties.spec.properties, weight: { type: 'integer', default: 7 } },
      },
    },
  }
  const kept = { ...newer, storage: true, schema: { openAPIV3Schema: weight } }
  const moved = await change({ versions: [{ ...older, storage: false }, kept] })
  t.strictSame(moved.body.status.storedVersions, ['v1beta1', 'v1'])
  const completed = await eventually(async () => {
    const { body } = await ask(`${WIDGETS}/a`)
    return body.spec.weight === 7 && body
  }, 'a new default is seen in old objects')
  t.equal(completed.apiVersion, 'example.com/v1')
  const rewritten = await ask(`${WIDGETS}/a`, { method: 'PUT', body: completed })
  t.not(
    rewritten.body.metadata.resourceVersion,
    completed.metadata.resourceVersion,
    'it is written in the new version',
  )
  t.match((await ask(`${beta}/a`)).body, { apiVersion: 'example.com/v1beta1', spec: { size: 1 } })

  const lost = await change({ versions: [kept] })
  t.match(lost.body, { code: 422, message: /status\.storedVersions\[0\].*missing from spec\.versions/ })
  await ask(`${DEFINITIONS}/widgets.example.com/status`, {
    method: 'PATCH',
    headers: MERGE,
    body: { status: { storedVersions: ['v1'] } },
  })
  t.equal((await change({ versions: [kept] })).status, 200)
  await eventually(async () => (await ask(beta)).status === 404, 'the old version is no longer served')
  t.match((await change({ scope: 'Cluster' })).body, { code: 422, message: /spec\.scope.*immutable/ })
})

t.test('names are given once', async t => {
  const master = await temporaryMaster(t)
  const { ask } = master
  await define(master, definition())
  const rival = definition({ names: { plural: 'gadgets', kind: 'Widget' } }, 'gadgets.example.com')
  await ask(DEFINITIONS, { method: 'POST', body: rival })
  const refused = await eventually(async () => {
    const { body } = await ask(`${DEFINITIONS}/gadgets.example.com`)
    return body.status.conditions !== undefined && body
  }, 'the rival is looked at')
  t.match(refused.status.conditions, [
    {
      type: 'NamesAccepted',
      status: 'False',
      reason: 'ListKindConflict',
      message: '"WidgetList" is already in use',
    },
    { type: 'Established', status: 'False', reason: 'NotAccepted' },
  ])
  t.equal((await ask('/apis/example.com/v1/namespaces/default/gadgets')).status, 404)
  await ask(`${DEFINITIONS}/widgets.example.com`, { method: 'DELETE' })
  await established(master, 'gadgets.example.com')
  t.equal((await ask('/apis/example.com/v1/namespaces/default/gadgets')).status, 200)
})

t.test('definitions are checked', async t => {
  const { ask } = await temporaryMaster(t)
  const refused: [change: object, name: string, message: RegExp][] = [
    [{}, 'other.example.com', /metadata\.name.*must be spec\.names\.plural\+"\."\+spec\.group/],
    [{ group: 'example' }, 'widgets.example', /at least one dot/],
    [{ group: 'x.k8s.io' }, 'widgets.x.k8s.io', /protected groups must have approval/],
    [{ scope: 'World' }, '', /spec\.scope: Unsupported value/],
    [{ versions: [] }, '', /spec\.versions: Required value/],
    [{ versions: [{ ...version, storage: false }] }, '', /exactly one version marked as storage/],
    [{ versions: [version, { ...version, storage: false }] }, '', /unique version names/],
    [{ versions: [{ ...version, schema: undefined }] }, '', /schemas are required/],
    [
      { conversion: { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'] } } },
      '',
      /spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook/,
    ],
    [
      {
        conversion: {
          strategy: 'Webhook',
          webhook: { clientConfig: { url: 'http://a.test' }, conversionReviewVersions: ['v1beta1'] },
        },
      },
      '',
      /'https' is the only allowed URL scheme.*must include at least one of v1/,
    ],
    [{ preserveUnknownFields: true }, '', /cannot set to true/],
    [{ names: { ...names, listKind: 'Widget' } }, '', /may not be the same/],
    [{ names: { ...names, shortNames: ['A'] } }, '', /spec\.names\.shortNames\[0\]/],
    [
      { versions: [{ ...version, additionalPrinterColumns: [{ name: 'x', type: 'blob', jsonPath: '.a' }] }] },
      '',
      /must be one of boolean,date/,
    ],
    [
      { versions: [{ ...version, selectableFields: [{ jsonPath: '.spec.ports' }] }] },
      '',
      /must point to a field of type string, boolean or integer/,
    ],
    [
      {
        versions: [
          {
            ...version,
            subresources: { scale: { specReplicasPath: '.a', statusReplicasPath: '.status.r' } },
          },
        ],
      },
      '',
      /should be a json path under \.spec/,
    ],
  ]
  for (const [change, name, message] of refused) {
    const answer = await ask(DEFINITIONS, {
      method: 'POST',
      body: definition(change, name === '' ? 'widgets.example.com' : name),
    })
    t.equal(answer.status, 422, `${message}`)
    t.match(answer.body.message, message)
  }
  let deep: object = { type: 'string' }
  for (let level = 0; level < 5000; level += 1) deep = { type: 'object', properties: { a: deep } }
  const body = definition({ versions: [{ ...version, schema: { openAPIV3Schema: deep } }] })
  t.equal((await ask(DEFINITIONS, { method: 'POST', body })).status, 400)
})

async function countOf({ ask }: TemporaryMaster, place: string): Promise<number> {
  return (await ask(place)).body.items.length
}

t.test('kinds are there again after a restart', async t => {
  const directory = t.testdir()
  const run = async (t: Test, act: (master: TemporaryMaster) => Promise<void>) => {
    const master = await temporaryMaster(t, { directory })
    await act(master)
    await master.stop()
  }
  await run(t, async master => {
    await define(master, definition())
    await master.ask(WIDGETS, { method: 'POST', body: { metadata: { name: 'a' }, spec: { size: 1 } } })
  })
  await run(t, async master => {
    t.equal(await countOf(master, WIDGETS), 1)
    await master.ask(`${DEFINITIONS}/widgets.example.com`, { method: 'DELETE' })
    await gone(master, `${DEFINITIONS}/widgets.example.com`)
  })
})
