/** Whatever a client sends, it never gets a 500, and the server goes on. */
import fc from 'fast-check'
import t from 'tap'
import { node, pod, temporaryMaster } from './temporary-master.ts'

const NS = '/api/v1/namespaces/default'
const RUNS = 400

const anything = fc.letrec(tie => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc.constantFrom(null, true, 0, -1, 1.5, 1e300, '', 'x', '10Gi', 'Exists', '2026-01-01T00:00:00Z', 'None'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom(
        'metadata',
        'name',
        'namespace',
        'labels',
        'annotations',
        'finalizers',
        'ownerReferences',
        'generateName',
        'deletionTimestamp',
        'uid',
        'resourceVersion',
        'spec',
        'status',
        'containers',
        'image',
        'ports',
        'containerPort',
        'hostPort',
        'env',
        'resources',
        'limits',
        'requests',
        'cpu',
        'volumes',
        'volumeMounts',
        'tolerations',
        'nodeSelector',
        'affinity',
        'nodeAffinity',
        'requiredDuringSchedulingIgnoredDuringExecution',
        'nodeSelectorTerms',
        'matchExpressions',
        'key',
        'operator',
        'values',
        'clusterIP',
        'clusterIPs',
        'type',
        'selector',
        'port',
        'nodePort',
        'data',
        'stringData',
        'involvedObject',
        'target',
        'conditions',
        'taints',
        'allocatable',
        '__proto__',
        'constructor',
        '$patch',
        '$retainKeys',
        'kind',
        'apiVersion',
      ),
      tie('value'),
      { maxKeys: 5 },
    ),
  ),
})).value

const collections = fc.constantFrom(
  `${NS}/pods`,
  `${NS}/services`,
  `${NS}/configmaps`,
  `${NS}/secrets`,
  `${NS}/events`,
  `${NS}/serviceaccounts`,
  '/api/v1/namespaces',
  '/api/v1/nodes',
  '/apis/coordination.k8s.io/v1/namespaces/default/leases',
  '/apis/events.k8s.io/v1/namespaces/default/events',
)
const items = fc.constantFrom(
  `${NS}/pods/p`,
  `${NS}/pods/p/status`,
  `${NS}/services/kubernetes`,
  `${NS}/configmaps/m`,
  `${NS}/events/e`,
  '/api/v1/nodes/n',
  '/api/v1/nodes/n/status',
  '/api/v1/namespaces/default',
  '/api/v1/namespaces/default/finalize',
  `${NS}/pods/p/binding`,
  `${NS}/pods/p/eviction`,
)

