/** From the store through the publisher to the replicas of agents, and what happens when one of them goes away. */
import path from 'node:path'
import t, { type Test } from 'tap'
import { MetadataPublisher } from '../../../server/metadata/index.ts'
import {
  type ClusterOfWorld,
  launchConfig,
  log,
  makeCluster,
  makeContainer,
  makeProject,
  makeService,
  makeStack,
  openWorld,
  temporaryDirectory,
  type World,
} from '../../unit/server/metadata/world.ts'
import { Agent } from './agent.ts'

/** A server, as far as metadata goes. */
interface Server {
  readonly world: World
  readonly publisher: MetadataPublisher
  stop(): Promise<void>
}

async function startServer(directory: string): Promise<Server> {
  const world = await openWorld(path.join(directory, 'store.db'))
  const { model, system } = world
  const publisher = new MetadataPublisher({
    model,
    system,
    generation: 'the generation',
    serviceToken: uuid => `token of ${uuid}`,
    log,
  })
  await publisher.start()
  return {
    world,
    publisher,
    stop: async () => {
      await publisher.stop()
      await world.close()
    },
  }
}

interface Setting extends Server, ClusterOfWorld {
  readonly directory: string
}

async function setting(t: Test): Promise<Setting> {
  const directory = await temporaryDirectory(t)
  const server = await startServer(directory)
  return { ...server, ...(await makeCluster(server.world.model, 'one')), directory }
}

async function newAgent(
  t: Test,
  { cluster }: Pick<ClusterOfWorld, 'cluster'>,
  directory?: string,
): Promise<Agent> {
  const agent = new Agent(cluster.id, directory ?? (await temporaryDirectory(t)))
  await agent.replica.start()
  return agent
}

t.test('an agent learns everything, and then every change', async t => {
  const { world, publisher, stop, ...one } = await setting(t)
  const { model } = world
  const stack = await makeStack(model, one.project, 'shop')
  const web = await makeService(model, stack, 'web')
  const agent = await newAgent(t, one)
  agent.connect(publisher)
  await agent.until('everything', () => agent.replica.position !== undefined)
  t.same(agent.names(), [
    'environment Default',
    'environment System',
    'host one-host',
    'network managed',
    'service web',
    'stack shop',
  ])

  const place = { clusterId: one.cluster.id, accountId: one.project.id }
  const container = await makeContainer(model, place, 'shop-web-1', {
    stackId: stack.id,
    serviceId: web.id,
    launchConfigName: 'web',
    hostId: one.host.id,
    ports: [{ address: '0.0.0.0', publicPort: 80, privatePort: 80, protocol: 'tcp' }],
  })
  await agent.until('the container', () => agent.find('shop-web-1') !== undefined)
  t.match(agent.find('shop-web-1'), {
    serviceUuid: web.uuid,
    stackUuid: stack.uuid,
    hostUuid: one.host.uuid,
    environmentUuid: one.project.uuid,
    ports: [{ agentIpAddress: '192.0.2.10' }],
  })
  t.match(agent.find('web'), { token: `token of ${web.uuid}` })

  await model.hosts.update(one.host.id, host => ({ ...host, agentIpAddress: '192.0.2.99' }))
  await agent.until('the new address of the host on the container', () =>
    JSON.stringify(agent.find('shop-web-1')).includes('192.0.2.99'),
  )
  await model.services.update(web.id, service => ({
    ...service,
    launchConfig: launchConfig('web', { memoryReservation: 77 }),
  }))
  await agent.until('the reservation of the service on the container', () =>
    JSON.stringify(agent.find('shop-web-1')).includes('"memoryReservation":77'),
  )
  await model.containers.update(container.id, current => ({ ...current, state: 'removing' }))
  await agent.until('its end', () => agent.find('shop-web-1') === undefined)
  await makeContainer(model, place, 'pause', { hidden: true })
  await makeContainer(model, place, 'shown')
  await agent.until('the next', () => agent.find('shown') !== undefined)
  t.equal(agent.find('pause'), undefined, 'hidden containers are not sent')
  t.equal(agent.fulls, 1)
  await agent.replica.stop()
  await stop()
})

