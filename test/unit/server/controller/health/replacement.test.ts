import t from 'tap'
import {
  planReplacements,
  replacementCap,
  type UnitHealth,
} from '../../../../../server/controller/health/replacement.ts'

const NOW = 1_000

const good = (serviceIndex: number): UnitHealth => ({
  id: `good-${serviceIndex}`,
  serviceIndex,
  state: 'active',
  healthy: true,
  unhealthy: [],
})
const bad = (serviceIndex: number, strategy: 'recreate' | 'none' = 'recreate'): UnitHealth => ({
  ...good(serviceIndex),
  id: `bad-${serviceIndex}`,
  healthy: false,
  unhealthy: [{ strategy }],
})
const replaced = (units: UnitHealth[], under = new Map<number, number>(), scale = units.length) =>
  planReplacements({ scale, units, under, now: NOW }).replace.map(({ id }) => id)

t.test('at most a quarter at a time', async t => {
  t.strictSame([1, 4, 5, 8, 100].map(replacementCap), [1, 1, 2, 2, 25])
  const units = [bad(3), bad(1), good(2), bad(4)]
  t.strictSame(replaced(units), ['bad-1'])
  t.strictSame(replaced(units, new Map([[1, NOW + 1]])), [], 'one is under way')
  t.strictSame(replaced(units, new Map([[1, NOW]])), ['bad-1'], 'it was given up')
  const going: UnitHealth = { ...bad(3), state: 'removing' }
  t.strictSame(replaced([going, bad(1), good(2), good(4)]), [], 'another server began one')
  const extra: UnitHealth = { ...bad(9), state: 'removing' }
  t.strictSame(replaced([extra, bad(1), good(2)], new Map(), 2), ['bad-1'], 'one that goes for good')
})

t.test('a replacement ends when it is healthy', async t => {
  const under = new Map([
    [1, NOW + 1],
    [2, NOW + 1],
    [7, NOW + 1],
  ])
  const starting: UnitHealth = { ...good(2), healthy: false }
  t.strictSame(
    planReplacements({ scale: 3, units: [good(1), starting, good(3)], under, now: NOW }).ended,
    [1, 7],
  )
})

t.test('strategies', async t => {
  t.strictSame(replaced([bad(1, 'none'), good(2)]), [])
  const quorum = (value?: number): UnitHealth => ({
    ...bad(1),
    unhealthy: [{ strategy: 'recreateOnQuorum', ...(value === undefined ? {} : { quorum: value }) }],
  })
  t.strictSame(replaced([quorum(), good(2), good(3)]), ['bad-1'], 'two of three are healthy')
  t.strictSame(replaced([quorum(), bad(2, 'none'), good(3)]), [])
  t.strictSame(replaced([quorum(1), bad(2, 'none'), good(3)]), ['bad-1'])
  t.strictSame(replaced([quorum(3), good(2), good(3)]), [])
})

t.test('what is stranded goes at once, whatever else is under way', async t => {
  const stranded: UnitHealth = { ...good(1), id: 'stranded', healthy: false, stranded: true }
  t.strictSame(replaced([stranded, good(2), bad(3)], new Map([[1, NOW + 1]])), ['stranded'])
  t.strictSame(replaced([{ ...stranded, state: 'removing' }, good(2), good(3)]), [])
})

t.test('a unit that goes on going holds up nobody once its replacement is healthy', async t => {
  const going: UnitHealth = { ...bad(1), state: 'removing' }
  t.strictSame(replaced([going, good(1), bad(2), good(3)], new Map(), 3), ['bad-2'])
  t.strictSame(replaced([going, { ...good(1), healthy: false }, bad(2), good(3)], new Map(), 3), [])
})
