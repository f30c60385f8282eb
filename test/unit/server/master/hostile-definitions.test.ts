/**
 * Definitions and objects that are made to take long or to become large: each is refused, or is done with little. Without
 * their bounds most of these end the process, which all clusters share.
 */
import t from 'tap'
import { eventually, temporaryMaster } from './temporary-master.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const MIB = 1024 * 1024
/** What a request may take for a moment, far below what these wanted. */
const ROOM = 400 * MIB

const letters = (count: number) => 'a'.repeat(count)
const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index))
const text = { type: 'string' }
const many = (part: string, count: number, joint: string) => Array(count).fill(part).join(joint)

/** `s`, a text, and `l`, a list of texts, with a rule. */
const ruled = (...rules: string[]) => ({
  type: 'object',
  properties: { s: text, l: { type: 'array', items: text } },
  'x-kubernetes-validations': rules.map(rule => ({ rule })),
})
const twice = (depth: number, leaf: object, around: (inner: object) => object): object =>
  depth === 0 ? leaf : around(twice(depth - 1, leaf, around))
const manyDefaults = Object.fromEntries(
  numbers(200).map(name => [
    `p${name}`,
    { type: 'object', default: {}, properties: { q: { ...text, default: 'x' } } },
  ]),
)

interface Bomb {
  readonly schema: object
  /** Absent where the definition is refused already. */
  readonly spec?: unknown
  readonly status: number
}

const BOMBS: Readonly<Record<string, Bomb>> = {
  'a large default for each of many items': {
    schema: {
      type: 'array',
      items: { type: 'object', properties: { a: { ...text, default: letters(200_000) } } },
    },
    spec: Array(100_000).fill({}),
    status: 413,
  },
  'many small defaults for each of many items': {
    schema: { type: 'array', items: { type: 'object', properties: manyDefaults } },
    spec: Array(300_000).fill({}),
    status: 413,
  },
  'defaults that double': {
    schema: twice(12, { ...text, default: 'x' }, inner => ({
      type: 'object',
      default: {},
      properties: { a: inner, b: structuredClone(inner) },
    })),
    spec: {},
    status: 201,
  },
  'repetitions of repetitions': { schema: { ...text, pattern: '((((a{30}){30}){30}){30})' }, status: 422 },
  'a pattern with a thousand ways': {
    schema: { ...text, pattern: '(.*){1000}' },
    spec: letters(500_000),
    status: 422,
  },
  'a pattern of letters of all languages': {
    schema: { ...text, pattern: '\\pL'.repeat(1300) },
    spec: letters(500_000),
    status: 422,
  },
  'the pattern that stops other engines': {
    schema: { ...text, pattern: '^(a+)+$' },
    spec: `${letters(100_000)}b`,
    status: 422,
  },
  'a thousand patterns for each of many items': {
    schema: {
      type: 'array',
      items: { ...text, anyOf: numbers(5000).map(each => ({ pattern: `^${each}x$` })) },
    },
    spec: numbers(50_000),
    status: 422,
  },
  'a thousand values for each of many items': {
    schema: { type: 'array', items: { ...text, enum: numbers(50_000).map(each => `x${each}`) } },
    spec: numbers(100_000),
    status: 422,
  },
  'combinations that double': {
    schema: {
      ...text,
      ...twice(12, { minLength: 1 }, inner => ({
        anyOf: [inner, structuredClone(inner)],
        not: { minLength: 3 },
      })),
    },
    spec: 'abcd',
    status: 422,
  },
  'a schema of too many levels': {
    schema: twice(100, text, inner => ({ type: 'object', properties: { a: inner } })),
    status: 422,
  },
  'a list in a list': {
    schema: twice(45, text, items => ({ type: 'array', items })),
    spec: JSON.parse('['.repeat(45) + ']'.repeat(45)),
    status: 201,
  },
  'a rule that puts texts together': {
    schema: ruled(`(${many('self.s', 300, '+')}).upperAscii().size() > 3`),
    spec: { s: letters(1_000_000) },
    status: 422,
  },
  'a rule that joins by a large text': {
    schema: ruled('self.s.split("").join(self.s).split("").size() > 3'),
    spec: { s: letters(12_000) },
    status: 422,
  },
  'a rule that names what it doubles': {
    schema: ruled(
      numbers(15)
        .reduceRight((body, at) => `cel.bind(v${Number(at) + 1}, v${at} + v${at}, ${body})`, 'v15.size() > 0')
        .replace(/^/, 'cel.bind(v0, self.l + self.l, ')
        .concat(')'),
    ),
    spec: { l: numbers(10_000) },
    status: 422,
  },
  'a rule that writes large texts': {
    schema: ruled(`"${many('%s', 150, '')}".format([${many('self.s', 150, ',')}]).size() > 3`),
    spec: { s: letters(2_000_000) },
    status: 422,
  },
  'a rule that goes through lists in lists': {
    schema: ruled('self.l.map(x, self.l.map(y, self.l.map(z, z + y))).size() > 0'),
    spec: { l: numbers(500) },
    status: 422,
  },
  'a rule that makes a text of each item': {
    schema: ruled('self.l.map(x, self.s + x).join(",").size() > 0'),
    spec: { s: letters(1_000_000), l: numbers(2000) },
    status: 422,
  },
  'a rule that compares each with all': {
    schema: ruled('self.l.all(x, x in self.l)'),
    spec: { l: numbers(20_000) },
    status: 422,
  },
  'a rule that searches by what it is given': {
    schema: ruled('self.s.find(self.l[0]).size() >= 0'),
    spec: { s: letters(500_000), l: ['(.*){1000}'] },
    status: 422,
  },
  'a rule whose call of matches hides behind a comment': {
    schema: ruled('self.s // matches\n.matches("(a+)+$")'),
    status: 422,
  },
  'a rule in parentheses': { schema: ruled(`${'('.repeat(8000)}true${')'.repeat(8000)}`), status: 422 },
  'a rule that says no to no': { schema: ruled(`${'!'.repeat(16_000)}true`), status: 422 },
  'two thousand rules': {
    schema: ruled(...numbers(2000).map(each => `!has(self.s) || self.s.size() < ${Number(each) + 5}`)),
    spec: { s: 'a' },
    status: 201,
  },
}

