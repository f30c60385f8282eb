/** Schemas of custom resources: what is dropped, filled in and refused; paths; rules. */
import t from 'tap'
import { fillDefaults } from '../../../../server/master/apiserver/custom/defaults.ts'
import { compareVersions } from '../../../../server/master/apiserver/custom/definition.ts'
import { hasFormat } from '../../../../server/master/apiserver/custom/formats.ts'
import { matchesPattern } from '../../../../server/master/apiserver/custom/pattern.ts'
import { pruneWhole } from '../../../../server/master/apiserver/custom/prune.ts'
import { checkRules, runRules } from '../../../../server/master/apiserver/custom/rules.ts'
import { readSchema } from '../../../../server/master/apiserver/custom/schema-node.ts'
import { checkSchema } from '../../../../server/master/apiserver/custom/schema-problems.ts'
import { toSecondVersion } from '../../../../server/master/apiserver/custom/second-version.ts'
import { parsePath, valuesAt } from '../../../../server/master/apiserver/custom/simple-path.ts'
import { validateValue } from '../../../../server/master/apiserver/custom/validate.ts'
import type { JsonObject, JsonValue } from '../../../../server/master/apiserver/json.ts'

const object = (properties: JsonObject, more: JsonObject = {}): JsonObject => ({
  type: 'object',
  properties,
  ...more,
})
const STRING: JsonObject = { type: 'string' }

function problemsOf(schema: JsonObject, value: JsonValue, old?: JsonValue): string[] {
  return validateValue(value, readSchema(schema), '', old).map(({ field, message }) => `${field}: ${message}`)
}

t.test('what a schema does not know is dropped', async t => {
  const schema = readSchema(
    object({
      known: object({ a: STRING }),
      free: {
        type: 'object',
        'x-kubernetes-preserve-unknown-fields': true,
        properties: { b: object({ c: STRING }) },
      },
      map: { type: 'object', additionalProperties: object({ a: STRING }) },
      list: { type: 'array', items: object({ a: STRING }) },
      inner: object({ spec: object({}) }, { 'x-kubernetes-embedded-resource': true }),
      nothing: { type: 'string', nullable: true },
    }),
  )
  const value: JsonObject = {
    apiVersion: 'v1',
    kind: 'K',
    metadata: { anything: 1 },
    other: 1,
    known: { a: 'x', b: 'y' },
    free: { z: { q: 1 }, b: { c: 'x', d: 1 } },
    map: { k: { a: 'x', e: 1 } },
    list: [{ a: 'x', f: 1 }],
    inner: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { g: 1 }, h: 1 },
    nothing: null,
  }
  t.strictSame(pruneWhole(value, schema), [
    'other',
    'known.b',
    'free.b.d',
    'map.k.e',
    'list[0].f',
    'inner.spec.g',
    'inner.h',
  ])
  t.strictSame(value, {
    apiVersion: 'v1',
    kind: 'K',
    metadata: { anything: 1 },
    known: { a: 'x' },
    free: { z: { q: 1 }, b: { c: 'x' } },
    map: { k: { a: 'x' } },
    list: [{ a: 'x' }],
    inner: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: {} },
    nothing: null,
  })
})

t.test('nulls go where they are not allowed, and defaults come', async t => {
  const schema = readSchema(
    object({
      a: { type: 'string', default: 'x' },
      b: { type: 'string', nullable: true, default: 'y' },
      c: object({ d: { type: 'integer', default: 3 } }, { default: {} }),
      e: object({ d: { type: 'integer', default: 3 } }),
      list: { type: 'array', items: object({ d: { type: 'integer', default: 4 } }) },
    }),
  )
  const value: JsonObject = { a: null, b: null, list: [{}] }
  pruneWhole(value, schema)
  fillDefaults(value, schema)
  t.strictSame(value, { b: null, list: [{ d: 4 }], a: 'x', c: { d: 3 } })
})

