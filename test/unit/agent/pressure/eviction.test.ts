/** One pod after the other is ended until there is enough. */
import t from 'tap'
import { Eviction, type EvictionOptions } from '../../../../agent/pressure/eviction.ts'
import { pressureSettings, type Signal } from '../../../../agent/pressure/settings.ts'
import { createLogger } from '../../../../kit/index.ts'
import type { Pod } from '../../../../protocol/kubernetes/index.ts'
import { ManualClock } from '../../server/master/manual-clock.ts'

const MB = 2 ** 20

const pod = (name: string, priority = 0, tolerations: Pod['spec']['tolerations'] = []): Pod => ({
  metadata: { name, namespace: 'default', uid: name },
  spec: { priority, tolerations, containers: [{ name: 'main', image: 'i' }] },
})

function setUp(overrides: Partial<EvictionOptions> = {}) {
  const clock = new ManualClock()
  const world = {
    clock,
    memory: 1000,
    disk: 1000,
    running: [pod('a'), pod('b', 5)],
    evicted: [] as string[],
    happenings: [] as string[],
    conditions: 0,
    freed: 0,
  }
  const eviction = new Eviction({
    settings: pressureSettings(
      { evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '100Mi' } },
      'f',
    ),
    measure: async () =>
      new Map<Signal, { available: number; capacity: number }>([
        ['memory.available', { available: world.memory * MB, capacity: 1000 * MB }],
        ['nodefs.available', { available: world.disk * MB, capacity: 1000 * MB }],
      ]),
    pods: () => world.running,
    usageOf: async () => ({ memory: 10 * MB, disk: 10 * MB, processes: 1, containers: new Map() }),
    evict: async ({ metadata }, reason, message) => {
      world.evicted.push(`${metadata.name} ${reason} ${message}`)
    },
    freeDisk: async () => {
      world.freed += 1
    },
    onConditions: () => {
      world.conditions += 1
    },
    onHappening: (reason, message) => world.happenings.push(`${reason}: ${message}`),
    isBestEffort: ({ metadata }) => metadata.name.startsWith('best'),
    log: createLogger('test', 'silent'),
    clock,
    ...overrides,
  })
  return { world, eviction }
}

t.test('with enough of everything nothing happens', async t => {
  const { world, eviction } = setUp()
  t.match(await eviction.look(), { requeueAfter: 10_000 })
  t.match(world, { evicted: [], happenings: [], conditions: 0 })
  t.equal(eviction.refuse(pod('best')), undefined)
})

t.test('one pod is ended, waited for, and then looked again', async t => {
  const { world, eviction } = setUp()
  world.memory = 50
  await eviction.look()
  t.match(world.evicted, [
    /^a Evicted The node was low on resource: memory\. Threshold quantity: 100Mi, available: 50Mi\./,
  ])
  t.strictSame(world.happenings, ['EvictionThresholdMet: Attempting to reclaim memory'])
  t.strictSame([...eviction.conditions()], ['MemoryPressure'])
  t.equal(world.freed, 0, 'no image takes memory')
  await eviction.look()
  t.equal(world.evicted.length, 1, 'it is still on its way out')
  world.running = [pod('b', 5)]
  world.memory = 500
  await eviction.look()
  t.equal(world.evicted.length, 1, 'now there is enough')
  t.ok(eviction.conditions().has('MemoryPressure'), 'which has to last for a while')
  world.clock.advance(300_000)
  await eviction.look()
  t.equal(eviction.conditions().size, 0)
  t.equal(world.conditions, 2)
})

t.test('one that does not end is not waited for for ever', async t => {
  const { world, eviction } = setUp()
  world.memory = 50
  await eviction.look()
  world.clock.advance(31_000)
  world.running = [pod('b', 5), pod('a')]
  await eviction.look()
  t.equal(world.evicted.length, 2)
})

t.test('unused images go before pods, and may be enough', async t => {
  const { world, eviction } = setUp({
    freeDisk: async () => {
      world.disk = 500
    },
  })
  world.disk = 50
  await eviction.look()
  t.match(world, {
    evicted: [],
    happenings: ['EvictionThresholdMet: Attempting to reclaim ephemeral-storage'],
  })
  t.ok(eviction.conditions().has('DiskPressure'))
  const failing = setUp({ freeDisk: () => Promise.reject(new Error('Docker is away')) })
  failing.world.disk = 50
  await failing.eviction.look()
  t.match(failing.world.evicted, [/^a Evicted .*ephemeral-storage/])
})

t.test('who is taken meanwhile', async t => {
  const { world, eviction } = setUp()
  world.memory = 50
  await eviction.look()
  const tolerant = [
    { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists' as const, effect: 'NoSchedule' },
  ]
  t.strictSame(eviction.refuse(pod('best')), {
    reason: 'Evicted',
    message: 'The node had condition: [MemoryPressure]. ',
  })
  t.equal(eviction.refuse(pod('best', 0, tolerant)), undefined)
  t.equal(eviction.refuse(pod('burstable')), undefined)
  world.disk = 50
  world.clock.advance(31_000)
  await eviction.look()
  t.match(eviction.refuse(pod('burstable')), { message: /MemoryPressure DiskPressure/ })
  t.equal(eviction.refuse(pod('critical', 2_000_000_000)), undefined)
})

t.test('nothing is ended by guesses', async t => {
  const { world, eviction } = setUp({ usageOf: async () => undefined })
  world.memory = 50
  t.match(await eviction.look(), { requeueAfter: 10_000 })
  await eviction.look()
  t.strictSame(world.evicted, [], 'Docker does not answer')
  t.equal(world.happenings.length, 1, 'once is enough')
  world.memory = 500
  await eviction.look()
  world.memory = 50
  await eviction.look()
  t.equal(world.happenings.length, 2)
})

t.test('critical pods are never ended', async t => {
  const { world, eviction } = setUp()
  world.memory = 50
  world.running = [pod('system', 2_000_000_000)]
  t.match(await eviction.look(), { requeueAfter: 10_000 })
  t.strictSame(world.evicted, [])
})
