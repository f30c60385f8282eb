/** In which order pods are looked at that wait for a node. */
import t from 'tap'
import type { Frozen, Pod } from '../../../../server/master/index.ts'
import { podDemand } from '../../../../server/master/scheduler/pod-demand.ts'
import { SchedulingQueue } from '../../../../server/master/scheduler/scheduling-queue.ts'
import { ManualClock } from './manual-clock.ts'
import { pod } from './temporary-master.ts'

function demand(name: string, spec: object = {}, labels: object = {}) {
  const object = pod(name, spec, { namespace: 'default', uid: `uid-${name}`, labels })
  return podDemand(object as unknown as Frozen<Pod>)
}

t.test('the most important first', async t => {
  const queue = new SchedulingQueue(new ManualClock(), () => undefined)
  for (const [name, priority] of [
    ['a', 0],
    ['b', 10],
    ['c', 0],
    ['d', 10],
  ] as const) {
    queue.add(demand(name, { priority }))
  }
  queue.remove('default/d')
  t.same(
    [queue.take()?.name, queue.take()?.name, queue.take()?.name, queue.take()],
    ['b', 'a', 'c', undefined],
  )
})

t.test('the queue', async t => {
  const clock = new ManualClock()
  let ready = 0
  const queue = new SchedulingQueue(clock, () => {
    ready += 1
  })
  const [a, b] = [demand('a'), demand('b')]
  queue.add(a)
  queue.add(b)
  queue.add(a)
  t.equal(queue.take()?.key, a.key, 'in order of arrival')
  t.equal(queue.take()?.key, b.key)
  t.equal(queue.take(), undefined)

  queue.park(a, false)
  clock.advance(3_600_000)
  t.equal(queue.waiting, 0, 'time alone changes nothing')
  t.equal(clock.timers, 0)
  queue.encourage()
  t.equal(queue.take()?.key, a.key, 'a change does')

  queue.park(a, false)
  queue.encourage()
  t.equal(queue.waiting, 0, 'not before its back-off')
  ready = 0
  clock.advance(2_000)
  t.equal(ready, 1)
  t.equal(queue.take()?.key, a.key)

  queue.park(b, true)
  clock.advance(1_000)
  t.equal(queue.take()?.key, b.key, 'a failed attempt is repeated without a change')
  queue.park(b, true)
  queue.remove(b.key)
  clock.advance(60_000)
  t.equal(queue.waiting, 0)
  queue.stop()
})
