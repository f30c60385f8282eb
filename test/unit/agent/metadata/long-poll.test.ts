/** Requests that wait for another value than the client has. */
import t from 'tap'
import type { Clock } from '../../../../kit/index.ts'
import { FROM, get, native, production, serveWorld, web1 } from './http-world.ts'
import { container } from './objects.ts'

const poll = (value: string, maxWait = 60) =>
  `?wait=true&value=${encodeURIComponent(value)}&maxWait=${maxWait}`

/** A clock whose timers run when the test says so. */
class ManualClock implements Clock {
  readonly waits: { milliseconds: number; callback: () => void }[] = []
  #time = 1_000

  now(): number {
    return this.#time
  }

  monotonic(): number {
    return this.#time
  }

  after(milliseconds: number, callback: () => void): () => void {
    const wait = { milliseconds, callback }
    this.waits.push(wait)
    return () => {
      const at = this.waits.indexOf(wait)
      if (at >= 0) this.waits.splice(at, 1)
    }
  }

  /** Resolves when `count` requests wait. */
  async waiting(count: number): Promise<void> {
    while (this.waits.length < count) await new Promise(resolve => setImmediate(resolve))
  }

  pass(milliseconds: number): void {
    this.#time += milliseconds
    for (const { callback } of this.waits.splice(0)) callback()
  }
}

t.test('another value is answered at once', async t => {
  const { port } = await serveWorld(t)
  t.equal((await get(port, `/latest/self/container/name${poll('old')}`)).body, 'shop-web-1')
  t.equal(
    (await get(port, `/latest/self/container/name?wait=true`)).body,
    'shop-web-1',
    'without value it is no wait',
  )
  t.equal((await get(port, `/latest/nope${poll('old')}`)).status, 404)
  t.equal((await get(port, `/${poll('old')}`)).status, 200)
})

t.test('a change is answered when it comes', async t => {
  const clock = new ManualClock()
  const { port, model } = await serveWorld(t, clock)
  const version = (await get(port, '/latest/version')).body
  const waiting = get(port, `/latest/version${poll(version)}`)
  await clock.waiting(1)
  model.apply([{ ...web1, startCount: 2 }], [])
  t.ok(Number((await waiting).body) > Number(version))
  t.equal(clock.waits.length, 0, 'its timer is gone')
})

t.test('only a change of what was asked for wakes a request', async t => {
  const clock = new ManualClock()
  const { port, model } = await serveWorld(t, clock)
  const waiting = get(port, `/latest/containers/by-hand/start_count${poll('1')}`)
  await clock.waiting(1)
  const [first] = clock.waits
  model.apply([{ ...web1, startCount: 2 }, container('new', production)], [])
  await get(port, '/latest/name')
  // The new container changes the list that the name was looked up in; the value is the same.
  t.not(clock.waits[0], undefined)
  model.apply([{ ...web1, startCount: 3 }], [])
  await get(port, '/latest/name')
  const [second] = clock.waits
  model.apply([{ ...web1, startCount: 4 }], [])
  t.equal(clock.waits[0], second, 'another container does not wake it')
  t.ok(first !== undefined)
  model.apply([{ ...native, startCount: 2 }], [])
  t.equal((await waiting).body, '2')
})

t.test('after its time it is answered with what it knows', async t => {
  const clock = new ManualClock()
  const { port } = await serveWorld(t, clock)
  const times: readonly [string, number][] = [
    ['&maxWait=7', 7_000],
    ['&maxWait=9999', 120_000],
    ['', 10_000],
    ['&maxWait=0', 10_000],
    ['&maxWait=-1', 10_000],
    ['&maxWait=x', 10_000],
  ]
  for (const [parameter, milliseconds] of times) {
    const waiting = get(port, `/latest/name?wait=true&value=Production${parameter}`)
    await clock.waiting(1)
    t.equal(clock.waits[0]?.milliseconds, milliseconds, parameter)
    clock.pass(milliseconds)
    const answer = await waiting
    t.same([answer.status, answer.body], [200, 'Production'])
  }
})

t.test('values that are JSON for the client are compared as they are', async t => {
  const clock = new ManualClock()
  const { port } = await serveWorld(t, clock)
  const waiting = get(port, `/latest/name${poll('Production')}`, { accept: 'application/json' })
  await clock.waiting(1)
  clock.pass(60_000)
  t.equal((await waiting).body, '"Production"')
})

t.test('who gives up is forgotten', async t => {
  const clock = new ManualClock()
  const { port } = await serveWorld(t, clock)
  const abort = new AbortController()
  const waiting = get(port, `/latest/name${poll('Production')}`, { signal: abort.signal })
  await clock.waiting(1)
  abort.abort()
  await t.rejects(waiting)
  while (clock.waits.length > 0) await new Promise(resolve => setImmediate(resolve))
  t.pass('its timer is gone')
})

t.test('a container that goes while it waits', async t => {
  const clock = new ManualClock()
  const { port, model } = await serveWorld(t, clock)
  const waiting = get(port, `/latest/self/container/name${poll('by-hand')}`, { from: FROM.native })
  await clock.waiting(1)
  model.apply([], [native.uuid])
  t.equal((await waiting).status, 404)
})
