/** Hosts, paths, and the order of rules. */
import t from 'tap'
import {
  compareRules,
  hostMatchOf,
  type OrderedRule,
  pathMatchOf,
} from '../../../../agent/balancer/matching.ts'

t.test('hosts', async t => {
  const cases: [string | undefined, unknown][] = [
    [undefined, undefined],
    ['', undefined],
    ['*', undefined],
    ['WWW.Example', { kind: 'exact', value: 'www.example' }],
    ['*.example', { kind: 'suffix', value: '.example' }],
    ['api.*', { kind: 'prefix', value: 'api.' }],
    ["it's", { kind: 'exact', value: "it's" }],
    ['a*b', 'invalid'],
    ['*.*', 'invalid'],
    ['a b', 'invalid'],
    ['a\nbind :1', 'invalid'],
    ['a\u2028b', 'invalid'],
  ]
  for (const [hostname, expected] of cases)
    t.strictSame(hostMatchOf(hostname), expected, encodeURIComponent(String(hostname)))
})

t.test('paths', async t => {
  const cases: [string | undefined, unknown][] = [
    [undefined, undefined],
    ['', undefined],
    ['/', undefined],
    ['/API', { kind: 'prefix', value: '/api' }],
    ['api', { kind: 'prefix', value: '/api' }],
    ['/a"b#c', { kind: 'prefix', value: '/a"b#c' }],
    ['/a b', 'invalid'],
    ['/a\r\n', { kind: 'prefix', value: '/a' }],
    ['/a\rb', 'invalid'],
  ]
  for (const [path, expected] of cases)
    t.strictSame(pathMatchOf(path), expected, encodeURIComponent(String(path)))
})

function rule(index: number, hostname: string, path: string, priority?: number): OrderedRule {
  const [host, match] = [hostMatchOf(hostname), pathMatchOf(path)]
  if (host === 'invalid' || match === 'invalid') throw new Error('no such rule')
  return { host, path: match, priority, index }
}

t.test('the order is total, and does not depend on where rules stand', async t => {
  const expected = [
    rule(9, '', '', 1),
    rule(8, '*.b', '/x', 2),
    rule(0, 'a', '/api/v2'),
    rule(1, 'a', '/api'),
    rule(2, 'b', '/api'),
    rule(3, 'long.example', ''),
    rule(4, 'a', ''),
    rule(5, '*.example', '/api'),
    rule(6, 'www.*', ''),
    rule(7, '*.b', ''),
    rule(10, '', '/api/longer'),
    rule(11, '', '/a'),
    rule(12, '', '/b'),
    rule(13, '', ''),
  ]
  const shuffles = [
    expected.toReversed(),
    expected.toSorted((a, b) => ((a.index * 7) % 5) - ((b.index * 7) % 5)),
  ]
  for (const shuffled of shuffles) t.strictSame(shuffled.toSorted(compareRules), expected)
})
