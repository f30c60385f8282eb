/** The store beside a plain map; its memory under changes; the tables of keys. */
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { KeyTable, ObjectStore } from '../../../../../agent/metadata/model/store/index.ts'
import { RecordSlabs } from '../../../../../agent/metadata/model/store/record-slabs.ts'
import { container, environment } from '../objects.ts'

const production = environment('production')

t.test('records stay what they are while others come, change and go', async t => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          slot: fc.nat(40),
          length: fc.oneof(fc.nat(2_000), fc.integer({ min: 100_000, max: 600_000 }), fc.constant(-1)),
        }),
        { maxLength: 200 },
      ),
      changes => {
        const slabs = new RecordSlabs()
        const naive = new Map<number, Buffer>()
        for (const [at, { slot, length }] of changes.entries()) {
          if (length < 0) {
            slabs.remove(slot)
            naive.delete(slot)
            continue
          }
          const record = Buffer.alloc(length, at)
          slabs.put(slot, record)
          naive.set(slot, record)
        }
        for (let slot = 0; slot <= 40; slot += 1) {
          const place = slabs.find(slot)
          const wanted = naive.get(slot)
          if ((place === undefined) !== (wanted === undefined)) return false
          if (place === undefined || wanted === undefined) continue
          const { bytes, start } = place
          if (!bytes.subarray(start, start + wanted.length).equals(wanted)) return false
        }
        return true
      },
    ),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('changes do not make it grow', async t => {
  const slabs = new RecordSlabs()
  const lengths = Array.from({ length: 20_000 }, (_, slot) => 100 + ((slot * 37) % 300))
  const live = lengths.reduce((sum, length) => sum + length, 0)
  for (const [slot, length] of lengths.entries()) slabs.put(slot, Buffer.alloc(length, slot))
  let most = 0
  for (let change = 0; change < 300_000; change += 1) {
    const slot = (change * 7_919) % lengths.length
    slabs.put(slot, Buffer.alloc(lengths[slot] ?? 0, slot))
    most = Math.max(most, slabs.size)
  }
  t.ok(most < live * 1.6, `${most} bytes for ${live}`)
  for (const slot of lengths.keys()) if (slot > 0) slabs.remove(slot)
  t.ok(slabs.size < 1024 * 1024, `${slabs.size} bytes for one record`)
  const { bytes, start } = slabs.find(0) ?? { bytes: Buffer.alloc(0), start: 0 }
  t.ok(bytes.subarray(start, start + 100).equals(Buffer.alloc(100, 0)))
})

t.test('objects are found by uuid, in their slots, until they are removed', async t => {
  const store = new ObjectStore()
  const objects = Array.from({ length: 2_000 }, (_, index) =>
    container(`c${index}`, production, { uuid: randomUUID(), labels: { tier: 'front', number: `${index}` } }),
  )
  const slots = objects.map(object => store.add(object))
  t.equal(new Set(slots).size, objects.length)
  for (const [at, object] of objects.entries()) {
    const slot = slots[at] ?? -1
    if (store.slotOf(object.uuid) !== slot) t.fail(`${object.uuid} is not found`)
    if (store.name(slot) !== object.name) t.fail(`${object.name} is called ${store.name(slot)}`)
  }
  t.same([...store.all()], objects, 'read from their records')
  const [first, second] = slots as [number, number]
  const stamp = store.stampOf(first)
  store.remove(first)
  t.equal(store.slotOf(objects[0]?.uuid ?? ''), undefined)
  t.equal(store.stampOf(first), 0)
  const late = container('late', production)
  t.equal(store.add(late), first, 'a slot is used again')
  t.not(store.stampOf(first), stamp, 'and known to be')
  t.same(store.get(first), late)
  store.replace(second, { ...(objects[1] ?? late), name: 'renamed' })
  t.equal(store.name(second), 'renamed')
  t.equal(store.size, objects.length)
  t.throws(() => store.uuid(slots.length + 1), RangeError)
})

t.test('a table of keys finds what looking at everything would find', async t => {
  const change = fc.record({ slot: fc.nat(60), key: fc.constantFrom('a', 'b', 'c', ...'defghijklmnop') })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 300 }), changes => {
      const keys = new Map<number, string>()
      // Slots in order of their numbers, turned around.
      const table = new KeyTable(
        { compare: (left, right) => right - left },
        (slot, key) => keys.get(slot) === key,
      )
      for (const { slot, key } of changes) {
        const before = keys.get(slot)
        if (before !== undefined) {
          table.remove(before, slot)
          keys.delete(slot)
        }
        if (before === key) continue
        table.add(key, slot)
        keys.set(slot, key)
      }
      return [...'abcdefghijklmnop'].every(key => {
        const wanted = [...keys.keys()].filter(slot => keys.get(slot) === key).toSorted((a, b) => b - a)
        return table.get(key).join() === wanted.join() && table.first(key) === wanted[0]
      })
    }),
    { numRuns: 1_000 },
  )
  t.pass()
})

t.test('a table of keys grows and shrinks, and loses nothing', async t => {
  const keys = new Map<number, string>()
  const table = new KeyTable(
    { compare: (left, right) => left - right },
    (slot, key) => keys.get(slot) === key,
  )
  for (let slot = 0; slot < 20_000; slot += 1) {
    table.add(`key ${slot}`, slot)
    keys.set(slot, `key ${slot}`)
  }
  for (let slot = 0; slot < 20_000; slot += 1) if (table.first(`key ${slot}`) !== slot) t.fail(`${slot}`)
  for (let slot = 0; slot < 19_990; slot += 1) {
    table.remove(`key ${slot}`, slot)
    keys.delete(slot)
  }
  for (let slot = 0; slot < 20_000; slot += 1) {
    if (table.first(`key ${slot}`) !== (slot < 19_990 ? undefined : slot)) t.fail(`${slot}`)
  }
  t.pass()
})
