/** The replica: what it takes in, what it keeps on disk, and what it makes of files that are not as it wrote them. */
import { chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { MetadataReplica } from '../../../../agent/metadata/index.ts'
import { createLogger } from '../../../../kit/index.ts'
import type { MetadataDelta, MetadataObject } from '../../../../protocol/index.ts'
import { container, environment, step } from './objects.ts'

const log = createLogger('test', 'silent')
const production = environment('Production')

interface Opened {
  readonly replica: MetadataReplica
  readonly asked: string[]
}

async function open(directory: string): Promise<Opened> {
  const asked: string[] = []
  const replica = new MetadataReplica({
    directory,
    requestResync: reason => asked.push(reason) > 0,
    log,
  })
  await replica.start()
  return { replica, asked }
}

function everything(replica: MetadataReplica): Record<string, MetadataObject> {
  return Object.fromEntries([...replica.model.all()].map(object => [object.uuid, object]))
}

function full(sequence: number, updates: readonly MetadataObject[], part = 0, more = false): MetadataDelta {
  return { full: true, generation: 'g', sequence, part, more, updates: [...updates] }
}

function numbered(count: number): MetadataObject[] {
  return Array.from({ length: count }, (_, index) => container(`c${index}`, production))
}

t.test('a full synchronisation replaces what was there, in parts', async t => {
  const { replica } = await open(t.testdir())
  replica.apply(full(5, [production, ...numbered(2)]))
  t.same(replica.position, { generation: 'g', sequence: 5 })
  const [, second, third] = numbered(3) as [MetadataObject, MetadataObject, MetadataObject]
  replica.apply(full(9, [production, second], 0, true))
  t.equal(replica.position, undefined, 'between the first part and the last it stands nowhere')
  t.equal(replica.model.size, 3, 'and what it knew is still answered')
  replica.apply(full(9, [third], 1, false))
  t.same(replica.position, { generation: 'g', sequence: 9 })
  t.same(Object.keys(everything(replica)).toSorted(), ['container-c1', 'container-c2', production.uuid])
  await replica.stop()
})

t.test('steps lead on, or are noticed not to', async t => {
  const { replica, asked } = await open(t.testdir())
  replica.apply(step(0, 1, []))
  t.equal(asked.length, 1, 'a step without anything to begin from')
  replica.apply(full(5, [production]))
  replica.apply(step(5, 7, numbered(1)))
  t.same(replica.position, { generation: 'g', sequence: 7 })
  replica.apply(step(6, 9, [], ['container-c0', 'never-seen']))
  t.same([replica.position?.sequence, replica.model.size], [9, 1], 'a step from earlier overlaps')
  replica.apply(step(3, 8, numbered(2)))
  t.same([replica.position?.sequence, replica.model.size], [9, 1], 'an old one is ignored')
  replica.apply({ ...step(9, 20, numbered(3)), more: true })
  t.same([replica.position?.sequence, replica.model.size], [9, 4], 'a part moves nobody')
  replica.apply(step(9, 20, []))
  t.equal(replica.position?.sequence, 20)
  t.equal(asked.length, 1)
  replica.apply(step(21, 22, []))
  t.equal(asked.length, 2, 'a gap')
  replica.apply({ ...step(20, 23, []), generation: 'another' })
  t.equal(asked.length, 2, 'it is asked once, and again only after a while')
  replica.apply(full(30, [production], 1))
  t.equal(replica.position?.sequence, 20, 'a part out of turn is not taken')
  replica.apply(full(30, [production]))
  t.equal(replica.position?.sequence, 30)
  await replica.stop()
})

t.test('what is asked for is asked again with growing delays, until it comes', async t => {
  const timers: { milliseconds: number; callback: () => void }[] = []
  const asked: string[] = []
  const replica = new MetadataReplica({
    directory: t.testdir(),
    requestResync: reason => asked.push(reason) > 0,
    log,
    clock: {
      now: () => 0,
      monotonic: () => 0,
      after: (milliseconds, callback) => {
        const timer = { milliseconds, callback }
        timers.push(timer)
        return () => timers.splice(timers.indexOf(timer) >>> 0, 1)
      },
    },
  })
  await replica.start()
  replica.apply(step(1, 2, []))
  const delays: number[] = []
  for (let count = 0; count < 8; count += 1) {
    const [timer] = timers.splice(0)
    delays.push(timer?.milliseconds ?? 0)
    timer?.callback()
  }
  t.equal(asked.length, 9)
  t.ok((delays[7] ?? 0) > 10 * (delays[0] ?? 0) && Math.max(...delays) <= 60_000, delays.join())
  replica.apply(full(5, [production]))
  t.equal(timers.length, 0)
  await replica.stop()
})

t.test('a restart goes on where it was', async t => {
  const directory = t.testdir()
  const first = await open(directory)
  first.replica.apply(full(5, [production, ...numbered(50)]))
  first.replica.apply(step(5, 8, [container('new', production)], ['container-c7']))
  const known = everything(first.replica)
  await first.replica.stop()
  for (let restart = 0; restart < 8; restart += 1) {
    const next = await open(directory)
    t.same(next.replica.position, { generation: 'g', sequence: 8 + restart })
    t.same(everything(next.replica), known)
    const more = container(`restart-${restart}`, production)
    next.replica.apply(step(8 + restart, 9 + restart, [more]))
    known[more.uuid] = more
    await next.replica.stop()
  }
  t.ok((await readdir(directory)).length < 8, 'old files go')
})

t.test('a long journal becomes a snapshot', async t => {
  const directory = t.testdir()
  const { replica } = await open(directory)
  replica.apply(full(0, [production]))
  const labels = { text: 'x'.repeat(10_000) }
  for (let sequence = 1; sequence <= 400; sequence += 1) {
    replica.apply(step(sequence - 1, sequence, [container(`c${sequence % 10}`, production, { labels })]))
  }
  await replica.stop()
  const sizes = await Promise.all(
    (await readdir(directory)).map(async name => (await readFile(path.join(directory, name))).length),
  )
  t.ok(sizes.reduce((sum, size) => sum + size, 0) < 3_000_000, sizes.join())
  const { replica: again } = await open(directory)
  t.same(again.position, { generation: 'g', sequence: 400 })
  t.same(everything(again), everything(replica))
  await again.stop()
})

/** A directory with a snapshot at 5 and a journal of steps; and what the replica was at each position. */
async function journalled(directory: string): Promise<Map<number, Record<string, MetadataObject>>> {
  const { replica } = await open(directory)
  const states = new Map<number, Record<string, MetadataObject>>()
  replica.apply(full(5, [production, ...numbered(5)]))
  states.set(5, everything(replica))
  // Steps go into the journal only after the snapshot that the full synchronisation asked for.
  await replica.stop()
  const { replica: next } = await open(directory)
  for (let sequence = 6; sequence <= 12; sequence += 1) {
    next.apply(
      step(sequence - 1, sequence, [container(`s${sequence}`, production)], [`container-c${sequence - 6}`]),
    )
    states.set(sequence, everything(next))
  }
  await next.stop()
  return states
}

async function fileOf(directory: string, kind: string): Promise<string> {
  const names = (await readdir(directory)).filter(name => name.startsWith(kind))
  return path.join(directory, names.toSorted().at(-1) ?? '')
}

t.test('killed at any byte of the journal', async t => {
  const directory = t.testdir()
  const states = await journalled(directory)
  const journal = await fileOf(directory, 'journal')
  const content = await readFile(journal)
  const copy = `${directory}-copy`
  t.teardown(() => rm(copy, { recursive: true, force: true }))
  let furthest = 0
  for (let length = 0; length <= content.length; length += 41) {
    await rm(copy, { recursive: true, force: true })
    await cp(directory, copy, { recursive: true })
    await writeFile(path.join(copy, path.basename(journal)), content.subarray(0, length))
    const { replica } = await open(copy)
    const sequence = replica.position?.sequence ?? -1
    t.same(everything(replica), states.get(sequence), `${length} bytes: at ${sequence}`)
    furthest = Math.max(furthest, sequence)
    // What follows is kept, although the file before ends in the middle of a line.
    const after = container('after', production)
    replica.apply(step(sequence, 100, [after]))
    await replica.stop()
    const { replica: again } = await open(copy)
    t.equal(again.position?.sequence, 100)
    t.same(everything(again)[after.uuid], after)
    await again.stop()
  }
  t.ok(furthest >= 11)
})

t.test('any byte changed in any file', async t => {
  const directory = t.testdir()
  const states = await journalled(directory)
  const copy = `${directory}-copy`
  t.teardown(() => rm(copy, { recursive: true, force: true }))
  const names = await readdir(directory)
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...names),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (name, at, mask) => {
        await rm(copy, { recursive: true, force: true })
        await cp(directory, copy, { recursive: true })
        const file = path.join(copy, name)
        const bytes = await readFile(file)
        const offset = at % bytes.length
        bytes[offset] = (bytes[offset] ?? 0) ^ mask
        await writeFile(file, bytes)
        const { replica } = await open(copy)
        const { position } = replica
        const state = everything(replica)
        await replica.stop()
        // A damaged snapshot is used as far as it goes, and everything is asked for.
        if (position === undefined) return name.startsWith('snapshot')
        return JSON.stringify(state) === JSON.stringify(states.get(position.sequence))
      },
    ),
    { numRuns: 150 },
  )
  t.pass()
})

