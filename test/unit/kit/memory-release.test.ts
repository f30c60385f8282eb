/** When memory is given back. */
import t from 'tap'
import { createLogger } from '../../../kit/index.ts'
import { isWorthReleasing, MemoryRelease } from '../../../kit/memory-release.ts'

const MB = 1024 * 1024
const log = createLogger('test', 'silent')

t.test('after a burst, when nothing is going on, and not all the time', async t => {
  const quiet = { resident: 150 * MB, floor: 110 * MB, load: 0.01, elapsed: 600_000 }
  t.ok(isWorthReleasing(quiet))
  t.ok(isWorthReleasing({ ...quiet, floor: 0, elapsed: Number.POSITIVE_INFINITY }), 'the first time')
  t.notOk(isWorthReleasing({ ...quiet, load: 0.7 }), 'in the middle of something')
  t.notOk(isWorthReleasing({ ...quiet, elapsed: 10_000 }), 'a moment ago')
  t.notOk(isWorthReleasing({ ...quiet, resident: 115 * MB }), 'what is in use')
})

t.test('what is left counts from then on', async t => {
  let resident = 200 * MB
  let now = 0
  let released = 0
  const timers = new Set<() => void>()
  const part = new MemoryRelease({
    resident: () => resident,
    processorTime: () => 0,
    release: () => {
      released += 1
      resident = 100 * MB
    },
    log,
    clock: {
      now: () => 0,
      monotonic: () => now,
      after: (_milliseconds, callback) => {
        timers.add(callback)
        return () => timers.delete(callback)
      },
    },
  })
  const pass = (milliseconds: number) => {
    now += milliseconds
    const due = [...timers]
    timers.clear()
    for (const callback of due) callback()
  }
  await part.start()
  pass(5_000)
  t.equal(released, 1)
  pass(600_000)
  t.equal(released, 1, 'there is nothing to be given')
  resident = 180 * MB
  pass(5_000)
  t.equal(released, 2)
  resident = 180 * MB
  pass(5_000)
  t.equal(released, 2, 'not so soon')
  pass(60_000)
  t.equal(released, 3)
  await part.stop()
  t.equal(timers.size, 0)
})
