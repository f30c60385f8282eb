import fc from 'fast-check'
import t from 'tap'
import {
  assignCheckers as assign,
  type CheckersInput,
} from '../../../../../server/controller/health/checkers.ts'

const assignCheckers = (
  input: Omit<CheckersInput, 'candidates'> & { readonly candidates: readonly string[] },
) => assign({ ...input, candidates: new Set(input.candidates) })

const random = () => 0
const hosts = ['a', 'b', 'c', 'd', 'e']

t.test('three others, and the own host only when it is the only one', async t => {
  t.strictSame(assignCheckers({ own: 'a', current: [], candidates: hosts, random }), ['b', 'c', 'd'])
  t.strictSame(assignCheckers({ own: 'a', current: [], candidates: ['a', 'b'], random }), ['b'])
  t.strictSame(assignCheckers({ own: 'a', current: [], candidates: ['a'], random }), ['a'])
  t.strictSame(
    assignCheckers({ own: 'a', current: ['a'], candidates: ['a', 'b'], random }),
    ['b'],
    'another came',
  )
})

t.test('those that can go on do', async t => {
  const current = ['e', 'd', 'b']
  t.equal(assignCheckers({ own: 'a', current, candidates: hosts, random }), current, 'nothing to write')
  const candidates = ['a', 'b', 'c', 'e']
  t.strictSame(assignCheckers({ own: 'a', current, candidates, random }), ['e', 'b', 'c'])
  t.strictSame(assignCheckers({ own: 'a', current, candidates: ['a', 'e'], random }), ['e'], 'no spare one')
  t.equal(assignCheckers({ own: 'a', current, candidates: [], random }), current, 'nobody is known')
  t.strictSame(
    assignCheckers({ own: 'e', current, candidates: hosts, random }),
    ['d', 'b', 'a'],
    'the container moved to a checker of it',
  )
})

t.test('always up to three different candidates, not the own one', async () => {
  const some = fc.uniqueArray(fc.constantFrom(...hosts))
  fc.assert(
    fc.property(some, some, fc.constantFrom(...hosts, undefined), (current, candidates, own) => {
      // More than three were never assigned.
      current.splice(3)
      const chosen = assignCheckers({ own, current, candidates, random: Math.random })
      if (candidates.length === 0) return chosen === current
      const others = candidates.filter(host => host !== own)
      const expected = others.length === 0 ? candidates.length : Math.min(3, others.length)
      return (
        new Set(chosen).size === chosen.length &&
        chosen.length === expected &&
        chosen.every(host => candidates.includes(host) && (host !== own || others.length === 0))
      )
    }),
  )
})

t.test('any host may be chosen', async t => {
  const seen = new Set<string>()
  for (let turn = 0; turn < 200; turn += 1)
    for (const host of assignCheckers({ own: 'a', current: [], candidates: hosts, random: Math.random }))
      seen.add(host)
  t.strictSame([...seen].toSorted(), ['b', 'c', 'd', 'e'])
})
