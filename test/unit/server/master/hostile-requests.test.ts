/** Requests that are made to break what reads them: never a 500, and nothing grows without bound. */
import fc from 'fast-check'
import t from 'tap'
import { eventually, temporaryMaster } from './temporary-master.ts'

const MAPS = '/api/v1/namespaces/default/configmaps'
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const GADGETS = '/apis/example.com/v1/namespaces/default/gadgets'
const APPLY = { 'content-type': 'application/apply-patch+yaml' }
const MIB = 1024 * 1024
const RUNS = 100

const text = { type: 'string' }
const keyed = (keys: readonly string[], properties: object, extra: object = {}) => ({
  type: 'array',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': keys,
  items: { type: 'object', required: keys, properties, ...extra },
})
/** Every kind of list and map, inside of each other, where merging is decided. */
const ODD = {
  type: 'object',
  properties: {
    set: { type: 'array', 'x-kubernetes-list-type': 'set', items: text },
    atomic: { type: 'array', 'x-kubernetes-list-type': 'atomic', items: text },
    plain: { type: 'array', items: { type: 'object', properties: { a: text } } },
    whole: { type: 'object', 'x-kubernetes-map-type': 'atomic', additionalProperties: text },
    map: {
      type: 'object',
      additionalProperties: { type: 'object', properties: { a: text, n: { type: 'integer', default: 7 } } },
    },
    any: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    embedded: {
      type: 'object',
      'x-kubernetes-embedded-resource': true,
      'x-kubernetes-preserve-unknown-fields': true,
    },
    keyed: keyed(['k'], {
      k: text,
      v: text,
      inner: keyed(['a', 'b'], { a: text, b: { type: 'boolean' } }),
    }),
    numbered: keyed(['n'], { n: { type: 'number' }, v: text }),
    defaulted: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['a', 'b'],
      items: {
        type: 'object',
        required: ['a'],
        properties: { a: text, b: { ...text, default: 'x' }, v: text },
      },
    },
    nullable: { type: 'object', nullable: true, properties: { a: text } },
    __proto__: text,
    constructor: { type: 'object', properties: { prototype: text } },
  },
}

const scalar = fc.constantFrom<unknown>(
  ...['', 'a', 'b', '1', '~', '.'],
  ...[null, true, false, 0, 1, -0, 1.5, 1e21, 2 ** 53],
)
const odd = fc.letrec(tie => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom('a', 'b', 'k', 'n', 'v', 'inner', '__proto__', 'constructor', 'f:a', 'k:{"k":1}', '.'),
      tie('value'),
      { maxKeys: 4 },
    ),
  ),
})).value
const key = fc.constantFrom<unknown>('a', 'b', '', '1', '{"k":"a"}')
const likely = fc.record(
  {
    set: fc.uniqueArray(key, { maxLength: 4 }),
    atomic: fc.array(fc.constantFrom('a', 'b'), { maxLength: 3 }),
    plain: fc.array(fc.record({ a: fc.constantFrom('x', 'y') }), { maxLength: 3 }),
    whole: fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom('x', 'y')),
    map: fc.dictionary(
      fc.constantFrom('a', 'b', '__proto__'),
      fc.record({ a: fc.constantFrom('x') }, { requiredKeys: [] }),
    ),
    any: fc.dictionary(fc.constantFrom('a', 'b', '__proto__', '.'), odd, { maxKeys: 2 }),
    embedded: fc.record({
      apiVersion: fc.constant('v1'),
      kind: fc.constant('Pod'),
      metadata: fc.constantFrom({}, { name: 'x' }, { labels: { a: 'b' } }),
      spec: odd,
    }),
    keyed: fc.uniqueArray(
      fc.record(
        {
          k: key,
          v: fc.constantFrom('x', 'y'),
          inner: fc.uniqueArray(fc.record({ a: fc.constantFrom('p', 'q'), b: fc.boolean() }), {
            maxLength: 3,
            selector: ({ a, b }) => `${a} ${b}`,
          }),
        },
        { requiredKeys: ['k'] },
      ),
      { maxLength: 4, selector: ({ k }) => k },
    ),
    numbered: fc.uniqueArray(
      fc.record({ n: fc.constantFrom(0, -0, 1, 1.5, 1e21), v: fc.constantFrom('x', 'y') }),
      { maxLength: 3, selector: ({ n }) => String(n) },
    ),
    defaulted: fc.uniqueArray(
      fc.record(
        { a: fc.constantFrom('p', 'q'), b: fc.constantFrom('x', 'y'), v: fc.constantFrom('1') },
        { requiredKeys: ['a'] },
      ),
      { maxLength: 3, selector: ({ a, b }) => `${a} ${b ?? 'x'}` },
    ),
    nullable: fc.constantFrom(null, {}, { a: 'x' }),
    constructor: fc.constantFrom({}, { prototype: 'x' }),
  },
  { requiredKeys: [] },
)

