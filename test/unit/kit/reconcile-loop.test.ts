import t from 'tap'
import { createLogger, ReconcileLoop } from '../../../kit/index.ts'

const log = createLogger('test', 'silent')

// The loop's timers do not keep a process alive, so something else has to while the tests wait for them.
const alive = setInterval(() => undefined, 1000)
t.teardown(() => clearInterval(alive))

t.test('kicks of a waiting key are one call; a kick while running is one more', async t => {
  let calls = 0
  const gate = Promise.withResolvers<void>()
  const loop = new ReconcileLoop({
    name: 'count',
    log,
    reconcile: async () => {
      calls += 1
      if (calls === 1) await gate.promise
      return undefined
    },
  })
  loop.kick('a')
  loop.kick('a')
  loop.start()
  loop.kick('a')
  loop.kick('a')
  t.equal(calls, 1)
  gate.resolve()
  await loop.idle()
  t.equal(calls, 2)
  await loop.stop()
})

t.test('a key is never reconciled twice at once, keys run side by side up to the concurrency', async t => {
  const running = new Map<string, number>()
  let most = 0
  const loop = new ReconcileLoop({
    name: 'parallel',
    log,
    concurrency: 3,
    reconcile: async key => {
      t.equal(running.get(key) ?? 0, 0)
      running.set(key, 1)
      most = Math.max(most, [...running.values()].filter(n => n > 0).length)
      await new Promise(resolve => setImmediate(resolve))
      running.set(key, 0)
      return undefined
    },
  })
  for (let round = 0; round < 3; round += 1) for (const key of ['a', 'b', 'c', 'd', 'e']) loop.kick(key)
  loop.start()
  await loop.idle()
  t.equal(most, 3)
  await loop.stop()
})

t.test('a failing key is tried again with back-off while others go on', async t => {
  const attempts: string[] = []
  const done = Promise.withResolvers<void>()
  const loop = new ReconcileLoop({
    name: 'failing',
    log,
    backoff: { initial: 1, maximum: 4 },
    reconcile: async key => {
      attempts.push(key)
      if (key === 'bad' && attempts.filter(a => a === 'bad').length < 4) throw new Error('no')
      if (key === 'bad') done.resolve()
      return undefined
    },
  })
  loop.start()
  loop.kick('bad')
  loop.kick('good')
  await done.promise
  await loop.idle()
  t.equal(attempts.filter(a => a === 'bad').length, 4)
  t.equal(attempts.filter(a => a === 'good').length, 1)
  t.equal(loop.failures('bad'), 0)
  await loop.stop()
})

t.test('requeueAfter looks again without a kick', async t => {
  let calls = 0
  const second = Promise.withResolvers<void>()
  const loop = new ReconcileLoop({
    name: 'requeue',
    log,
    reconcile: async () => {
      calls += 1
      if (calls === 2) second.resolve()
      return calls === 1 ? { requeueAfter: 1 } : undefined
    },
  })
  loop.start()
  loop.kick('a')
  await second.promise
  await loop.stop()
  t.equal(calls, 2)
})

t.test('stop aborts the running call, waits for it and ignores later kicks', async t => {
  let ended = false
  let calls = 0
  const loop = new ReconcileLoop({
    name: 'stop',
    log,
    reconcile: (_key, signal) => {
      calls += 1
      return new Promise(resolve => {
        signal.addEventListener('abort', () =>
          setImmediate(() => {
            ended = true
            resolve(undefined)
          }),
        )
      })
    },
  })
  loop.start()
  loop.kick('a')
  loop.kick('a')
  await loop.stop()
  t.ok(ended)
  loop.kick('a')
  t.equal(calls, 1)
})

t.test('keys that kick each other for ever leave everything else its turn', async t => {
  let calls = 0
  const loop: ReconcileLoop = new ReconcileLoop({
    name: 'ring',
    log,
    reconcile: key => {
      calls += 1
      loop.kick(key === 'a' ? 'b' : 'a')
      return Promise.resolve(undefined)
    },
  })
  loop.kick('a')
  loop.start()
  for (let turn = 0; turn < 3; turn += 1) {
    const before = calls
    await new Promise(resolve => setTimeout(resolve, 1))
    t.ok(calls > before, 'they go on')
  }
  await loop.stop()
})
