/** Any sequence of operations does to a space on SQLite what it does to the model. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { isDroverError } from '../../../../kit/index.ts'
import {
  type ChangeEvent,
  type ObjectKey,
  openStore,
  type RunningStore,
  type Space,
  type StoreOptions,
  type Watch,
  type WatchOptions,
} from '../../../../server/store/index.ts'
import { type Operation, type Outcome, SpaceModel } from './model.ts'
import { C1, newPlace, refuse, sabotage, silentLog } from './temporary-store.ts'

function requireSame(actual: unknown, expected: unknown, what: string): void {
  if (!isDeepStrictEqual(actual, expected)) {
    throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`)
  }
}

/** A watch that is read in the background and opened again where it ended. */
class ReadWatch {
  readonly options: WatchOptions
  readonly seen: ChangeEvent[] = []
  #watch: Watch
  #reading: Promise<void>

  constructor(space: Space, options: WatchOptions) {
    this.options = options
    this.#watch = space.watch(options)
    this.#reading = this.#read()
  }

  async resume(space: Space): Promise<void> {
    await this.#reading
    this.#watch = space.watch({ ...this.options, after: this.#watch.revision })
    this.#reading = this.#read()
  }

  async until(revision: number): Promise<void> {
    while (this.#watch.revision < revision) {
      // A watch that has failed would never get there.
      await Promise.race([this.#reading, new Promise(resolve => setImmediate(resolve))])
    }
    await new Promise(resolve => setImmediate(resolve))
  }

  async #read(): Promise<void> {
    for await (const batch of this.#watch) this.seen.push(...batch)
  }
}

/** The real thing: a store with one space and the watches that are open on it. */
class System {
  readonly options: StoreOptions
  readonly watches: ReadWatch[] = []
  #store: RunningStore
  space: Space

  constructor(options: StoreOptions, store: RunningStore, space: Space) {
    this.options = options
    this.#store = store
    this.space = space
  }

  async reopen(): Promise<void> {
    await this.#store.stop()
    this.#store = await openStore(this.options)
    this.space = await this.#store.openSpace(C1)
    for (const watch of this.watches) await watch.resume(this.space)
  }

  stop(): Promise<void> {
    return this.#store.stop()
  }
}

async function perform(space: Space, operation: Operation): Promise<Outcome> {
  const { key } = operation
  const encode = (revision: number) => {
    if (operation.type !== 'create' && operation.type !== 'update') throw new Error('Mistake')
    return JSON.stringify({ revision, text: operation.text })
  }
  const precondition =
    'at' in operation && operation.at !== undefined ? { revision: operation.at } : undefined
  try {
    switch (operation.type) {
      case 'create':
        return (await space.create(key, encode)).revision
      case 'update':
        return (await space.update(key, encode, precondition)).revision
      case 'delete':
        return (await space.delete(key, precondition)).revision
      case 'mistake':
        return (await space.create(key, encode)).revision
    }
  } catch (error) {
    if (isDroverError(error)) return error.code
    if (error instanceof Error && error.message === 'Mistake') return error.message
    throw error
  }
}

type Command = fc.AsyncCommand<SpaceModel, System>

/** A command without a precondition. */
function command(text: string, run: (model: SpaceModel, system: System) => Promise<void>): Command {
  return { check: () => true, run, toString: () => text }
}

/** A revision of the retained history, chosen by a fraction. */
function retained(model: SpaceModel, fraction: number): number {
  const { compactedRevision, revision } = model
  return compactedRevision + Math.round((revision - compactedRevision) * fraction)
}

async function settleWatches(model: SpaceModel, system: System): Promise<void> {
  for (const watch of system.watches) {
    await watch.until(model.revision)
    requireSame(watch.seen, model.eventsFor(watch.options), `watch ${JSON.stringify(watch.options)}`)
  }
}

const KINDS = ['pods', 'apps/deployments']
const NAMESPACES = ['', 'a', 'b']

/** Writes that are all asked for before the first one is on disk. */
const burst = (operations: readonly Operation[]) =>
  command(`burst ${JSON.stringify(operations)}`, async (model, system) => {
    const outcomes = await Promise.all(operations.map(operation => perform(system.space, operation)))
    requireSame(
      outcomes,
      operations.map(operation => model.apply(operation)),
      'outcomes',
    )
  })

const read = command('read', async (model, { space }) => {
  requireSame(space.revision, model.revision, 'revision')
  requireSame(space.compactedRevision, model.compactedRevision, 'compacted revision')
  for (const kind of KINDS) {
    for (const namespace of [undefined, ...NAMESPACES]) {
      const expected = model.list(kind, namespace)
      requireSame(space.list(kind, namespace), { revision: model.revision, objects: expected }, 'list')
      for (const object of expected) requireSame(space.get(object.key), object, 'get')
    }
    requireSame(space.count(kind), model.list(kind).length, 'count')
  }
})

const watch = (fraction: number, filter: Omit<WatchOptions, 'after'>) =>
  command(`watch from ${fraction} ${JSON.stringify(filter)}`, async (model, system) => {
    system.watches.push(new ReadWatch(system.space, { ...filter, after: retained(model, fraction) }))
  })

const settle = command('settle', settleWatches)

const compact = (fraction: number) =>
  command(`compact to ${fraction}`, async (model, system) => {
    await settleWatches(model, system)
    const revision = retained(model, fraction)
    await system.space.compact(revision)
    model.compactedRevision = revision
    if (revision === 0) return
    let code = 'nothing'
    try {
      system.space.watch({ after: revision - 1 })
    } catch (error) {
      if (isDroverError(error)) code = error.code
    }
    requireSame(code, 'Expired', 'a watch of compacted history')
  })

const reopen = command('reopen', async (model, system) => {
  await settleWatches(model, system)
  await system.reopen()
})

/** The database refuses everything that is written meanwhile. */
const whileRefusing = (operations: readonly Operation[]) =>
  command(`refuse ${JSON.stringify(operations)}`, async (_, system) => {
    const file = system.options.database
    refuse(file, { trigger: 't', on: 'INSERT ON log' })
    const outcomes = await Promise.all(operations.map(operation => perform(system.space, operation)))
    sabotage(file, 'DROP TRIGGER t')
    for (const outcome of outcomes) requireSame(typeof outcome, 'string', 'acknowledged')
  })

const key: fc.Arbitrary<ObjectKey> = fc
  .tuple(fc.constantFrom(...KINDS), fc.constantFrom(...NAMESPACES), fc.constantFrom('x', 'Z', 'y'))
  .map(([kind, namespace, name]) => ({ kind, namespace, name }))
const text = fc.string({ unit: 'grapheme', maxLength: 5 })
const at = fc.option(fc.nat(30), { nil: undefined, freq: 2 })
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('create' as const), key, text }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('update' as const), key, text, at }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), key, at }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('mistake' as const), key }) },
)
const operations = fc.array(operation, { minLength: 1, maxLength: 12 })
const fraction = fc.double({ min: 0, max: 1, noNaN: true })
const filter = fc.record(
  { kind: fc.constantFrom(...KINDS), namespace: fc.constantFrom(...NAMESPACES) },
  { requiredKeys: [] },
)

const commands = fc.commands(
  [
    operations.map(burst),
    operations.map(burst),
    fc.constant(read),
    fc.tuple(fraction, filter).map(([from, what]) => watch(from, what)),
    fc.constant(settle),
    fraction.map(compact),
    fc.constant(reopen),
    operations.map(whileRefusing),
  ],
  { maxCommands: 25 },
)

/** Few enough recent events that most watches begin on disk, and small transactions. */
const LIMITS = { recent: { events: 4, bytes: 1e9 }, batchWrites: 5 }

t.test('a space does what the model does', { timeout: 120_000 }, async t => {
  const property = fc.asyncProperty(commands, async commands => {
    const directory = await mkdtemp(path.join(tmpdir(), 'store-'))
    const options = { database: newPlace(directory), log: silentLog, limits: LIMITS }
    const store = await openStore(options)
    const system = new System(options, store, await store.createSpace(C1))
    const model = new SpaceModel()
    try {
      await fc.asyncModelRun(() => ({ model, real: system }), commands)
      await read.run(model, system)
      await settleWatches(model, system)
    } finally {
      await system.stop()
      await rm(directory, { recursive: true, force: true })
    }
  })
  await fc.assert(property, { numRuns: 40 })
  t.pass('no counterexample')
})
