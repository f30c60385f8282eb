/** What objects, watches and idle spaces cost in memory, and how long it takes to load many objects. */
import { createLogger } from '../../../kit/index.ts'
import { openStore, parseSpaceId, type RunningStore, type Space } from '../../../server/store/index.ts'
import { type PrintFigure, printLine, rounded } from '../figures.ts'
import { objectOf, usedHeap, withStore } from './bench-store.ts'

const OBJECTS = 100_000
const SPACES = 1_000
const OBJECTS_IN_SPACE = 10
const WATCHES = 10_000
const BIG = parseSpaceId('big')

async function fill(space: Space, count: number): Promise<number> {
  let bytes = 0
  for (let index = 0; index < count; ) {
    const writes: Promise<unknown>[] = []
    for (; writes.length < 1_000 && index < count; index += 1) {
      const key = { kind: 'configmaps', namespace: `n${index % 100}`, name: `object-${index}` }
      const encode = (revision: number) => {
        const json = objectOf(key.name, revision)
        bytes += json.length
        return json
      }
      writes.push(space.create(key, encode))
    }
    await Promise.all(writes)
  }
  return bytes
}

async function measureLoad(file: string, json: number, print: PrintFigure): Promise<void> {
  const store = await openStore({ database: file, log: createLogger('bench', 'error') })
  const before = usedHeap()
  const begin = performance.now()
  const space = await store.openSpace(BIG)
  const loaded = performance.now()
  const listed = space.list('configmaps').objects.length
  const sorted = performance.now()
  if (listed !== OBJECTS) throw new Error(`${listed} objects`)
  // Recent events are kept for a minute or two, and are bounded; they are not what an object costs.
  const overhead = (usedHeap() - before - json) / OBJECTS
  print({ bench: 'store', name: `load ${OBJECTS} objects`, value: Math.round(loaded - begin), unit: 'ms' })
  print({ bench: 'store', name: `first list of ${OBJECTS}`, value: rounded(sorted - loaded), unit: 'ms' })
  print({
    bench: 'store',
    name: 'memory of an object besides its JSON',
    value: Math.round(overhead),
    unit: 'B',
  })
  await store.stop()
}

async function measureWatches(store: RunningStore, print: PrintFigure): Promise<void> {
  const space = await store.createSpace(parseSpaceId('watched'))
  const before = usedHeap()
  const watches = Array.from({ length: WATCHES }, (_, index) =>
    space.watch({ kind: `kind${index % 50}`, namespace: `n${index % 1_000}`, after: 0 }),
  )
  const iterators = watches.map(watch => watch[Symbol.asyncIterator]().next())
  const each = (usedHeap() - before) / WATCHES
  for (const watch of watches) watch.close()
  await Promise.all(iterators)
  print({
    bench: 'store',
    name: 'memory of an idle watch',
    value: Math.round(each),
    unit: 'B',
    budget: '<= 1024',
  })
}

async function measureSpaces(store: RunningStore, print: PrintFigure): Promise<void> {
  const spaces: Space[] = []
  const before = usedHeap()
  let json = 0
  const begin = performance.now()
  for (let index = 0; index < SPACES; index += 1)
    spaces.push(await store.createSpace(parseSpaceId(`s${index}`)))
  const rate = (SPACES * 1_000) / (performance.now() - begin)
  const empty = (usedHeap() - before) / SPACES
  for (const space of spaces) json += await fill(space, OBJECTS_IN_SPACE)
  const filled = (usedHeap() - before - json) / SPACES
  print({
    bench: 'store',
    name: 'spaces made one after the other',
    value: Math.round(rate),
    unit: '1/s',
    budget: '>= 50',
  })
  print({
    bench: 'store',
    name: 'memory of an empty space',
    value: Math.round(empty),
    unit: 'B',
    budget: '<= 102400',
  })
  print({
    bench: 'store',
    name: `memory of a space of ${OBJECTS_IN_SPACE} objects besides their JSON`,
    value: Math.round(filled),
    unit: 'B',
    budget: '<= 102400',
  })
}

export async function bench(print: PrintFigure): Promise<void> {
  await withStore({}, async (store, file) => {
    const json = await fill(await store.createSpace(BIG), OBJECTS)
    await store.stop()
    await measureLoad(file, json, print)
  })
  await withStore({}, async store => {
    await measureWatches(store, print)
    await measureSpaces(store, print)
  })
}

if (process.argv[1] === import.meta.filename) await bench(printLine)