/** What people write must not be taken for one of these. */
const USUAL: readonly (readonly [string, unknown])[] = [
  ['!has(self.s) || self.s.size() < 2000000', { s: letters(1_000_000) }],
  ['self.l.all(x, x.matches("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))', { l: numbers(1000) }],
  ['self.l.exists_one(x, x == self.s)', { s: '7', l: numbers(1000) }],
  ['self.l.filter(x, x.startsWith("9")).size() < 200', { l: numbers(1000) }],
  ['self.l.all(x, self.l.exists_one(y, x == y))', { l: numbers(100) }],
  ['self.l.map(x, x + "!").join(",").size() < 100000', { l: numbers(1000) }],
  ['cel.bind(first, self.l[0], self.l.exists(x, x == first))', { l: numbers(1000) }],
]

/** As Gateway API has it: each listener with all others, each of them large. */
const LISTENERS = Array.from({ length: 64 }, (_, index) => ({
  name: `n${index}`,
  port: 1000 + index,
  rules: Array.from({ length: 8 }, () => ({ matches: [{ path: `/${letters(60)}` }] })),
}))
const LISTENER_RULES = [
  'self.all(l1, self.exists_one(l2, l1.name == l2.name))',
  'self.all(l1, self.exists_one(l2, l1.port == l2.port && l1.name == l2.name && (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname))))',
  'self.all(l, l.rules.all(r, r.matches.all(m, m.path.startsWith("/"))))',
  'self.map(l, l.rules.map(r, r.matches.size()).sum()).sum() < 1000',
]

t.setTimeout(120_000)

t.test('hostile definitions', { timeout: 120_000 }, async t => {
  const { ask } = await temporaryMaster(t)
  let made = 0
  let largest = 0
  const watching = setInterval(() => {
    largest = Math.max(largest, process.memoryUsage.rss())
  }, 5)
  t.teardown(() => clearInterval(watching))
  const define = async (schema: object) => {
    made += 1
    const plural = `bombs${made}`
    const names = { plural, singular: `bomb${made}`, kind: `Bomb${made}`, listKind: `Bomb${made}List` }
    const openAPIV3Schema = { type: 'object', properties: { spec: schema } }
    const versions = [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }]
    const body = {
      metadata: { name: `${plural}.example.com` },
      spec: { group: 'example.com', scope: 'Namespaced', names, versions },
    }
    const { status } = await ask(DEFINITIONS, { method: 'POST', body })
    const place = `/apis/example.com/v1/namespaces/default/${plural}`
    if (status === 201) await eventually(async () => (await ask(place)).status === 200, 'it is served')
    return { status, place }
  }
  const create = (place: string, spec: unknown) =>
    ask(place, { method: 'POST', body: JSON.stringify({ metadata: { name: 'a' }, spec }) })

  for (const [name, { schema, spec, status }] of Object.entries(BOMBS)) {
    await t.test(name, async t => {
      const before = process.memoryUsage.rss()
      largest = before
      const defined = await define(schema)
      if (spec === undefined) t.equal(defined.status, status)
      else {
        t.equal(defined.status, 201, 'the definition is none by itself')
        t.equal((await create(defined.place, spec)).status, status)
      }
      t.ok(largest - before < ROOM, `it took ${Math.round((largest - before) / MIB)} MiB`)
    })
  }

  for (const [rule, spec] of USUAL) {
    await t.test(rule, async t => {
      const { place } = await define(ruled(rule))
      t.match(await create(place, spec), { status: 201 })
    })
  }

  await t.test('rules about all pairs of a list of large items', async t => {
    const rules = { type: 'array', items: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }
    const properties = { name: text, port: { type: 'integer' }, hostname: text, rules }
    const { place } = await define({
      type: 'array',
      items: { type: 'object', properties },
      'x-kubernetes-validations': LISTENER_RULES.map(rule => ({ rule })),
    })
    const answer = await create(place, LISTENERS)
    t.equal(answer.status, 201, answer.text)
  })

  t.equal((await ask('/openapi/v2')).status, 200)
  t.equal((await ask('/openapi/v3/apis/example.com/v1')).status, 200)
})
