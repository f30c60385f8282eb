/** Records: what is read is what was written, and what is shared is let go of. */
import fc from 'fast-check'
import t from 'tap'
import { RecordReader } from '../../../../../agent/metadata/model/store/record-reader.ts'
import { RecordWriter } from '../../../../../agent/metadata/model/store/record-writer.ts'
import { SharedTable } from '../../../../../agent/metadata/model/store/shared-table.ts'
import type { MetadataObject } from '../../../../../protocol/index.ts'

function codec() {
  const texts = new SharedTable<string>()
  const shapes = new SharedTable<readonly string[]>()
  return {
    texts,
    shapes,
    writer: new RecordWriter(texts, shapes),
    reader: new RecordReader(texts, shapes),
    write(object: unknown, owner: number): Buffer {
      return Buffer.from(this.writer.write(object as MetadataObject, owner))
    },
  }
}

const hexadecimal = fc
  .uint8Array({ minLength: 0, maxLength: 40 })
  .map(bytes => Buffer.from(bytes).toString('hex'))
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.nat(0xffff).map(code => String.fromCharCode(code)) }),
  fc.uuid(),
  fc.uuid().map(uuid => uuid.toUpperCase()),
  hexadecimal,
  fc.constantFrom(
    '__proto__',
    'constructor',
    'running',
    '',
    'a\nb',
    'a',
    'b',
    'x'.repeat(127),
    'ÿ'.repeat(128),
  ),
  fc.integer({ min: 120, max: 20_000 }).map(length => 'y'.repeat(length)),
)
const scalar = fc.oneof(
  text,
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.nat(40),
  fc.constantFrom(-0, 2 ** 31, -(2 ** 31), -(2 ** 31) - 1, 127, 128, true, false, null),
)
const { value } = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc.array(tie('value'), { maxLength: 6 }),
    fc.dictionary(text, tie('value'), { maxKeys: 8 }),
  ),
}))
/** As it comes from a server: without what JSON cannot say. */
const object = fc
  .record({ name: text, more: value, labels: fc.dictionary(text, text) })
  .map(made => JSON.parse(JSON.stringify(made)) as Record<string, unknown>)

t.test('every object of JSON comes back as it was, whatever came before', async t => {
  fc.assert(
    fc.property(fc.array(object, { maxLength: 12 }), objects => {
      const all = codec()
      const records = [...objects, ...objects].map((each, owner) => all.write(each, owner))
      for (const [at, record] of records.entries()) {
        const wanted = objects[at % objects.length]
        // Behind other bytes, as it is in memory.
        const bytes = Buffer.concat([Buffer.alloc(at), record])
        const read = all.reader.read(bytes, at)
        if (JSON.stringify(read) !== JSON.stringify(wanted)) return false
        if (all.reader.field(bytes, at, 'name') !== wanted?.name) return false
        if (all.reader.field(bytes, at, 'nothing') !== wanted?.nothing) return false
      }
      for (const record of records) all.reader.release(record, 0)
      return all.texts.size === 0 && all.shapes.size === 0
    }),
    { numRuns: 400 },
  )
  t.pass()
})

t.test('numbers that JSON text would change', async t => {
  const { write, reader, ...rest } = codec()
  const all = { ...rest, reader, write }
  const numbers = { name: '', numbers: [-0, 1e300, 0.1, Number.MAX_SAFE_INTEGER, 5e-324] }
  t.same(reader.read(all.write(numbers, 0), 0), numbers)
})

t.test('a key that is called like the prototype is a key', async t => {
  const all = codec()
  const made = JSON.parse('{"name":"x","labels":{"__proto__":{"polluted":"yes"},"other":"1"}}')
  for (const owner of [0, 1, 2]) {
    const read = all.reader.read(all.write(made, owner), 0) as { labels: Record<string, unknown> }
    t.same(Object.keys(read.labels), ['__proto__', 'other'])
    t.equal(read.labels.polluted, undefined)
  }
})

t.test('what several objects hold is kept once, what one holds is not', async t => {
  const all = codec()
  const made = (index: number) => ({
    name: `name-${index}`,
    state: 'running',
    labels: { 'io.rancher.stack.name': 'a stack with a long name', unique: `only ${index} has this` },
  })
  const sizes = Array.from({ length: 50 }, (_, index) => all.write(made(index), index).length)
  t.ok((sizes[49] ?? 0) < 50, `${sizes[0]} bytes, then ${sizes[49]}`)
  const shared = all.texts.size
  for (let again = 0; again < 20; again += 1) all.write(made(7), 7)
  t.equal(all.texts.size, shared, 'however often it is written again')
})
