import t from 'tap'
import { KeyedLock } from '../../../kit/index.ts'

t.test('one at a time per key, in order; other keys go on', async t => {
  const lock = new KeyedLock('thing')
  const order: string[] = []
  const gate = Promise.withResolvers<void>()
  const first = lock.run('a', async () => {
    await gate.promise
    order.push('a1')
  })
  const second = lock.run('a', async () => {
    order.push('a2')
  })
  await lock.run('b', async () => {
    order.push('b')
  })
  gate.resolve()
  await Promise.all([first, second])
  t.strictSame(order, ['b', 'a1', 'a2'])
})

t.test('a failure reaches its caller and not the next in line', async t => {
  const lock = new KeyedLock('thing')
  const failed = lock.run('a', async () => {
    throw new Error('no')
  })
  const next = lock.run('a', async () => 'yes')
  await t.rejects(failed, { message: 'no' })
  t.equal(await next, 'yes')
})

t.test('the line is bounded', async t => {
  const lock = new KeyedLock('thing', 2)
  const gate = Promise.withResolvers<void>()
  const held = [lock.run('a', () => gate.promise), lock.run('a', () => gate.promise)]
  await t.rejects(
    lock.run('a', async () => undefined),
    { code: 'QueueFull', message: /thing a/ },
  )
  gate.resolve()
  await Promise.all(held)
  t.equal(await lock.run('a', async () => 1), 1)
})