t.test('a damaged snapshot is used as far as it goes', async t => {
  const directory = t.testdir()
  await journalled(directory)
  const snapshot = await fileOf(directory, 'snapshot')
  const content = await readFile(snapshot, 'utf8')
  await writeFile(snapshot, content.replace('"name":"c3"', '"name":"x3"'))
  const { replica } = await open(directory)
  t.equal(replica.position, undefined)
  const names = [...replica.model.all()].map(({ name }) => name)
  t.ok(names.includes('Production') && names.includes('s12') && !names.includes('x3'), names.join())
  replica.apply(full(20, [production]))
  await replica.stop()
  const { replica: again } = await open(directory)
  t.same([again.position?.sequence, again.model.size], [20, 1], 'and replaced')
  await again.stop()
})

t.test('an interrupted full synchronisation is begun again', async t => {
  const directory = t.testdir()
  await journalled(directory)
  const { replica } = await open(directory)
  replica.apply(full(50, [production], 0, true))
  t.equal(replica.position, undefined)
  replica.connectionLost()
  await replica.stop()
  const { replica: again } = await open(directory)
  t.equal(again.position, undefined, 'the server is asked for everything')
  t.ok(again.model.size > 1, 'what was known is still known')
  await again.stop()
})

t.test('files of another format are not taken for ours', async t => {
  const directory = t.testdir()
  await journalled(directory)
  const snapshot = await fileOf(directory, 'snapshot')
  await writeFile(snapshot, 'something else\n'.repeat(10))
  await writeFile(path.join(directory, 'snapshot-99.1.1.tmp'), 'unfinished')
  const { replica } = await open(directory)
  t.equal(replica.position, undefined)
  await replica.stop()
  t.notOk(
    (await readdir(directory)).some(name => name.endsWith('.tmp')),
    'unfinished files go',
  )
})

