/** JSON patch, merge patch, strategic merge patch. */
import fc from 'fast-check'
import t from 'tap'
import { loadCatalog } from '../../../../server/master/apiserver/catalog/index.ts'
import type { JsonObject, JsonValue } from '../../../../server/master/apiserver/json.ts'
import {
  applyJsonPatch,
  applyMergePatch,
  applyStrategicMergePatch,
} from '../../../../server/master/apiserver/patch/index.ts'
import { StatusError } from '../../../../server/master/apiserver/status.ts'

t.test('merge patch: the examples of RFC 7396', async t => {
  const cases: [JsonValue, JsonValue, JsonValue][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ]
  for (const [target, patch, result] of cases) {
    t.same(applyMergePatch(structuredClone(target), patch), result, JSON.stringify(patch))
  }
})

t.test('JSON patch', async t => {
  const cases: [JsonValue, JsonValue, JsonValue][] = [
    [{ a: 1 }, [{ op: 'add', path: '/b', value: 2 }], { a: 1, b: 2 }],
    [{ a: [1, 3] }, [{ op: 'add', path: '/a/1', value: 2 }], { a: [1, 2, 3] }],
    [{ a: [1] }, [{ op: 'add', path: '/a/-', value: 2 }], { a: [1, 2] }],
    [{ a: 1, b: 2 }, [{ op: 'remove', path: '/a' }], { b: 2 }],
    [{ a: [1, 2] }, [{ op: 'remove', path: '/a/0' }], { a: [2] }],
    [{ a: 1 }, [{ op: 'replace', path: '/a', value: null }], { a: null }],
    [{ a: [1, 2] }, [{ op: 'replace', path: '/a/1', value: 9 }], { a: [1, 9] }],
    [{ a: { b: 1 } }, [{ op: 'move', from: '/a/b', path: '/c' }], { a: {}, c: 1 }],
    [{ a: { b: 1 } }, [{ op: 'copy', from: '/a', path: '/c' }], { a: { b: 1 }, c: { b: 1 } }],
    [
      { 'a/b': 1, 'm~n': 2 },
      [
        { op: 'test', path: '/a~1b', value: 1 },
        { op: 'test', path: '/m~0n', value: 2 },
      ],
      { 'a/b': 1, 'm~n': 2 },
    ],
    [{ a: { x: 1, y: 2 } }, [{ op: 'test', path: '/a', value: { y: 2, x: 1 } }], { a: { x: 1, y: 2 } }],
    [{ a: 1 }, [{ op: 'add', path: '', value: { b: 1 } }], { b: 1 }],
  ]
  for (const [target, patch, result] of cases) {
    t.same(applyJsonPatch(structuredClone(target), patch), result, JSON.stringify(patch))
  }
  const refused: [JsonValue, string][] = [
    [[{ op: 'test', path: '/a', value: 2 }], 'Invalid'],
    [[{ op: 'remove', path: '/x' }], 'Invalid'],
    [[{ op: 'replace', path: '/x', value: 1 }], 'Invalid'],
    [[{ op: 'add', path: '/x/y', value: 1 }], 'Invalid'],
    [[{ op: 'add', path: '/l/9', value: 1 }], 'Invalid'],
    [[{ op: 'add', path: '/l/01', value: 1 }], 'Invalid'],
    [[{ op: 'add', path: '/a/b', value: 1 }], 'Invalid'],
    [[{ op: 'move', from: '/o', path: '/o/p' }], 'Invalid'],
    [[{ op: 'add', path: 'a', value: 1 }], 'BadRequest'],
    [[{ op: 'add', path: '/a' }], 'BadRequest'],
    [[{ op: 'explode', path: '/a' }], 'BadRequest'],
    [{ op: 'add' }, 'BadRequest'],
    [Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/a', value: 1 })), 'RequestEntityTooLarge'],
  ]
  for (const [patch, code] of refused) {
    t.throws(
      () => applyJsonPatch({ a: 1, l: [1], o: {} }, patch),
      { code },
      JSON.stringify(patch).slice(0, 80),
    )
  }
})

t.test('copies of copies do not fill the memory', async t => {
  const patch = Array.from({ length: 60 }, () => ({ op: 'copy', from: '/a', path: '/a/-' }))
  t.throws(() => applyJsonPatch({ a: ['x'.repeat(1000)] }, patch), { code: 'RequestEntityTooLarge' })
})

t.test('deep patches are refused and do not end the process', async t => {
  const deep = (open: string, close: string) => JSON.parse(`${open.repeat(100_000)}1${close.repeat(100_000)}`)
  t.throws(() => applyMergePatch({}, deep('{"a":', '}')), { code: 'BadRequest' })
  const schema = (await loadCatalog('1.36')).schemas.byKind('', 'v1', 'Pod')
  t.throws(() => applyStrategicMergePatch({}, deep('{"metadata":', '}'), schema), { code: 'BadRequest' })
  t.throws(() => applyStrategicMergePatch({}, { spec: deep('[', ']') }, schema), { code: 'BadRequest' })
})

t.test('strategic merge patch', async t => {
  const { schemas } = await loadCatalog('1.36')
  const pod = schemas.byKind('', 'v1', 'Pod')
  const deployment = schemas.byKind('apps', 'v1', 'Deployment')
  const service = schemas.byKind('', 'v1', 'Service')
  const apply = (target: JsonObject, patch: JsonValue, schema = pod) =>
    applyStrategicMergePatch(structuredClone(target), patch, schema)
  const containers = (...list: JsonObject[]) => ({ spec: { containers: list } })

  t.test('lists with a merge key are merged by it', async t => {
    t.same(
      apply(
        containers({ name: 'a', image: '1' }, { name: 'b', image: '1' }),
        containers({ name: 'b', image: '2' }),
      ),
      containers({ name: 'a', image: '1' }, { name: 'b', image: '2' }),
    )
    t.same(
      apply(containers({ name: 'a' }), containers({ name: 'c', image: '3' })),
      containers({ name: 'a' }, { name: 'c', image: '3' }),
    )
    t.same(
      apply(
        containers({
          name: 'a',
          env: [
            { name: 'X', value: '1' },
            { name: 'Y', value: '2' },
          ],
        }),
        containers({ name: 'a', env: [{ name: 'Y', value: '3' }] }),
      ),
      containers({
        name: 'a',
        env: [
          { name: 'X', value: '1' },
          { name: 'Y', value: '3' },
        ],
      }),
    )
  })

  t.test('elements are deleted and lists replaced by directive', async t => {
    t.same(
      apply(containers({ name: 'a' }, { name: 'b' }), containers({ name: 'a', $patch: 'delete' })),
      containers({ name: 'b' }),
    )
    t.same(
      apply(containers({ name: 'a' }, { name: 'b' }), containers({ $patch: 'replace' }, { name: 'c' })),
      containers({ name: 'c' }),
    )
    t.same(
      apply({ metadata: { labels: { a: '1' } } }, { metadata: { labels: { $patch: 'replace', b: '2' } } }),
      { metadata: { labels: { b: '2' } } },
    )
    t.same(apply({ spec: { nodeName: 'n' } }, { spec: { $patch: 'delete' } }), { spec: {} })
  })

  t.test('atomic lists are replaced', async t => {
    t.same(
      apply(containers({ name: 'a', args: ['1', '2'] }), containers({ name: 'a', args: ['3'] })),
      containers({ name: 'a', args: ['3'] }),
    )
    t.same(apply({ spec: { tolerations: [{ key: 'a' }] } }, { spec: { tolerations: [{ key: 'b' }] } }), {
      spec: { tolerations: [{ key: 'b' }] },
    })
  })

  t.test('lists of scalars are sets, with deletions of their own', async t => {
    const before = { metadata: { finalizers: ['a', 'b'] } }
    t.same(apply(before, { metadata: { finalizers: ['b', 'c'] } }), {
      metadata: { finalizers: ['a', 'b', 'c'] },
    })
    t.same(apply(before, { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } }), {
      metadata: { finalizers: ['b'] },
    })
  })

  t.test('the order of elements', async t => {
    t.same(
      apply(containers({ name: 'a' }, { name: 'b' }), {
        spec: {
          '$setElementOrder/containers': [{ name: 'c' }, { name: 'b' }, { name: 'a' }],
          containers: [{ name: 'c' }],
        },
      }),
      containers({ name: 'c' }, { name: 'b' }, { name: 'a' }),
    )
    t.same(
      apply(containers({ name: 'a' }, { name: 'injected' }, { name: 'b' }), {
        spec: { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] },
      }),
      containers({ name: 'b' }, { name: 'injected' }, { name: 'a' }),
    )
  })

  t.test('retained keys drop the alternatives', async t => {
    t.same(
      apply(
        { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } },
        { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } },
        deployment,
      ),
      { spec: { strategy: { type: 'Recreate' } } },
    )
    t.same(
      apply(
        { spec: { volumes: [{ name: 'v', emptyDir: {} }] } },
        { spec: { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/x' } }] } },
      ),
      { spec: { volumes: [{ name: 'v', hostPath: { path: '/x' } }] } },
    )
    t.throws(
      () => apply({}, { spec: { strategy: { $retainKeys: ['type'], rollingUpdate: {} } } }, deployment),
      { code: 'BadRequest' },
    )
  })

  t.test('a merge key that is there twice means the first element', async t => {
    const ports = [
      { port: 53, protocol: 'TCP', name: 'tcp' },
      { port: 53, protocol: 'UDP', name: 'udp' },
    ]
    t.same(apply({ spec: { ports } }, { spec: { ports: [{ port: 53, name: 'dns' }] } }, service), {
      spec: { ports: [{ port: 53, protocol: 'TCP', name: 'dns' }, ports[1]] },
    })
  })

  t.test('null deletes, in maps too', async t => {
    t.same(apply({ metadata: { labels: { a: '1', b: '2' } } }, { metadata: { labels: { a: null } } }), {
      metadata: { labels: { b: '2' } },
    })
  })

  t.test('wrong patches are refused', async t => {
    const wrong: JsonValue[] = [
      [],
      'x',
      { spec: { $patch: 'explode' } },
      containers({ image: 'x' }),
      { spec: { containers: ['x'] } },
      { metadata: { '$deleteFromPrimitiveList/finalizers': 'a' } },
      { metadata: { '$setElementOrder/finalizers': 1, finalizers: ['a'] } },
    ]
    for (const patch of wrong) t.throws(() => apply({}, patch), { code: 'BadRequest' }, JSON.stringify(patch))
  })

  t.test('lists of any length are merged in one pass', async t => {
    // Quadratic work on so many elements would not end within the time of a test.
    const many = Array.from({ length: 50_000 }, (_, index) => ({ name: `c${index}` }))
    const merged = apply(containers(...many), containers(...many.map(item => ({ ...item, image: 'x' }))))
    t.match(merged, { spec: { containers: { length: 50_000, 49999: { name: 'c49999', image: 'x' } } } })
  })

  t.test('no patch makes it fail otherwise', async () => {
    const patch = fc.letrec(tie => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.constant(null),
        fc.string(),
        fc.integer(),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(
          fc.constantFrom(
            'name',
            'spec',
            'containers',
            'metadata',
            'labels',
            '$patch',
            '$retainKeys',
            '__proto__',
            '$setElementOrder/containers',
            '$deleteFromPrimitiveList/finalizers',
            'finalizers',
            'volumes',
            'env',
          ),
          tie('value'),
        ),
      ),
    })).value
    fc.assert(
      fc.property(patch, value => {
        try {
          apply({ metadata: { finalizers: ['a'] }, ...containers({ name: 'a' }) }, value as JsonValue)
        } catch (error) {
          return error instanceof StatusError
        }
        return true
      }),
      { numRuns: 2000 },
    )
  })
})