t.test('values are checked with the words of Kubernetes', async t => {
  const cases: [schema: JsonObject, value: JsonValue, problems: string[]][] = [
    [STRING, 5, ['x: Invalid value: "integer": x in body must be of type string: "integer"']],
    [STRING, null, ['x: Invalid value: "null": x in body must be of type string: "null"']],
    [{ ...STRING, nullable: true }, null, []],
    [{ ...STRING, enum: ['a', 'b'] }, 'c', ['x: Unsupported value: "c": supported values: "a", "b"']],
    [{ ...STRING, pattern: '^a+$' }, 'b', [`x: Invalid value: "b": x in body should match '^a+$'`]],
    [{ ...STRING, minLength: 2 }, 'ä', ['x: Invalid value: "ä": x in body should be at least 2 chars long']],
    [{ ...STRING, maxLength: 1 }, 'ab', ['x: Too long: may not be more than 1 bytes']],
    [{ ...STRING, format: 'ipv4' }, 'a', ['x: Invalid value: "a": x in body must be of type ipv4: "a"']],
    [
      { type: 'integer', minimum: 1 },
      0,
      ['x: Invalid value: 0: x in body should be greater than or equal to 1'],
    ],
    [
      { type: 'integer', maximum: 1, exclusiveMaximum: true },
      1,
      ['x: Invalid value: 1: x in body should be less than 1'],
    ],
    [{ type: 'integer', multipleOf: 2 }, 3, ['x: Invalid value: 3: x in body should be a multiple of 2']],
    [{ type: 'integer' }, 1.5, ['x: Invalid value: "number": x in body must be of type integer: "number"']],
    [{ type: 'number' }, 1, []],
    [{ 'x-kubernetes-int-or-string': true }, '50%', []],
    [
      { 'x-kubernetes-int-or-string': true },
      true,
      ['x: Invalid value: "boolean": x in body must be of type integer,string: "boolean"'],
    ],
    [{ type: 'array', maxItems: 1, items: STRING }, ['a', 'b'], ['x: Too many: 2: must have at most 1 item']],
    [
      { type: 'array', minItems: 1, items: STRING },
      [],
      ['x: Invalid value: 0: x in body should have at least 1 items'],
    ],
    [
      { type: 'array', items: STRING, 'x-kubernetes-list-type': 'set' },
      ['a', 'a'],
      ['x[1]: Duplicate value: "a"'],
    ],
    [
      {
        type: 'array',
        items: object({ name: STRING }),
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      },
      [{ name: 'a' }, { name: 'a' }],
      ['x[1]: Duplicate value: {"name":"a"}'],
    ],
    [object({ a: STRING }, { required: ['a'] }), {}, ['x.a: Required value']],
    [
      { type: 'object', additionalProperties: STRING },
      { k: 1 },
      ['x.k: Invalid value: "integer": x.k in body must be of type string: "integer"'],
    ],
    [{ type: 'object', maxProperties: 1 }, { a: 1, b: 2 }, ['x: Too many: 2: must have at most 1 item']],
    [
      { type: 'object', oneOf: [{ required: ['a'] }, { required: ['b'] }] },
      { a: 1, b: 1 },
      [
        'x: Invalid value: "object": "x" must validate one and only one schema (oneOf). Found 2 valid alternatives',
      ],
    ],
    [
      { type: 'object', anyOf: [{ required: ['a'] }, { required: ['b'] }] },
      {},
      ['x: Invalid value: "object": "x" must validate at least one schema (anyOf)'],
    ],
    [
      { type: 'object', not: { required: ['a'] } },
      { a: 1 },
      ['x: Invalid value: "object": "x" must not validate the schema (not)'],
    ],
    [
      object({}, { 'x-kubernetes-embedded-resource': true }),
      { kind: 'Pod' },
      ['x.apiVersion: Required value: must not be empty'],
    ],
  ]
  for (const [schema, value, problems] of cases)
    t.strictSame(problemsOf(object({ x: schema }), { x: value }), problems, JSON.stringify(schema))
})

t.test('what has not changed is not checked again', async t => {
  const schema = object({
    a: { ...STRING, maxLength: 1 },
    list: {
      type: 'array',
      items: object({ name: STRING, v: { type: 'integer', maximum: 1 } }),
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    },
  })
  const old = { a: 'long', list: [{ name: 'x', v: 5 }] }
  t.strictSame(problemsOf(schema, { ...old, b: 1 }, old), [])
  t.strictSame(
    problemsOf(
      schema,
      {
        a: 'long',
        list: [
          { name: 'y', v: 1 },
          { name: 'x', v: 5 },
        ],
      },
      old,
    ),
    [],
  )
  t.equal(problemsOf(schema, { a: 'longer', list: [{ name: 'x', v: 6 }] }, old).length, 2)
})