t.test('only what differs travels, once for everybody', async t => {
  const { world, publisher, stop, ...one } = await setting(t)
  const { model } = world
  const agents = await Promise.all([newAgent(t, one), newAgent(t, one)])
  for (const agent of agents) {
    agent.connect(publisher)
    await agent.until('everything', () => agent.replica.position !== undefined)
  }
  const [first, second] = agents as [Agent, Agent]
  const before = first.deltas.length
  // Not shown by metadata, so nothing happens.
  await model.hosts.update(one.host.id, host => ({ ...host, keyHash: 'another' }))
  await makeContainer(model, { clusterId: one.cluster.id, accountId: one.project.id }, 'new')
  await Promise.all(agents.map(agent => agent.until('the container', () => agent.find('new') !== undefined)))
  const steps = first.deltas.slice(before)
  t.same(
    steps.map(step => step.updates.map(({ name }) => name)),
    [['new']],
  )
  t.equal(first.texts.at(-1), second.texts.at(-1), 'the same text')
  for (const agent of agents) await agent.replica.stop()
  await stop()
})

t.test('a restart of the server, and of the agent, needs no full synchronisation', async t => {
  const first = await setting(t)
  const { directory } = first
  const place = { clusterId: first.cluster.id, accountId: first.project.id }
  const removed = await makeContainer(first.world.model, place, 'removed')
  const agentDirectory = await temporaryDirectory(t)
  const agent = await newAgent(t, first, agentDirectory)
  agent.connect(first.publisher)
  await agent.until('everything', () => agent.find('removed') !== undefined)
  agent.disconnect()
  await agent.replica.stop()
  // What happens now, the agent misses; and the server that was told is another one.
  await first.world.model.containers.delete(removed.id)
  await makeContainer(first.world.model, place, 'missed')
  await first.stop()

  const second = await startServer(directory)
  const returned = await newAgent(t, first, agentDirectory)
  t.same(returned.find('removed')?.name, 'removed', 'it begins with what it knew')
  returned.connect(second.publisher)
  await returned.until('what it missed', () => returned.find('missed') !== undefined)
  t.equal(returned.find('removed'), undefined)
  t.equal(returned.fulls, 0)
  t.equal(second.publisher.fullSynchronizations, 0)

  // An agent that missed nothing is sent nothing.
  returned.disconnect()
  const idle = returned.deltas.length
  returned.connect(second.publisher)
  await makeContainer(second.world.model, place, 'next')
  await returned.until('the next', () => returned.find('next') !== undefined)
  t.equal(returned.deltas.length, idle + 1)
  await returned.replica.stop()
  await second.stop()
})

t.test('agents for which nothing changes can still come back after a restart', async t => {
  const { world, publisher, stop, directory, ...one } = await setting(t)
  const other = await makeCluster(world.model, 'other')
  const agent = await newAgent(t, one)
  agent.connect(publisher)
  await agent.until('everything', () => agent.replica.position !== undefined)
  const before = agent.replica.position?.sequence ?? 0
  const place = { clusterId: other.cluster.id, accountId: other.project.id }
  for (let index = 0; index < 4; index += 1) {
    await Promise.all(
      Array.from({ length: 100 }, (_, at) => makeContainer(world.model, place, `c${index}-${at}`)),
    )
  }
  await agent.until('a step without content', () => (agent.replica.position?.sequence ?? 0) >= before + 200)
  t.ok(agent.deltas.every(delta => delta.full || delta.updates.length === 0))
  t.ok(agent.deltas.length < 8, 'and not many of them')
  agent.disconnect()
  // History is forgotten, but for the newest revisions.
  await world.system.compact(world.system.revision - 250)
  await stop()
  const second = await startServer(directory)
  agent.connect(second.publisher)
  await makeContainer(second.world.model, { clusterId: one.cluster.id, accountId: one.project.id }, 'late')
  await agent.until('the container', () => agent.find('late') !== undefined)
  t.equal(agent.fulls, 1)
  await agent.replica.stop()
  await second.stop()
})

t.test('who was away for too long gets everything', async t => {
  const { world, publisher, stop, directory, ...one } = await setting(t)
  const agent = await newAgent(t, one)
  agent.connect(publisher)
  await agent.until('everything', () => agent.replica.position !== undefined)
  agent.disconnect()
  const project = await makeProject(world.model, one.cluster.id, 'Late')
  await world.system.compact(world.system.revision)
  await stop()
  const second = await startServer(directory)
  agent.connect(second.publisher)
  await agent.until('everything again', () => agent.find(project.name) !== undefined)
  t.equal(agent.fulls, 2)
  t.equal(second.publisher.fullSynchronizations, 1)
  await agent.replica.stop()
  await second.stop()
})

