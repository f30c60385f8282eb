/** Quantities, times, and decoding along a definition. */
import fc from 'fast-check'
import t from 'tap'
import { loadCatalog } from '../../../../server/master/apiserver/catalog/index.ts'
import {
  canonicalMicroTime,
  canonicalQuantity,
  canonicalTime,
  decodeObject,
  quantityValue,
} from '../../../../server/master/apiserver/schema/index.ts'

t.test('quantities have one canonical text', async t => {
  const cases: [string, string][] = [
    ['1', '1'],
    ['0', '0'],
    ['0.5', '500m'],
    ['.5', '500m'],
    ['1.5', '1500m'],
    ['1000', '1k'],
    ['1000m', '1'],
    ['100m', '100m'],
    ['1024Mi', '1Gi'],
    ['1Gi', '1Gi'],
    ['1.5Gi', '1536Mi'],
    ['512Ki', '512Ki'],
    ['0.5Ki', '512'],
    ['1e3', '1e3'],
    ['1E3', '1e3'],
    ['12e6', '12e6'],
    ['1E', '1E'],
    ['100n', '100n'],
    ['0.0000000001', '1n'],
    ['-5', '-5'],
    ['+5', '5'],
    ['123456789', '123456789'],
  ]
  for (const [text, canonical] of cases) t.equal(canonicalQuantity(text), canonical, text)
  for (const text of ['', 'abc', '1.2.3', '1 Gi', '1gi', 'Gi', '1e', '--1', '1e100', '9'.repeat(65)]) {
    t.equal(canonicalQuantity(text), undefined, JSON.stringify(text))
  }
  t.equal(quantityValue('250m'), 0.25)
  t.equal(quantityValue('1Gi'), 2 ** 30)
})

t.test('canonical quantities are stable and keep their value', async () => {
  const suffix = fc.constantFrom('', 'm', 'k', 'M', 'G', 'Ki', 'Mi', 'Gi', 'e3', 'n', 'u')
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 10_000_000 }),
      fc.integer({ min: 0, max: 999 }),
      suffix,
      (whole, part, end) => {
        const text = `${whole}.${part}${end}`
        const canonical = canonicalQuantity(text) ?? ''
        const value = quantityValue(text) ?? Number.NaN
        const same = Math.abs((quantityValue(canonical) ?? Number.NaN) - value) <= Math.abs(value) * 1e-12
        return canonicalQuantity(canonical) === canonical && same
      },
    ),
  )
})

t.test('times are kept in UTC', async t => {
  t.equal(canonicalTime('2026-01-02T03:04:05Z'), '2026-01-02T03:04:05Z')
  t.equal(canonicalTime('2026-01-02T03:04:05.999+02:00'), '2026-01-02T01:04:05Z')
  t.equal(canonicalMicroTime('2026-01-02T03:04:05Z'), '2026-01-02T03:04:05.000000Z')
  t.equal(canonicalMicroTime('2026-01-02T03:04:05.1234567-01:00'), '2026-01-02T04:04:05.123456Z')
  for (const text of [
    '',
    'now',
    '2026-01-02',
    '2026-13-02T03:04:05Z',
    '2026-04-31T00:00:00Z',
    '2026-01-02 03:04:05Z',
  ]) {
    t.equal(canonicalTime(text), undefined, text)
  }
})

t.test('decoding', async t => {
  const { schemas } = await loadCatalog('1.36')
  const schema = schemas.byKind('', 'v1', 'Pod')
  // biome-ignore lint/suspicious/noExplicitAny: objects of any form on purpose
  const decode = (value: any) => ({ result: decodeObject(value, schema, 'Pod'), value })

  t.test('defaults are filled in, nulls and empty lists vanish', async t => {
    const { value, result } = decode({
      metadata: { name: 'a', labels: {}, creationTimestamp: null },
      spec: { containers: [{ name: 'c', args: [], ports: [{ containerPort: 80 }] }], volumes: null },
    })
    t.same(result.problems, [])
    t.same(value.metadata, { name: 'a' })
    t.match(value.spec, {
      restartPolicy: 'Always',
      dnsPolicy: 'ClusterFirst',
      terminationGracePeriodSeconds: 30,
    })
    t.same(value.spec.containers[0].ports, [{ containerPort: 80, protocol: 'TCP' }])
    t.notOk('args' in value.spec.containers[0])
    t.notOk('volumes' in value.spec)
    t.same(value.status, {})
  })

  t.test('unknown fields are dropped and told', async t => {
    const { value, result } = decode({ spec: { containers: [{ name: 'c', nope: 1 }], more: {} }, extra: 1 })
    t.same(result.unknown, ['spec.containers[0].nope', 'spec.more', 'extra'])
    t.notOk('nope' in value.spec.containers[0])
  })

  t.test('missing required fields and unknown enumeration values are problems', async t => {
    const { result } = decode({ spec: { containers: [{}], restartPolicy: 'Perhaps' } })
    t.same(
      result.problems.map(({ field, message }) => `${field}: ${message}`),
      [
        'spec.containers[0].name: Required value',
        'spec.restartPolicy: Unsupported value: "Perhaps": supported values: "Always", "Never", "OnFailure"',
      ],
    )
    t.match(decode({}).result.problems, [{ field: 'spec.containers' }])
  })

  t.test('a status is a report: nothing in it is required', async t => {
    const { result, value } = decode({
      spec: { containers: [{ name: 'c' }] },
      status: { containerStatuses: [{ name: 'c' }] },
    })
    t.same(result.problems, [])
    t.match(value.status.containerStatuses[0], { restartCount: 0, ready: false, image: '' })
  })

  t.test('wrong types are refused with their place', async t => {
    const wrong: [unknown, RegExp][] = [
      [{ metadata: { name: 1 } }, /cannot unmarshal number into field metadata\.name of type string/],
      [{ spec: { containers: {} } }, /into field spec\.containers of type \[\]v1\.Container/],
      [{ spec: { containers: [1] } }, /field spec\.containers\[0\]/],
      [{ spec: { containers: [{ ports: [{ containerPort: 1.5 }] }] } }, /int32/],
      [{ spec: { containers: [{ ports: [{ containerPort: 2 ** 31 }] }] } }, /int32/],
      [{ metadata: { labels: { a: 1 } } }, /metadata\.labels\.a/],
      [{ metadata: { creationTimestamp: 'noon' } }, /metadata\.creationTimestamp/],
      [{ spec: { overhead: { cpu: 'much' } } }, /quantities must match/],
    ]
    for (const [value, message] of wrong) {
      t.throws(() => decode(value), { code: 'BadRequest', message }, JSON.stringify(value))
    }
  })

  t.test('a key called __proto__ changes no prototype', async t => {
    const { value } = decode(
      JSON.parse(
        '{"__proto__":{"x":1},"metadata":{"annotations":{"__proto__":"y"}},"spec":{"containers":[{"name":"c"}]}}',
      ),
    )
    t.equal(value.x, undefined)
    t.equal(JSON.stringify(value.metadata.annotations), '{"__proto__":"y"}')
  })

  t.test('decoding what was decoded changes nothing', async () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            nodeName: fc.string(),
            hostNetwork: fc.boolean(),
            nodeSelector: fc.dictionary(fc.string(), fc.string()),
            tolerations: fc.array(fc.record({ key: fc.string(), tolerationSeconds: fc.integer() })),
          },
          { requiredKeys: [] },
        ),
        spec => {
          const { value } = decode({ spec: { ...spec, containers: [{ name: 'c' }] } })
          const before = JSON.stringify(value)
          decode(value)
          return JSON.stringify(value) === before
        },
      ),
    )
  })
})