t.setTimeout(180_000)

t.test('hostile requests', { timeout: 180_000 }, async t => {
  const { ask } = await temporaryMaster(t)
  const check = async (path: string, options: Parameters<typeof ask>[1] = {}) => {
    const answer = await ask(path, options)
    if (answer.status >= 500 && answer.status !== 504) throw new Error(`${answer.status} ${answer.text}`)
    return answer
  }
  const names = { plural: 'gadgets', singular: 'gadget', kind: 'Gadget', listKind: 'GadgetList' }
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec: ODD, status: ODD } } }
  const version = { name: 'v1', served: true, storage: true, schema, subresources: { status: {} } }
  const spec = { group: 'example.com', scope: 'Namespaced', names, versions: [version] }
  const body = { metadata: { name: 'gadgets.example.com' }, spec }
  const defined = await ask(DEFINITIONS, { method: 'POST', body })
  t.equal(defined.status, 201, defined.text)
  await eventually(async () => (await ask(GADGETS)).status === 200, 'it is served')
  const head = { apiVersion: 'example.com/v1', kind: 'Gadget', metadata: { name: 'g' } }

  await t.test('what is applied to a kind of odd lists and maps', async t => {
    let applied = 0
    const step = fc.record({
      spec: fc.oneof({ arbitrary: likely, weight: 4 }, odd),
      manager: fc.constantFrom('one', 'two', 'three'),
      force: fc.boolean(),
      part: fc.constantFrom('', '/status'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 4 }), async steps => {
        await check(`${GADGETS}/g`, { method: 'DELETE' })
        for (const { spec: wanted, manager, force, part } of steps) {
          const body = { ...head, [part === '' ? 'spec' : 'status']: wanted }
          const path = `${GADGETS}/g${part}?fieldManager=${manager}&force=${force}`
          const send = () => check(path, { method: 'PATCH', body: JSON.stringify(body), headers: APPLY })
          const first = await send()
          if (first.status >= 300) continue
          applied += 1
          const again = await send()
          if (
            again.status !== 200 ||
            again.body.metadata.resourceVersion !== first.body.metadata.resourceVersion
          ) {
            throw new Error(`the same once more is a change: ${JSON.stringify(body)}`)
          }
        }
      }),
      { numRuns: RUNS },
    )
    t.ok(applied > RUNS / 4, `${applied} were applied`)
  })

  await t.test('what clients say of who manages what', async t => {
    const fields = fc.letrec(tie => ({
      set: fc.dictionary(
        fc.constantFrom(
          '.',
          'f:data',
          'f:a',
          'f:',
          'k:{"a":1}',
          'k:{',
          'k:null',
          'v:1',
          'v:{',
          'v:"x"',
          'i:0',
          'i:-1',
          'i:x',
          'x',
          '',
          '__proto__',
          'f:__proto__',
        ),
        fc.oneof({ maxDepth: 4, depthSize: 'small' }, fc.constant({}), tie('set'), scalar),
        { maxKeys: 3 },
      ),
    })).set
    const entry = fc.record(
      {
        manager: fc.constantFrom('me', '', 'x'.repeat(200)),
        operation: fc.constantFrom('Apply', 'Update', 'Other'),
        apiVersion: fc.constantFrom('v1', 'v2', '', 'example.com/v1'),
        fieldsType: fc.constantFrom('FieldsV1', 'FieldsV2', ''),
        fieldsV1: fc.oneof(fields, odd),
        time: fc.constantFrom('2026-01-01T00:00:00Z', 'yesterday'),
        subresource: fc.constantFrom('', 'status', 'scale'),
      },
      { requiredKeys: [] },
    )
    await ask(MAPS, { method: 'POST', body: { metadata: { name: 'managed' }, data: { a: '1' } } })
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.array(entry, { maxLength: 3 }), odd), async managedFields => {
        const metadata = { name: 'managed', managedFields }
        const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { a: '1' } }
        await check(`${MAPS}/managed`, { method: 'PUT', body: JSON.stringify(body) })
        const { managedFields: _, ...plain } = metadata
        await check(`${MAPS}/managed?fieldManager=other&force=true`, {
          method: 'PATCH',
          body: JSON.stringify({ ...body, metadata: plain, data: { a: '2' } }),
          headers: APPLY,
        })
        await check(`${MAPS}/managed?fieldManager=other`, {
          method: 'PATCH',
          body: JSON.stringify(body),
          headers: APPLY,
        })
      }),
      { numRuns: RUNS },
    )
    t.pass()
  })

  await t.test('selectors', async t => {
    const token = fc.constantFrom(
      ...[
        'a',
        'b.c/d',
        'metadata.name',
        'metadata.namespace',
        '=',
        '==',
        '!=',
        '!',
        ',',
        '(',
        ')',
        ' in ',
        ' notin ',
        ' ',
        '>',
        '<',
        'exists',
      ],
      ...[
        '1',
        '-1',
        '\\',
        '\\,',
        '\\=',
        '"',
        "'",
        '\0',
        'é',
        'x'.repeat(300),
        '__proto__',
        'constructor',
        '/',
        '.',
        '-',
      ],
    )
    const selector = fc.oneof(
      fc.array(token, { maxLength: 10 }).map(parts => parts.join('')),
      fc.string({ unit: 'binary', maxLength: 40 }),
    )
    await fc.assert(
      fc.asyncProperty(
        selector,
        selector,
        fc.constantFrom(MAPS, GADGETS, '/api/v1/pods', '/api/v1/nodes'),
        async (labels, fields, place) => {
          const query = new URLSearchParams({ labelSelector: labels, fieldSelector: fields })
          await check(`${place}?${query}`)
          await check(`${place}?${query}&watch=true&timeoutSeconds=0`)
          await check(`${place}?${query}&dryRun=All`, { method: 'DELETE' })
        },
      ),
      { numRuns: RUNS },
    )
    for (const part of ['a in (b),', 'a,', 'a=b,', 'a notin (', '(((((']) {
      await check(`${MAPS}?labelSelector=${encodeURIComponent(part.repeat(Math.floor(8_000 / part.length)))}`)
    }
    t.pass()
  })

  await t.test('continue tokens', async t => {
    for (const name of ['p1', 'p2', 'p3']) await ask(MAPS, { method: 'POST', body: { metadata: { name } } })
    const page = await ask(`${MAPS}?limit=1`)
    const good: string = page.body.metadata.continue
    t.ok(good)
    const flipped = fc
      .array(fc.tuple(fc.nat({ max: good.length - 1 }), fc.constantFrom(...'abcXYZ019-_=+/ ')), {
        maxLength: 4,
      })
      .map(flips => {
        const characters = [...good]
        for (const [at, character] of flips) characters[at] = character
        return characters.join('')
      })
    const crafted = fc
      .record(
        {
          revision: fc.oneof(scalar, fc.integer(), fc.constantFrom(Number.MAX_SAFE_INTEGER, -1)),
          namespace: fc.oneof(scalar, fc.string()),
          name: fc.oneof(scalar, fc.string(), fc.constant('z'.repeat(1000))),
          __proto__: odd,
        },
        { requiredKeys: [] },
      )
      .map(value => Buffer.from(JSON.stringify(value)).toString('base64url'))
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(flipped, crafted, fc.base64String(), fc.string({ unit: 'binary' })),
        fc.constantFrom('0', '1', '500'),
        async (token, limit) => {
          const query = new URLSearchParams({ continue: token, limit })
          const { status } = await check(`${MAPS}?${query}`)
          if (![200, 400, 410].includes(status)) throw new Error(`${status} for ${token}`)
        },
      ),
      { numRuns: RUNS },
    )
    t.equal((await ask(`${MAPS}?limit=1&continue=${good}`)).status, 200)
  })

  await t.test('YAML that is larger than it looks', async t => {
    const laughs = (levels: number, width: number) =>
      Array.from({ length: levels }, (_, level) =>
        level === 0
          ? 'a0: &a0 [x]'
          : `a${level}: &a${level} [${Array(width)
              .fill(`*a${level - 1}`)
              .join(',')}]`,
      ).join('\n')
    const map = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\n'
    const documents = [
      `${map}${laughs(9, 9)}`,
      `${map}${laughs(30, 2)}`,
      `${map}data: &d {a: *d}`,
      `${map}x: &x [*x, *x]`,
      `${map}${Array.from({ length: 40 }, (_, at) => (at === 0 ? 'b0: &b0 {k: v}' : `b${at}: &b${at} {<<: [*b${at - 1}, *b${at - 1}], k${at}: v}`)).join('\n')}`,
      `${map}data: {a: !!binary "${'A'.repeat(1000)}"}`,
      `${map}data: {a: !!js/function "function(){}"}`,
      `${map}data: {? {a: b} : c, ? [1, 2] : d}`,
      `${map}---\n${map}`,
      `${map}data: {a: 1_000, b: 0x${'f'.repeat(5000)}, c: 1e999999, d: .inf, e: .nan, f: 0o7, g: 190:20:30}`,
      `${map}data:\n${Array.from({ length: 3000 }, (_, at) => `${' '.repeat(at + 1)}a:`).join('\n')}`,
      `${map}x: ${'['.repeat(20_000)}`,
      `${map}x: ${'{a: '.repeat(20_000)}`,
      `${map}x: ${'- '.repeat(20_000)}`,
      `${map}x: |\n${' a\n'.repeat(50_000)}`,
      `${map}x: "${'\\u0000'.repeat(10_000)}"`,
      `%YAML 9.9\n%TAG ! tag:x,1:\n---\n${map}x: !${'y'.repeat(5000)} z`,
      `${map}${Array.from({ length: 5000 }, (_, at) => `k${at}: &k${at} v`).join('\n')}`,
      '\ufeff'.repeat(100) + map,
      `${map}x: {${Array.from({ length: 40_000 }, (_, at) => at.toString(36)).join(',')}}`,
      `${map}x: ${'&a '.repeat(5000)}y`,
      `${map}x: ${'? '.repeat(10_000)}y`,
      `${map}x: ${'!!seq '.repeat(5000)}[]`,
      `${map}"__proto__": {polluted: true}\nconstructor: {prototype: {polluted: true}}`,
    ]
    const twice = await ask(MAPS, {
      method: 'POST',
      body: `${map}data: {a: b, "a": c}`,
      headers: { 'content-type': 'application/yaml' },
    })
    t.match(twice, { status: 400, body: { message: /Map keys must be unique: a/ } })
    let largest = 0
    const before = process.memoryUsage.rss()
    const watching = setInterval(() => {
      largest = Math.max(largest, process.memoryUsage.rss())
    }, 5)
    for (const document of documents) {
      await check(`${MAPS}?dryRun=All`, {
        method: 'POST',
        body: document,
        headers: { 'content-type': 'application/yaml' },
      })
      await check(`${MAPS}/yaml?fieldManager=f&dryRun=All`, {
        method: 'PATCH',
        body: document,
        headers: APPLY,
      })
    }
    const mutation = fc.tuple(
      fc.constantFrom(...documents.map(each => each.slice(0, 2000))),
      fc.array(fc.tuple(fc.nat(), fc.constantFrom(...'&*{}[],:-|>\'"%!?#\n\t ~<')), { maxLength: 6 }),
    )
    await fc.assert(
      fc.asyncProperty(mutation, async ([document, flips]) => {
        const characters = [...document]
        for (const [at, character] of flips) characters[at % characters.length] = character
        await check(`${MAPS}/yaml?fieldManager=f&dryRun=All`, {
          method: 'PATCH',
          body: characters.join(''),
          headers: APPLY,
        })
      }),
      { numRuns: RUNS },
    )
    clearInterval(watching)
    t.ok(largest - before < 300 * MIB, `it took ${Math.round((largest - before) / MIB)} MiB`)
    t.equal(({} as { polluted?: unknown }).polluted, undefined)
  })

  await t.test('patches that double what they copy', async t => {
    await ask(MAPS, {
      method: 'POST',
      body: { metadata: { name: 'doubled' }, data: { a: 'x'.repeat(10_000) } },
    })
    const copies = Array.from({ length: 40 }, (_, at) => ({
      op: 'copy',
      from: '/data',
      path: `/data/c${at}`,
    }))
    const json = { 'content-type': 'application/json-patch+json' }
    const refused = await check(`${MAPS}/doubled`, {
      method: 'PATCH',
      body: JSON.stringify(copies),
      headers: json,
    })
    t.ok(refused.status >= 400)
    const tests = Array.from({ length: 200_000 }, () => ({ op: 'test', path: '/data', value: {} }))
    t.ok(
      (await check(`${MAPS}/doubled`, { method: 'PATCH', body: JSON.stringify(tests), headers: json }))
        .status >= 400,
    )
    const inserts = Array.from({ length: 9_000 }, () => ({
      op: 'add',
      path: '/metadata/finalizers/0',
      value: 'a/b',
    }))
    await check(`${MAPS}/doubled`, {
      method: 'PATCH',
      body: JSON.stringify([{ op: 'add', path: '/metadata/finalizers', value: [] }, ...inserts]),
      headers: json,
    })
  })

  await t.test('paths, heads and methods', async t => {
    const segment = fc.oneof(
      fc.constantFrom(
        'api',
        'apis',
        'v1',
        'namespaces',
        'default',
        'pods',
        'nodes',
        'n',
        'proxy',
        'example.com',
        'gadgets',
        'g',
        'status',
        'scale',
        'metrics',
        'livez',
        '..',
        '%2e%2e',
        '%2f',
        '%00',
        '%ff',
        '*',
        'watch',
      ),
      fc.string({ unit: 'grapheme', maxLength: 12 }).map(encodeURIComponent),
      fc.constant('x'.repeat(4000)),
    )
    const path = fc.array(segment, { maxLength: 10 }).map(parts => `/${parts.join('/')}`)
    const headers = fc.dictionary(
      fc.constantFrom(
        'accept',
        'content-type',
        'accept-encoding',
        'if-none-match',
        'impersonate-user',
        'impersonate-group',
        'impersonate-extra-%zz',
        'impersonate-uid',
        'x-http-method-override',
        'expect-nothing',
        'user-agent',
      ),
      fc.oneof(
        fc.constantFrom(
          'application/json;as=Table;v=v1;g=meta.k8s.io',
          'application/json;as=;v=;g=',
          ';;;=',
          '*/*;q=x',
          'application/vnd.kubernetes.protobuf',
          'system:masters',
          'system:serviceaccount:a:b',
        ),
        fc.string({ maxLength: 20 }).map(value => value.replaceAll(/[^ -~]/g, '')),
      ),
      { maxKeys: 3 },
    )
    await fc.assert(
      fc.asyncProperty(
        path,
        headers,
        fc.constantFrom('GET', 'PUT', 'POST', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE'),
        async (target, own, method) => {
          const { status } = await ask(target, { method, headers: own })
          // 501 and 503 say what is not possible; nothing here may break.
          if (status === 500 || status === 502) throw new Error(`${status} for ${method} ${target}`)
        },
      ),
      { numRuns: RUNS * 2 },
    )
    t.pass()
  })

  t.equal((await ask(MAPS)).status, 200, 'it still answers')
})
