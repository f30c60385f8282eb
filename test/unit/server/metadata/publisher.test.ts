/** What the publisher remembers, and for how long. */
import path from 'node:path'
import t from 'tap'
import type { Clock } from '../../../../kit/index.ts'
import type { MetadataPosition } from '../../../../protocol/index.ts'
import { affectedBy } from '../../../../server/metadata/affected-objects.ts'
import { ChangeHistory } from '../../../../server/metadata/change-history.ts'
import { MetadataPublisher } from '../../../../server/metadata/index.ts'
import { runsBySize, stepMessages } from '../../../../server/metadata/messages.ts'
import type { ChangeEvent } from '../../../../server/store/index.ts'
import {
  launchConfig,
  log,
  makeCluster,
  makeContainer,
  makeService,
  makeStack,
  openWorld,
  temporaryDirectory,
} from './world.ts'

/** A clock that stands still until it is moved. */
class ManualClock implements Clock {
  #time = 0
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>()

  now(): number {
    return this.#time
  }

  monotonic(): number {
    return this.#time
  }

  after(milliseconds: number, callback: () => void): () => void {
    const timer = { at: this.#time + milliseconds, callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  pass(milliseconds: number): void {
    this.#time += milliseconds
    for (const timer of [...this.#timers]) {
      if (timer.at > this.#time) continue
      this.#timers.delete(timer)
      timer.callback()
    }
  }

  get timers(): number {
    return this.#timers.size
  }
}

t.test('the model of a cluster without agents is let go, and what changed meanwhile is not lost', async t => {
  const world = await openWorld(path.join(await temporaryDirectory(t), 'store.db'))
  const { model, system } = world
  const { cluster, project } = await makeCluster(model, 'one')
  const place = { clusterId: cluster.id, accountId: project.id }
  const clock = new ManualClock()
  const publisher = new MetadataPublisher({
    model,
    system,
    generation: 'g',
    serviceToken: () => '',
    log,
    clock,
  })
  await publisher.start()
  const received: string[] = []
  let arrival = Promise.withResolvers<void>()
  const connect = (position: MetadataPosition | undefined) =>
    publisher.subscribe({
      clusterId: cluster.id,
      position,
      backlog: () => 0,
      send: text => {
        received.push(text)
        arrival.resolve()
      },
    })
  const first = connect(undefined)
  await arrival.promise
  const { delta } = JSON.parse(received[0] ?? '') as { delta: MetadataPosition & { full: boolean } }
  t.ok(delta.full)
  first.close()
  clock.pass(10 * 60_000)
  await new Promise(resolve => setImmediate(resolve))
  t.equal(clock.timers, 0, 'nothing is waited for')
  const gone = await makeContainer(model, place, 'gone')
  await makeContainer(model, place, 'made')
  await model.containers.delete(gone.id)
  arrival = Promise.withResolvers()
  const second = connect({ generation: delta.generation, sequence: delta.sequence })
  await arrival.promise
  const step = JSON.parse(received[1] ?? '').delta
  t.match(step, { full: false, from: delta.sequence, updates: [{ name: 'made' }], removes: [gone.uuid] })
  t.equal(publisher.fullSynchronizations, 1)
  second.close()
  await publisher.stop()
  await world.close()
})

t.test('positions of another history are not believed', async t => {
  const world = await openWorld(path.join(await temporaryDirectory(t), 'store.db'))
  const { model, system } = world
  const { cluster } = await makeCluster(model, 'one')
  const start = async (generation: string) => {
    const publisher = new MetadataPublisher({ model, system, generation, serviceToken: () => '', log })
    await publisher.start()
    return publisher
  }
  const firstMessage = (publisher: MetadataPublisher, position: MetadataPosition | undefined) =>
    new Promise<{ full: boolean } & MetadataPosition>(resolve =>
      publisher.subscribe({
        clusterId: cluster.id,
        position,
        backlog: () => 0,
        send: text => resolve(JSON.parse(text).delta),
      }),
    )
  const one = await start('one')
  const { generation, sequence } = await firstMessage(one, undefined)
  t.match(
    await firstMessage(one, { generation, sequence: sequence + 1000 }),
    { full: true },
    'from the future',
  )
  await one.stop()
  const two = await start('two')
  t.match(await firstMessage(two, { generation, sequence }), { full: true }, 'of another generation')
  await two.stop()
  await world.close()
})

t.test('what a change may alter', async t => {
  const world = await openWorld(path.join(await temporaryDirectory(t), 'store.db'))
  const { model } = world
  const { cluster, project, host } = await makeCluster(model, 'one')
  const stack = await makeStack(model, project, 'shop')
  const web = await makeService(model, stack, 'web')
  const more = { serviceId: web.id, stackId: stack.id, hostId: host.id, externalId: 'a'.repeat(64) }
  const place = { clusterId: cluster.id, accountId: project.id }
  const parent = await makeContainer(model, place, 'web-1', more)
  const child = await makeContainer(model, place, 'child', {
    hostId: host.id,
    networkMode: `container:${'a'.repeat(64)}`,
  })
  const altered = (kind: string, before: object | undefined, after: object | undefined) => {
    const key = { kind, namespace: '', name: 'x' }
    const stored = (object: object) => ({
      key,
      revision: 1,
      createdRevision: 1,
      json: JSON.stringify(object),
    })
    const event =
      before === undefined
        ? { type: 'created', revision: 2, object: stored(after ?? {}) }
        : after === undefined
          ? { type: 'deleted', revision: 2, previous: stored(before) }
          : { type: 'updated', revision: 2, object: stored(after), previous: stored(before) }
    const affected = affectedBy(event as ChangeEvent, model)
    return affected?.objects.map(({ uuid }) => uuid)
  }
  t.same(altered('host', host, { ...host, name: 'other' }), [host.uuid])
  t.same(altered('host', host, { ...host, agentIpAddress: '192.0.2.9' }), [
    host.uuid,
    parent.uuid,
    child.uuid,
  ])
  t.same(altered('service', web, { ...web, scale: 9 }), [web.uuid])
  const launched = { ...web, launchConfig: launchConfig('web', { dns: ['192.0.2.53'] }) }
  t.same(altered('service', web, launched), [web.uuid, parent.uuid])
  t.same(altered('stack', stack, undefined), [stack.uuid, web.uuid, parent.uuid])
  t.same(altered('container', { ...parent, externalId: 'b' }, parent), [parent.uuid, child.uuid])
  t.same(altered('container', { ...parent, state: 'starting' }, parent), [parent.uuid])
  t.same(altered('project', undefined, project)?.length, 1 + 1 + 1 + 2)
  t.same(altered('apiKey', undefined, { ...host }), undefined)
  t.same(altered('cluster', cluster, { ...cluster, name: 'x' }), undefined)
  const early = { ...cluster, systemProjectId: undefined }
  t.same(altered('cluster', early, cluster)?.length, 4, 'host, network, containers')
  await world.close()
})

t.test('the history of changes is bounded', async t => {
  const history = new ChangeHistory(10)
  t.equal(history.since(9), undefined)
  t.same([...(history.since(10) ?? [])], [])
  history.note(11, 'a')
  history.note(12, 'b')
  history.note(12, 'a')
  t.same([...(history.since(10) ?? [])].toSorted(), ['a', 'b'])
  t.same([...(history.since(11) ?? [])].toSorted(), ['a', 'b'])
  t.same([...(history.since(12) ?? [])], [])
  for (let revision = 13; revision < 120_000; revision += 1) history.note(revision, `u${revision}`)
  t.notOk(history.knowsSince(10))
  t.equal(history.since(10), undefined)
  t.equal(history.since(119_000)?.size, 999)
})

t.test('messages are cut by size', async t => {
  t.same(
    runsBySize([], () => 1),
    [[]],
  )
  t.same(
    runsBySize([1, 2, 3], () => 600_000).map(run => run.length),
    [2, 1],
  )
  const updates = ['{"name":"a"}', `{"name":"${'b'.repeat(2_000_000)}"}`, '{"name":"c"}']
  const messages = stepMessages({ generation: 'g', from: 1, sequence: 9, updates, removes: ['x'] })
  const deltas = messages.map(text => JSON.parse(text).delta)
  t.same(
    deltas.map(({ more, removes, updates: list }) => [more, removes.length, list.length]),
    [
      [true, 0, 2],
      [false, 1, 1],
    ],
  )
})
