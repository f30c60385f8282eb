import t from 'tap'
import { assignSlots } from '../../../lb/index.ts'
import { endpoint } from './models.ts'

const ids = (slots: ReturnType<typeof assignSlots>) => slots.map(slot => slot?.id)

t.test('endpoints keep their slots', async t => {
  const first = assignSlots(undefined, [endpoint('a', 1), endpoint('b', 2), endpoint('c', 3)])
  t.strictSame(ids(first), ['a', 'b', 'c', undefined])
  const second = assignSlots(first, [endpoint('c', 3), endpoint('d', 4)])
  t.strictSame(ids(second), [undefined, undefined, 'c', 'd'], 'a slot that was free comes first')
  t.strictSame(ids(assignSlots(second, [endpoint('e', 1), endpoint('c', 3)])), [
    'e',
    undefined,
    'c',
    undefined,
  ])
})

t.test('slots become more when there are too few, and fewer when far too many', async t => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, index) => endpoint(`e${index}`, 1000 + index))
  const four = assignSlots(undefined, many(4))
  t.equal(four.length, 8)
  t.equal(assignSlots(four, many(8)).length, 8)
  const nine = assignSlots(four, many(9))
  t.equal(nine.length, 12)
  t.strictSame(
    ids(nine).slice(0, 9),
    many(9).map(({ id }) => id),
  )
  t.equal(assignSlots(assignSlots(undefined, many(100)), many(3)).length, 4)
})