t.test('a gap is noticed and mended', async t => {
  const { world, publisher, stop, ...one } = await setting(t)
  const agent = await newAgent(t, one)
  agent.connect(publisher)
  await agent.until('everything', () => agent.replica.position !== undefined)
  const place = { clusterId: one.cluster.id, accountId: one.project.id }
  agent.loses = delta => !delta.full
  await makeContainer(world.model, place, 'lost')
  const lost = agent.deltas.length
  await agent.until('the lost step', () => agent.deltas.length > lost)
  agent.loses = () => false
  await makeContainer(world.model, place, 'seen')
  await agent.until('both', () => agent.find('lost') !== undefined && agent.find('seen') !== undefined)
  t.equal(agent.fulls, 2, 'by a full synchronisation')
  await agent.replica.stop()
  await stop()
})

t.test('a slow agent gets one larger step when it has caught up', async t => {
  const { world, publisher, stop, ...one } = await setting(t)
  const slow = await newAgent(t, one)
  const quick = await newAgent(t, one)
  for (const agent of [slow, quick]) {
    agent.connect(publisher)
    await agent.until('everything', () => agent.replica.position !== undefined)
  }
  slow.backlog = 10_000_000
  const before = slow.deltas.length
  const place = { clusterId: one.cluster.id, accountId: one.project.id }
  for (const name of ['a', 'b', 'c']) {
    await makeContainer(world.model, place, name)
    await quick.until(name, () => quick.find(name) !== undefined)
  }
  t.equal(slow.deltas.length, before, 'nothing is added to what it has not taken')
  slow.backlog = 0
  await slow.until('all of them', () => slow.find('c') !== undefined)
  t.same(slow.names(), quick.names())
  t.equal(slow.deltas.length, before + 1)
  t.equal(slow.fulls, 1)
  for (const agent of [slow, quick]) await agent.replica.stop()
  await stop()
})

t.test('nothing of one cluster reaches the agents of another', async t => {
  const { world, publisher, stop, ...one } = await setting(t)
  const other = await makeCluster(world.model, 'other')
  const agent = await newAgent(t, one)
  const stranger = await newAgent(t, other)
  agent.connect(publisher)
  stranger.connect(publisher)
  await Promise.all(
    [agent, stranger].map(each => each.until('all', () => each.replica.position !== undefined)),
  )
  const secret = 'canary-of-one'
  const stack = await makeStack(world.model, one.project, secret)
  await makeService(world.model, stack, `${secret}-service`, { metadata: { secret } })
  await makeContainer(world.model, { clusterId: one.cluster.id, accountId: one.project.id }, `${secret}-1`)
  await agent.until('the container', () => agent.find(`${secret}-1`) !== undefined)
  await makeContainer(world.model, { clusterId: other.cluster.id, accountId: other.project.id }, 'theirs')
  await stranger.until('their container', () => stranger.find('theirs') !== undefined)
  t.notMatch(stranger.texts.join(), new RegExp(`${secret}|${one.project.uuid}|${one.host.uuid}`))
  t.notMatch(agent.texts.join(), /theirs/)
  t.not(agent.replica.position?.generation, stranger.replica.position?.generation)
  for (const each of [agent, stranger]) await each.replica.stop()
  await stop()
})

t.test('an object that agents would refuse is left out', async t => {
  const { world, publisher, stop, ...one } = await setting(t)
  const agent = await newAgent(t, one)
  agent.connect(publisher)
  const place = { clusterId: one.cluster.id, accountId: one.project.id }
  await makeContainer(world.model, place, 'novel', { labels: { text: 'x'.repeat(100_000) } })
  await makeContainer(world.model, place, 'good')
  await agent.until('the good one', () => agent.find('good') !== undefined)
  t.equal(agent.find('novel'), undefined)
  await agent.replica.stop()
  await stop()
})

t.test('a large model comes in parts', async t => {
  const { world, publisher, stop, ...one } = await setting(t)
  const place = { clusterId: one.cluster.id, accountId: one.project.id }
  const labels = { text: 'x'.repeat(15_000) }
  const names = Array.from({ length: 300 }, (_, index) => `c${index}`)
  await Promise.all(names.slice(0, 150).map(name => makeContainer(world.model, place, name, { labels })))
  const agent = await newAgent(t, one)
  agent.connect(publisher)
  await agent.until('everything', () => agent.replica.position !== undefined)
  t.ok(agent.deltas.length >= 3, `${agent.deltas.length} parts`)
  t.equal(agent.replica.model.size, 150 + 4)
  agent.disconnect()
  await Promise.all(names.slice(150).map(name => makeContainer(world.model, place, name, { labels })))
  const before = agent.deltas.length
  agent.connect(publisher)
  await agent.until('what it missed', () => agent.replica.model.size === 300 + 4)
  t.ok(agent.deltas.length >= before + 3, `${agent.deltas.length - before} parts of a step`)
  t.equal(agent.fulls, 1)
  await agent.replica.stop()
  await stop()
})