t.test('fuzz', async t => {
  const { ask } = await temporaryMaster(t)
  const restore = async () => {
    await ask('/api/v1/nodes', { method: 'POST', body: node('n') })
    await ask(`${NS}/pods`, { method: 'POST', body: pod('p', { schedulerName: 'nobody' }) })
    await ask(`${NS}/configmaps`, { method: 'POST', body: { metadata: { name: 'm' }, data: { a: 'b' } } })
    await ask(`${NS}/events`, {
      method: 'POST',
      body: { metadata: { name: 'e' }, involvedObject: { namespace: 'default' } },
    })
  }
  await restore()
  const harmless = (status: number) => status < 500 || status === 501 || status === 504
  const check = async (path: string, options: Parameters<typeof ask>[1]) => {
    const { status, text } = await ask(path, options)
    if (!harmless(status)) throw new Error(`${status} ${text}`)
  }

  await t.test('bodies to create', async t => {
    await fc.assert(
      fc.asyncProperty(collections, anything, async (path, body) => {
        await check(path, { method: 'POST', body: JSON.stringify(body) })
      }),
      { numRuns: RUNS },
    )
    t.pass()
  })

  await t.test('objects that are nearly right', async t => {
    const nearly = fc.tuple(collections, anything, anything).map(([path, spec, status]) => ({
      path,
      body: { metadata: { generateName: 'f' }, spec, status, involvedObject: spec, data: status },
    }))
    await fc.assert(
      fc.asyncProperty(nearly, async ({ path, body }) =>
        check(path, { method: 'POST', body: JSON.stringify(body) }),
      ),
      { numRuns: RUNS },
    )
    t.pass()
  })

  await t.test('patches and updates', async t => {
    const types = fc.constantFrom(
      'application/merge-patch+json',
      'application/strategic-merge-patch+json',
      'application/json-patch+json',
      'application/json',
      'text/plain',
    )
    await fc.assert(
      fc.asyncProperty(
        items,
        types,
        anything,
        fc.constantFrom('PATCH', 'PUT', 'POST', 'DELETE'),
        async (path, type, body, method) => {
          await check(`${path}?gracePeriodSeconds=0`, {
            method,
            body: JSON.stringify(body),
            headers: { 'content-type': type },
          })
          if (method === 'DELETE' || method === 'POST') await restore()
        },
      ),
      { numRuns: RUNS },
    )
    t.pass()
  })

  await t.test('JSON patches', async t => {
    const pointer = fc
      .array(
        fc.constantFrom(
          '',
          'metadata',
          'labels',
          'spec',
          'containers',
          '0',
          '-',
          '1',
          'name',
          '~0',
          '~2',
          '__proto__',
        ),
      )
      .map(parts => parts.map(part => `/${part}`).join(''))
    const operation = fc.record(
      {
        op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'x'),
        path: pointer,
        from: pointer,
        value: anything,
      },
      { requiredKeys: ['op', 'path'] },
    )
    await fc.assert(
      fc.asyncProperty(items, fc.array(operation, { maxLength: 4 }), async (path, patch) => {
        await check(path, {
          method: 'PATCH',
          body: JSON.stringify(patch),
          headers: { 'content-type': 'application/json-patch+json' },
        })
      }),
      { numRuns: RUNS },
    )
    t.pass()
  })

  await t.test('paths and queries', async t => {
    const segment = fc.oneof(
      fc.constantFrom(
        'api',
        'apis',
        'v1',
        'namespaces',
        'default',
        'pods',
        'status',
        'openapi',
        'v3',
        '..',
        '.',
        '',
        '%00',
        '%2f',
        'watch',
      ),
      fc
        .string()
        .map(encodeURIComponent)
        .filter(text => !text.includes('?')),
    )
    const path = fc.array(segment, { maxLength: 8 }).map(parts => `/${parts.join('/')}`)
    const query = fc
      .array(
        fc.tuple(
          fc.constantFrom(
            'labelSelector',
            'fieldSelector',
            'limit',
            'continue',
            'resourceVersion',
            'resourceVersionMatch',
            'timeoutSeconds',
            'dryRun',
            'includeObject',
          ),
          fc.oneof(fc.string(), fc.constantFrom('1', 'a=b', 'a in (b', 'metadata.name=x', 'Exact', 'All')),
        ),
        { maxLength: 3 },
      )
      .map(pairs => new URLSearchParams(pairs).toString())
    await fc.assert(
      fc.asyncProperty(
        path,
        query,
        fc.constantFrom('GET', 'DELETE', 'PUT', 'PATCH', 'POST', 'OPTIONS'),
        async (target, search, method) => {
          await check(`${target}?${search}`, { method })
        },
      ),
      { numRuns: RUNS },
    )
    await fc.assert(
      fc.asyncProperty(collections, query, async (target, search) => check(`${target}?${search}`, {})),
      { numRuns: RUNS },
    )
    t.pass()
  })

  await t.test('bytes: JSON, YAML and protobuf with something flipped', async t => {
    const text = JSON.stringify(pod('flip'))
    const envelope = Buffer.concat([
      Buffer.from('k8s\0'),
      Buffer.from([0x0a, 0x09, 0x0a, 0x02]),
      Buffer.from('v1'),
      Buffer.from([0x12, 0x03]),
      Buffer.from('Pod'),
      Buffer.from([0x12, 0x0e, 0x0a, 0x06, 0x0a, 0x04]),
      Buffer.from('flip'),
      Buffer.from([0x12, 0x04, 0x12, 0x02, 0x0a, 0x00]),
    ])
    const bodies: [string, Buffer][] = [
      ['application/json', Buffer.from(text)],
      ['application/yaml', Buffer.from(text)],
      ['application/vnd.kubernetes.protobuf', envelope],
    ]
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...bodies),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        async ([type, original], flips, cut) => {
          const body = Buffer.from(original)
          for (const [at, byte] of flips) body[at % body.length] = byte
          const end = cut % 3 === 0 ? cut % body.length : body.length
          await check(`${NS}/pods`, {
            method: 'POST',
            body: body.subarray(0, end),
            headers: { 'content-type': type },
          })
        },
      ),
      { numRuns: RUNS * 3 },
    )
    t.pass()
  })

  await t.test('deep nesting', async t => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
      ['{"metadata":', '}'],
    ] as const) {
      const body = `${open.repeat(50_000)}1${close.repeat(50_000)}`
      await check(`${NS}/configmaps`, { method: 'POST', body })
      await check(`${NS}/configmaps`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/yaml' },
      })
      for (const type of ['merge-patch', 'strategic-merge-patch', 'json-patch']) {
        await check(`${NS}/configmaps/m`, {
          method: 'PATCH',
          body,
          headers: { 'content-type': `application/${type}+json` },
        })
      }
    }
    t.pass()
  })

  t.equal((await ask(`${NS}/pods`)).status, 200, 'it still answers')
})