t.test('formats', async t => {
  const good = {
    uuid: '123e4567-e89b-12d3-a456-426614174000',
    'date-time': '2026-01-02T03:04:05Z',
    date: '2026-01-02',
    duration: '1h30m',
    email: 'a@example.com',
    hostname: 'a.example.com',
    ipv6: '2001:db8::1',
    cidr: '192.0.2.0/24',
    mac: '00:00:5e:00:53:01',
    uri: 'https://example.com/a',
    byte: 'aGk=',
    isbn: '978-3-16-148410-0',
    creditcard: '4111 1111 1111 1111',
    hexcolor: '#fff',
    unknown: 'whatever',
  }
  for (const [format, text] of Object.entries(good)) t.ok(hasFormat(text, format), format)
  for (const format of Object.keys(good).filter(format => format !== 'unknown'))
    t.notOk(hasFormat('not ~ such', format), format)
})

t.test('expressions take time in proportion to the text', async t => {
  t.notOk(matchesPattern('^(a+)+$', `${'a'.repeat(10_000)}b`))
  t.throws(() => matchesPattern('(', 'a'))
})

t.test('schemas must be structural', async t => {
  const refused: [schema: JsonObject, problem: RegExp][] = [
    [STRING, /must be object at the root/],
    [object({ a: {} }), /must not be empty for specified object fields/],
    [object({ a: { type: 'array' } }), /items: Required value/],
    [object({ a: { type: 'array', items: {} } }), /must not be empty for specified array items/],
    [object({ a: { type: 'text' } }), /Unsupported value: "text"/],
    [object({ a: { $ref: '#/x', type: 'string' } }), /\$ref is not supported/],
    [object({ a: { type: 'array', items: STRING, uniqueItems: true } }), /uniqueItems cannot be set to true/],
    [object({ a: object({ b: STRING }, { additionalProperties: STRING }) }), /mutual exclusive/],
    [
      object({ a: STRING }, { allOf: [{ properties: { a: { type: 'string' } } }] }),
      /must be empty to be structural/,
    ],
    [object({}, { anyOf: [{ properties: { b: { minLength: 1 } } }] }), /because it is defined in/],
    [object({ metadata: object({ labels: { type: 'object' } }) }), /implicitly specified/],
    [object({ a: { ...STRING, pattern: '(' } }), /must be a valid regular expression/],
    [object({ a: { ...STRING, default: 5 } }), /must be of type string/],
    [object({ a: object({}, { default: { b: 1 } }) }), /must not have unknown fields: b/],
    [
      object({
        a: {
          type: 'array',
          items: object({ n: STRING }),
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['n'],
        },
      }),
      /must have a default or be a required property/,
    ],
    [object({ a: { ...STRING, 'x-kubernetes-validations': [{ rule: 'self.' }] } }), /compilation failed/],
    [
      object({ a: { ...STRING, 'x-kubernetes-validations': [{ rule: '"a" + "b"' }] } }),
      /must evaluate to a bool/,
    ],
  ]
  for (const [schema, problem] of refused) {
    const problems = checkSchema(schema, 's').map(({ field, message }) => `${field}: ${message}`)
    t.match(problems.join('\n'), problem)
  }
  let deep: JsonObject = STRING
  for (let level = 0; level < 60; level += 1) deep = object({ a: deep })
  t.match(checkSchema(deep, 's')[0]?.message, /nested 50 levels/)
  t.strictSame(
    checkSchema(
      object({
        port: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
        any: { 'x-kubernetes-preserve-unknown-fields': true },
        metadata: object({ name: { ...STRING, maxLength: 10 } }),
      }),
      's',
    ),
    [],
  )
})

