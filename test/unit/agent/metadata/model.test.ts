/** The model against a naive one, and the signals of what was read from it. */
import fc from 'fast-check'
import t from 'tap'
import {
  EVERY,
  MetadataModel,
  nameKey,
  Reading,
  SignalBoard,
} from '../../../../agent/metadata/model/index.ts'
import type { InstanceInfo, MetadataObject } from '../../../../protocol/index.ts'
import { container, environment, service, stack } from './objects.ts'

const environments = [environment('a'), environment('b')]
const pool = Array.from({ length: 8 }, (_, index) =>
  container(`pool-${index}`, environments[0] ?? environment('x')),
)

const version = fc.record({
  at: fc.nat(pool.length - 1),
  environmentUuid: fc.constantFrom('environment-a', 'environment-b'),
  name: fc.constantFrom('one', 'One', 'two', 'three'),
  serviceUuid: fc.constantFrom(undefined, 's1', 's2'),
  primaryIp: fc.constantFrom(undefined, '10.0.0.1', '10.0.0.2'),
  hostUuid: fc.constantFrom(undefined, 'h1', 'h2'),
})

const change = fc.record({
  updates: fc.array(version, { maxLength: 4 }),
  removes: fc.array(fc.nat(pool.length - 1), { maxLength: 2 }),
})

function objectOf({
  at,
  ...fields
}: { at: number } & Record<string, string | number | undefined>): InstanceInfo {
  const present = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  return { ...(pool[at] as InstanceInfo), ...present }
}

/** What the model should say, by looking at every object. */
function listed(naive: Map<string, InstanceInfo>, wanted: (object: InstanceInfo) => boolean): string[] {
  return [...naive.values()]
    .filter(wanted)
    .toSorted((a, b) => Number(a.infoTypeId.slice(2)) - Number(b.infoTypeId.slice(2)))
    .map(({ uuid }) => uuid)
}

