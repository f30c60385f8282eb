/** Whatever somebody defines, and whatever is sent to what was defined, is never a 500, and the server goes on. */
import fc from 'fast-check'
import t from 'tap'
import { eventually, temporaryMaster } from './temporary-master.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const RUNS = 300

const keyword = fc.constantFrom(
  'type',
  'properties',
  'items',
  'additionalProperties',
  'required',
  'default',
  'enum',
  'pattern',
  'format',
  'nullable',
  'minimum',
  'maximum',
  'multipleOf',
  'maxLength',
  'maxItems',
  'allOf',
  'anyOf',
  'oneOf',
  'not',
  'spec',
  'status',
  'metadata',
  'name',
  '__proto__',
  'constructor',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-validations',
  'rule',
  'message',
  'messageExpression',
  'fieldPath',
)

const { value: schemas, object: objects } = fc.letrec(tie => ({
  scalar: fc.constantFrom(
    ...['object', 'array', 'string', 'integer', 'number', 'boolean', 'map', 'set', 'atomic', 'date-time'],
    ...[
      'self.spec',
      'self',
      'oldSelf == self',
      'self.all(x, x)',
      'self.matches("(")',
      '(',
      '^a+$',
      'name',
      '.spec',
    ],
    ...[null, true, false, 0, -1, 1.5, 1e300, ''],
  ),
  value: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    tie('scalar'),
    fc.array(tie('value'), { maxLength: 3 }),
    tie('object'),
  ),
  object: fc.dictionary(keyword, tie('value'), { maxKeys: 6 }),
}))

/** Schemas that are right but for something now and then. */
const likely = fc.letrec<{ node: object; whole: object }>(tie => {
  const limits = fc.dictionary(
    fc.constantFrom(
      'default',
      'enum',
      'nullable',
      'pattern',
      'maxLength',
      'minimum',
      'format',
      'required',
      'anyOf',
    ),
    schemas,
    { maxKeys: 1 },
  )
  const rules = fc.constantFrom(
    ...['true', 'self == self', 'size(self) < 5', 'self.a == oldSelf.a', 'self.all(x, x != 1)', '1 / 0 == 1'],
    ...['self.exists(x, self.exists(y, x == y))', 'has(self.a)', 'self.matches("a(")'],
  )
  const ruled = fc.array(
    rules.map(rule => ({ rule })),
    { maxLength: 2 },
  )
  const withExtras = (base: fc.Arbitrary<object>) =>
    fc
      .tuple(base, fc.oneof({ arbitrary: fc.constant({}), weight: 5 }, limits), fc.option(ruled))
      .map(([plain, extra, validations]) => ({
        ...plain,
        ...extra,
        ...(validations === null ? {} : { 'x-kubernetes-validations': validations }),
      }))
  const whole = fc
    .dictionary(fc.constantFrom('spec', 'status', 'a', 'b-c', 'type', '__proto__'), tie('node'), {
      maxKeys: 3,
    })
    .map(properties => ({ type: 'object', properties }))
  return {
    whole: withExtras(whole),
    node: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      withExtras(fc.constantFrom('string', 'integer', 'number', 'boolean').map(type => ({ type }))),
      withExtras(whole),
      withExtras(tie('node').map(items => ({ type: 'array', items }))),
      withExtras(tie('node').map(additionalProperties => ({ type: 'object', additionalProperties }))),
      fc.constant({ 'x-kubernetes-preserve-unknown-fields': true }),
      fc.constant({ 'x-kubernetes-int-or-string': true }),
    ),
  }
}).whole

function definition(name: string, schema: unknown, version: object = {}) {
  return {
    metadata: { name: `${name}.example.com` },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: name, kind: name.charAt(0).toUpperCase() + name.slice(1) },
      versions: [
        { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema }, ...version },
      ],
    },
  }
}