t.test('paths', async t => {
  const value: JsonObject = {
    spec: {
      'a.b': 1,
      list: [
        { n: 'x', v: 1 },
        { n: 'y', v: 2 },
      ],
    },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  }
  const at = (path: string) => {
    const parsed = parsePath(path)
    return parsed === undefined ? undefined : valuesAt(value, parsed)
  }
  t.strictSame(at(".spec['a.b']"), [1])
  t.strictSame(at('.spec.a\\.b'), [1])
  t.strictSame(at('.spec.list[0].n'), ['x'])
  t.strictSame(at('.spec.list[-1:].n'), ['y'])
  t.strictSame(at('.spec.list[0:1].n'), ['x'])
  t.strictSame(at('.spec..n'), undefined)
  t.strictSame(at('.spec.list[*].v'), [1, 2])
  t.strictSame(at('{.spec.list[?(@.n=="y")].v}'), [2])
  t.strictSame(at('.status.conditions[?(@.type=="Ready")].status'), ['True'])
  t.strictSame(at('.spec.none'), [])
  t.strictSame(at('.spec['), undefined)
})

t.test('rules', async t => {
  const run = (rule: object, value: JsonValue, old?: JsonValue, schema: JsonObject = { type: 'integer' }) =>
    runRules(
      { v: value },
      readSchema(object({ v: { ...schema, 'x-kubernetes-validations': [rule as JsonObject] } })),
      old === undefined ? undefined : { v: old },
    ).map(({ field, message }) => `${field}: ${message}`)
  t.strictSame(run({ rule: 'self > 1' }, 2), [])
  t.strictSame(run({ rule: 'self > 1' }, 1), ['v: Invalid value: "integer": failed rule: self > 1'])
  t.strictSame(run({ rule: 'self > 1', message: 'too small' }, 1), ['v: Invalid value: "integer": too small'])
  t.strictSame(run({ rule: 'self > 1', messageExpression: '"not " + string(self)' }, 1), [
    'v: Invalid value: "integer": not 1',
  ])
  t.strictSame(run({ rule: 'self == oldSelf', message: 'fixed', reason: 'FieldValueForbidden' }, 2, 1), [
    'v: Forbidden: fixed',
  ])
  t.strictSame(run({ rule: 'self == oldSelf' }, 2), [], 'a transition needs something before it')
  t.strictSame(run({ rule: 'self == oldSelf.orValue(7)', optionalOldSelf: true }, 7), [])
  t.strictSame(run({ rule: 'self > 1' }, 1, 1), [], 'what has not changed is not checked again')
  const list: JsonObject = { type: 'array', items: { type: 'string' } }
  t.strictSame(run({ rule: 'self.all(x, x.matches("^a+$"))' }, ['a', 'aa'], undefined, list), [])
  t.equal(
    run({ rule: 'self.all(x, x.matches("^(a+)+$"))' }, [`${'a'.repeat(5000)}b`], undefined, list).length,
    1,
  )
  const dashed = object({ 'a-b': { type: 'integer' }, namespace: STRING })
  t.strictSame(
    run(
      { rule: 'self.a__dash__b == 1 && self.__namespace__ == "x"' },
      { 'a-b': 1, namespace: 'x' },
      undefined,
      dashed,
    ),
    [],
  )
  const costly = 'self.all(a, self.all(b, self.all(c, a != b || b != c || true)))'
  t.match(
    run(
      { rule: costly },
      Array.from({ length: 300 }, (_, index) => `${index}`),
      undefined,
      list,
    )[0],
    /too long on this object/,
  )
  const nested = 'self.all(a, self.all(b, self.all(c, self.all(d, true))))'
  const plain = {
    rule: nested,
    message: '',
    messageExpression: '',
    reason: '',
    fieldPath: '',
    optionalOldSelf: false,
  }
  t.match(checkRules([plain], 's')[0]?.message, /may be nested 3 deep/)
})