t.test('indexes are what looking at every object would find', async t => {
  await fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), changes => {
      const model = new MetadataModel()
      const naive = new Map<string, InstanceInfo>()
      const uuids = (list: readonly MetadataObject[]) => list.map(({ uuid }) => uuid)
      for (const { updates, removes } of changes) {
        const objects = updates.map(objectOf)
        const gone = removes.map(at => pool[at]?.uuid ?? '')
        model.apply(objects, gone)
        for (const object of objects) naive.set(object.uuid, object)
        for (const uuid of gone) naive.delete(uuid)
        const same = (found: readonly MetadataObject[], wanted: (object: InstanceInfo) => boolean) =>
          JSON.stringify(uuids(found)) === JSON.stringify(listed(naive, wanted))
        const right =
          same(model.list('instance', 'every', EVERY), () => true) &&
          ['environment-a', 'environment-b'].every(
            key =>
              same(model.list('instance', 'environment', key), object => object.environmentUuid === key) &&
              same(
                model.list('instance', 'name', nameKey(key, 'ONE')),
                object => object.environmentUuid === key && object.name.toLowerCase() === 'one',
              ),
          ) &&
          same(model.list('instance', 'service', 's1'), object => object.serviceUuid === 's1') &&
          same(
            model.list('instance', 'address', 'h1/10.0.0.1'),
            object => object.hostUuid === 'h1' && object.primaryIp === '10.0.0.1',
          ) &&
          model.size === naive.size
        if (!right) return false
      }
      return true
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('whatever a reading has seen change, its signals say so', async t => {
  await fc.assert(
    fc.property(
      fc.array(change, { minLength: 1, maxLength: 10 }),
      fc.array(change, { maxLength: 5 }),
      (before, after) => {
        const model = new MetadataModel()
        const board = new SignalBoard(model)
        const apply = (changes: typeof before) => {
          for (const { updates, removes } of changes) {
            model.apply(
              updates.map(objectOf),
              removes.map(at => pool[at]?.uuid ?? ''),
            )
          }
        }
        apply(before)
        const read = () => {
          const reading = new Reading(model, board)
          const list = reading.list('instance', 'service', 's1').map(({ uuid }) => uuid)
          const names = reading
            .list('instance', 'name', nameKey('environment-a', 'one'))
            .map(({ name }) => name)
          const object = reading.get('instance', pool[0]?.uuid)
          return { value: JSON.stringify([list, names, object]), signals: reading.signals }
        }
        const first = read()
        const versions = first.signals.map(signal => signal.version)
        apply(after)
        const same = first.signals.every((signal, at) => signal.version === versions[at])
        return !same || read().value === first.value
      },
    ),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('a snapshot shows one moment, whatever happens while it is read', async t => {
  await fc.assert(
    fc.property(
      fc.array(change, { minLength: 1, maxLength: 5 }),
      fc.array(fc.tuple(fc.nat(4), change), { maxLength: 12 }),
      (before, meanwhile) => {
        const model = new MetadataModel()
        const apply = ({ updates, removes }: (typeof before)[number]) =>
          model.apply(
            updates.map(objectOf),
            removes.map(at => pool[at]?.uuid ?? ''),
          )
        for (const each of before) apply(each)
        const texts = (objects: Iterable<MetadataObject>) =>
          [...objects].map(object => JSON.stringify(object)).toSorted()
        const then = texts(model.all())
        const snapshot = model.snapshot()
        const reading = snapshot[Symbol.iterator]()
        const read: MetadataObject[] = []
        for (const [count, each] of meanwhile) {
          apply(each)
          for (let left = count; left > 0; left -= 1) {
            const next = reading.next()
            if (next.done !== true) read.push(next.value)
          }
        }
        read.push(...reading)
        snapshot.end()
        return texts(read).join() === then.join()
      },
    ),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('listeners hear of what differs, once per application', async t => {
  const model = new MetadataModel()
  const heard: string[][] = []
  const stop = model.onChange(changes => {
    heard.push(changes.map(({ object, previous }) => `${previous?.name ?? '-'} > ${object?.name ?? '-'}`))
  })
  const owner = environment('owner')
  const one = container('one', owner)
  model.apply([owner, one], [])
  model.apply([{ ...one }], ['nothing'])
  model.apply([{ ...one, name: 'two' }], [owner.uuid])
  stop()
  model.apply([], [one.uuid])
  t.same(heard, [
    ['- > owner', '- > one'],
    ['one > two', 'owner > -'],
  ])
})

t.test('an object that becomes another', async t => {
  const model = new MetadataModel()
  const owner = environment('owner')
  const shop = stack('shop', owner)
  const web = service('web', shop)
  model.apply([owner, shop, web], [])
  t.equal(model.list('service', 'stack', shop.uuid).length, 1)
  model.apply([{ ...container('web', owner), uuid: web.uuid }], [])
  t.same(model.list('service', 'stack', shop.uuid), [])
  t.equal(model.get('service', web.uuid), undefined)
  t.equal(model.get('instance', web.uuid)?.name, 'web')
  model.apply([{ ...container('web', owner, { infoTypeId: '1i1' }), uuid: web.uuid }], [])
  t.equal(model.list('instance', 'every', EVERY).length, 1)
})

t.test('asking for many names does not fill the memory, and forgets nothing that matters', async t => {
  const model = new MetadataModel()
  const board = new SignalBoard(model)
  const one = container('one', environment('owner'))
  model.apply([one], [])
  const early = board.object(one.uuid)
  const { version: before } = early
  for (let index = 0; index < 70_000; index += 1) board.group('instance', 'name', `x/${index}`)
  t.not(early.version, before, 'who holds a forgotten signal looks again')
  const current = board.object(one.uuid)
  const { version: then } = current
  model.apply([{ ...one, startCount: 9 }], [])
  t.not(current.version, then)
})
