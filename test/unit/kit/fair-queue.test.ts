/** Nobody waits for a loud neighbour longer than for one turn of each. */
import t from 'tap'
import { FairQueue, withoutSeat } from '../../../kit/index.ts'

/** Work that ends when the test says so, in the order in which it began. */
function workshop() {
  const running: { readonly key: string; readonly end: () => void }[] = []
  const begun: string[] = []
  const work = (key: string) => () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    begun.push(key)
    running.push({ key, end: resolve })
    return promise
  }
  const endNext = async () => {
    running.shift()?.end()
    await new Promise(resolve => setImmediate(resolve))
  }
  return { running, begun, work, endNext }
}

t.test('seats go round', async t => {
  const queue = new FairQueue('cluster', { seats: 3, seatsEach: 2, waitingEach: 100 })
  const { running, begun, work, endNext } = workshop()
  const done = Array.from({ length: 10 }, () => queue.run('loud', work('loud')))
  t.equal(running.length, 2, 'no more than its seats')
  done.push(queue.run('quiet', work('quiet')))
  t.equal(running.length, 3, 'another one has a seat at once')
  done.push(queue.run('late', work('late')), queue.run('late', work('late')))
  t.equal(running.length, 3)
  for (let turn = 0; turn < 13; turn += 1) {
    t.ok(running.length <= 3)
    await endNext()
  }
  await Promise.all(done)
  t.equal(begun.length, 13)
  t.ok(begun.lastIndexOf('late') < 7, `late was not last: ${begun.join()}`)
})

t.test('what waits is bounded, and what fails gives its seat back', async t => {
  const queue = new FairQueue('cluster', { seats: 1, seatsEach: 1, waitingEach: 1 })
  const { work, endNext } = workshop()
  const first = queue.run('a', work('a'))
  const second = queue.run('a', work('a'))
  await t.rejects(queue.run('a', work('a')), { code: 'QueueFull' })
  await endNext()
  await endNext()
  await Promise.all([first, second])
  await t.rejects(
    queue.run('a', () => Promise.reject(new Error('no'))),
    /no/,
  )
  await queue.run('a', () => Promise.resolve())
})

t.test('who waits for somebody outside leaves the seat to others', async t => {
  const queue = new FairQueue('cluster', { seats: 1, seatsEach: 1, waitingEach: 1 })
  const outside = Promise.withResolvers<void>()
  const events: string[] = []
  const first = queue.run('a', async () => {
    events.push('first sits')
    // Two waits at a time are one absence.
    await Promise.all([withoutSeat(() => outside.promise), withoutSeat(async () => undefined)])
    events.push('first sits again')
  })
  const second = queue.run('a', async () => {
    events.push('second sits')
    outside.resolve()
    await new Promise(resolve => setImmediate(resolve))
    events.push('second leaves')
  })
  await Promise.all([first, second])
  t.same(events, ['first sits', 'second sits', 'second leaves', 'first sits again'])
  const never = Promise.withResolvers<void>()
  await queue.run('a', async () => {
    void withoutSeat(() => never.promise)
  })
  never.resolve()
  await new Promise(resolve => setImmediate(resolve))
  t.equal(await queue.run('a', async () => 'sits'), 'sits', 'work that ended needs no seat any more')
  t.equal(await withoutSeat(async () => 'stands'), 'stands', 'without a seat there is nothing to leave')
})