t.test('rules as kinds in use have them', async t => {
  const value: JsonObject = {
    type: 'Exact',
    text: '/a/b',
    list: [
      { type: 'x', values: ['1'], group: 'g' },
      { type: 'y', values: ['2'], group: 'h' },
    ],
    names: ['a', 'b'],
    map: { aa: 'x' },
    number: 5,
    half: 2.5,
    cpu: '1500m',
    url: 'https://example.com:8443/p',
    ip: '192.0.2.7',
    timeout: '90s',
    since: '2026-01-01T00:00:00Z',
  }
  const any: JsonObject = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  for (const rule of [
    "!(has(self.missing) && self.type != 'Other')",
    "self.list.filter(f, f.type == 'x').size() <= 1",
    'self.list.all(a, self.list.exists_one(b, a.group == b.group && a.type == b.type))',
    "self.type in ['Exact', 'Prefix'] ? self.text.startsWith('/') : true",
    'self.text.matches(r"""^(?:[-A-Za-z0-9/._~!$&\'()*+,;=:@]|[%][0-9a-fA-F]{2})+$""")',
    "duration(self.timeout) > duration('1m')",
    "timestamp(self.since) < timestamp('2030-01-01T00:00:00Z')",
    'self.list.all(x, x.values.size() == 1 && int(x.values[0]) >= 0)',
    "self.text.find('[a-z]') == 'a' && self.text.findAll('[a-z]').size() == 2",
    "quantity(self.cpu).isGreaterThan(quantity('1')) && quantity(self.cpu).compareTo(quantity('2')) < 0",
    "url(self.url).getScheme() == 'https' && url(self.url).getPort() == '8443'",
    "ip(self.ip).family() == 4 && cidr('192.0.2.0/24').containsIP(self.ip) && !isCIDR(self.ip)",
    '[has(self.a), has(self.type)].filter(x, x).size() == 1',
    "self.map.all(k, k.startsWith('a') && self.map[k] == 'x')",
    "self.?missing.orValue('d') == 'd'",
    "self.names.isSorted() && self.names.indexOf('b') == 1 && self.names.max() == 'b'",
    "sets.contains(self.names, ['a']) && sets.equivalent(self.names, ['b', 'a'])",
    "self.text.replace('/', '-') == '-a-b' && self.text.charAt(1) == 'a'",
    "'%s has %d'.format([self.type, self.number]) == 'Exact has 5'",
    'self.number % 2 == 1 && self.half > 2.0 && double(self.number) / 2.0 == self.half',
    "self.list.map(x, x.type).join(',') == 'x,y'",
  ]) {
    const whole = readSchema({ ...any, 'x-kubernetes-validations': [{ rule }] })
    t.strictSame(checkRules(whole.rules, ''), [], rule)
    t.strictSame(runRules(value, whole, undefined), [], rule)
  }
})

t.test('versions in order of preference', async t => {
  const versions = [
    'v1',
    'foo10',
    'v11alpha2',
    'v2',
    'v3beta1',
    'foo1',
    'v10',
    'v12alpha1',
    'v11beta2',
    'v10beta3',
  ]
  t.strictSame(versions.toSorted(compareVersions), [
    'v10',
    'v2',
    'v1',
    'v11beta2',
    'v10beta3',
    'v3beta1',
    'v12alpha1',
    'v11alpha2',
    'foo1',
    'foo10',
  ])
})

t.test('OpenAPI v2 says nothing that clients would take for a prohibition', async t => {
  const preserves = 'x-kubernetes-preserve-unknown-fields'
  const kinds = { 'x-kubernetes-group-version-kind': [{ group: 'g', kind: 'K', version: 'v1' }] }
  const text = { type: 'string' }
  t.strictSame(toSecondVersion({ type: 'object', [preserves]: true, properties: { a: text }, ...kinds }), {
    type: 'object',
    ...kinds,
  })
  const properties = {
    free: { type: 'object', [preserves]: true, properties: { a: text } },
    list: { type: 'array', [preserves]: true, items: text },
    maybe: { type: 'object', nullable: true, properties: { a: text } },
    map: { type: 'object', required: ['x'], additionalProperties: { type: 'string', nullable: true } },
    default: { ...text, default: 'a', anyOf: [{ minLength: 1 }], 'x-kubernetes-validations': [] },
    metadata: { allOf: [{ $ref: '#/components/schemas/M' }] },
  }
  t.strictSame(toSecondVersion({ type: 'object', required: ['maybe', 'list'], properties, ...kinds }), {
    type: 'object',
    required: ['list'],
    properties: {
      free: { [preserves]: true },
      list: { [preserves]: true },
      maybe: {},
      map: { type: 'object', additionalProperties: {} },
      default: text,
      metadata: { $ref: '#/definitions/M' },
    },
    ...kinds,
  })
})