/** A file in the place of the directory makes every write fail, also for root. */
async function breakDirectory(t: Test, directory: string): Promise<() => Promise<void>> {
  const aside = `${directory}-aside`
  t.teardown(() => rm(aside, { recursive: true, force: true }))
  await cp(directory, aside, { recursive: true })
  await rm(directory, { recursive: true })
  await writeFile(directory, '')
  return async () => {
    await rm(directory)
    await mkdir(directory)
    await cp(aside, directory, { recursive: true })
    await chmod(directory, 0o700)
  }
}

t.test('a disk that does not take anything', async t => {
  const directory = t.testdir({})
  const timers: (() => void)[] = []
  const replica = new MetadataReplica({
    directory,
    requestResync: () => true,
    log,
    clock: {
      now: () => 0,
      monotonic: () => 0,
      after: (_milliseconds, callback) => {
        timers.push(callback)
        return () => undefined
      },
    },
  })
  await replica.start()
  const mend = await breakDirectory(t, directory)
  replica.apply(full(5, [production]))
  replica.apply(step(5, 6, numbered(10)))
  t.equal(replica.model.size, 11, 'what it knows is answered all the same')
  while (timers.length === 0) await new Promise(resolve => setImmediate(resolve))
  await mend()
  replica.apply(step(6, 7, [], ['container-c0']))
  for (const callback of timers.splice(0)) callback()
  await replica.stop()
  const { replica: again } = await open(directory)
  t.same([again.position?.sequence, again.model.size], [7, 10], 'what could not be written was made good')
  await again.stop()
})