t.test('fuzz of custom kinds', async t => {
  const { ask } = await temporaryMaster(t)
  const check = async (path: string, options: Parameters<typeof ask>[1]) => {
    const answer = await ask(path, options)
    if (answer.status >= 500 && answer.status !== 504) throw new Error(`${answer.status} ${answer.text}`)
    return answer
  }

  await t.test('definitions', async t => {
    let kept = 0
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(schemas, likely),
        fc.option(objects),
        schemas,
        async (schema, version, spec) => {
          const body = definition('things', schema, version ?? {})
          const { status } = await check(DEFINITIONS, { method: 'POST', body: JSON.stringify(body) })
          if (status !== 201) return
          kept += 1
          const thing = { ...(spec as object), metadata: { name: 'a' }, spec }
          await check('/apis/example.com/v1/namespaces/default/things', {
            method: 'POST',
            body: JSON.stringify(thing),
          })
          await check('/openapi/v2', {})
          await check('/openapi/v3/apis/example.com/v1', {})
          await check(`${DEFINITIONS}/things.example.com`, { method: 'DELETE' })
          await eventually(
            async () => (await ask(`${DEFINITIONS}/things.example.com`)).status === 404,
            'it is gone',
          )
        },
      ),
      { numRuns: RUNS / 2 },
    )
    t.ok(kept > 0, `${kept} of them were kept`)
  })

  await t.test('paths of columns, replicas and selectable fields', async t => {
    const path = fc.string({ maxLength: 30, unit: fc.constantFrom(...'abc.[]()\'"*?@=!<>\\{}$0:-') })
    await fc.assert(
      fc.asyncProperty(path, async jsonPath => {
        const body = definition(
          'things',
          { type: 'object' },
          {
            additionalPrinterColumns: [{ name: 'a', type: 'string', jsonPath }],
            subresources: { scale: { specReplicasPath: jsonPath, statusReplicasPath: jsonPath } },
            selectableFields: [{ jsonPath }],
          },
        )
        await check(`${DEFINITIONS}?dryRun=All`, { method: 'POST', body: JSON.stringify(body) })
      }),
      { numRuns: RUNS },
    )
    t.pass()
  })

  await t.test('objects', async t => {
    const text = { type: 'string' }
    const schema = {
      type: 'object',
      properties: {
        spec: {
          type: 'object',
          properties: {
            name: text,
            items: {
              type: 'array',
              'x-kubernetes-list-type': 'map',
              'x-kubernetes-list-map-keys': ['name'],
              items: { type: 'object', required: ['name'], properties: { name: text, type: text } },
            },
            enum: { type: 'array', 'x-kubernetes-list-type': 'set', items: text },
            properties: { type: 'object', additionalProperties: { type: 'integer', default: 1 } },
            metadata: { 'x-kubernetes-preserve-unknown-fields': true },
            not: {
              type: 'object',
              'x-kubernetes-embedded-resource': true,
              'x-kubernetes-preserve-unknown-fields': true,
            },
            required: { 'x-kubernetes-int-or-string': true },
          },
          'x-kubernetes-validations': [{ rule: '!has(self.name) || self.name.size() < 5' }],
        },
      },
    }
    await check(DEFINITIONS, { method: 'POST', body: definition('gadgets', schema) })
    const place = '/apis/example.com/v1/namespaces/default/gadgets'
    await eventually(async () => (await ask(place)).status === 200, 'it is served')
    const patch = fc.constantFrom(
      'application/merge-patch+json',
      'application/json-patch+json',
      'application/apply-patch+yaml',
      'application/strategic-merge-patch+json',
    )
    await ask(place, { method: 'POST', body: { metadata: { name: 'a' }, spec: {} } })
    await fc.assert(
      fc.asyncProperty(schemas, patch, async (spec, type) => {
        const head = { apiVersion: 'example.com/v1', kind: 'Gadgets' }
        await check(place, {
          method: 'POST',
          body: JSON.stringify({ ...head, metadata: { generateName: 'x' }, spec }),
        })
        const change =
          type === 'application/json-patch+json'
            ? [{ op: 'add', path: '/spec', value: spec }]
            : { ...head, metadata: { name: 'a' }, spec }
        await check(`${place}/a?fieldManager=f&force=${type.includes('apply')}`, {
          method: 'PATCH',
          headers: { 'content-type': type },
          body: JSON.stringify(change),
        })
      }),
      { numRuns: RUNS },
    )
    const nested = `${'{"metadata":'.repeat(20_000)}1${'}'.repeat(20_000)}`
    t.equal(
      (await check(place, { method: 'POST', body: `{"metadata":{"name":"deep"},"spec":${nested}}` })).status,
      400,
    )
  })
})
