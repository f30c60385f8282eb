/** All metadata is sent anew now and then: to every agent once, each at a moment of its own. */
import path from 'node:path'
import t from 'tap'
import { MetadataPublisher } from '../../../server/metadata/index.ts'
import { ManualClock } from '../../unit/server/master/manual-clock.ts'
import {
  log,
  makeCluster,
  makeContainer,
  openWorld,
  temporaryDirectory,
} from '../../unit/server/metadata/world.ts'
import { Agent } from './agent.ts'

const INTERVAL = 3_600_000
const SPREAD = 360_000
const AGENTS = 20

t.test('each agent gets everything once, spread', async t => {
  const world = await openWorld(path.join(await temporaryDirectory(t), 'store.db'))
  const { model, system } = world
  const { cluster, project } = await makeCluster(model, 'one')
  const place = { clusterId: cluster.id, accountId: project.id }
  await makeContainer(model, place, 'first')
  const clock = new ManualClock()
  const publisher = new MetadataPublisher({
    model,
    system,
    generation: 'g',
    serviceToken: () => '',
    renewal: { interval: INTERVAL, spread: SPREAD },
    log,
    clock,
  })
  await publisher.start()
  const agents = await Promise.all(
    Array.from({ length: AGENTS }, async () => {
      const agent = new Agent(cluster.id, await temporaryDirectory(t))
      await agent.replica.start()
      agent.connect(publisher)
      return agent
    }),
  )
  const everybody = (what: string, condition: (agent: Agent) => boolean) =>
    Promise.all(agents.map(agent => agent.until(what, () => condition(agent))))
  /** Time passes a little, with room for what it brings about. */
  const pass = async (milliseconds: number) => {
    clock.advance(milliseconds)
    await new Promise(resolve => setImmediate(resolve))
  }
  await everybody('everything', agent => agent.find('first') !== undefined)
  const before = agents.map(({ replica }) => replica.position?.generation)

  await pass(INTERVAL - 1)
  t.equal(publisher.fullSynchronizations, AGENTS, 'nothing before its time')
  await makeContainer(model, place, 'second')
  clock.advance(1)
  const times = new Set<number>()
  let seen = publisher.fullSynchronizations
  for (let step = 0; step <= 40; step += 1) {
    await pass(SPREAD / 40)
    if (publisher.fullSynchronizations === seen) continue
    seen = publisher.fullSynchronizations
    times.add(step)
  }
  await pass(1_000)
  await everybody('the new generation', ({ replica }) => replica.position?.generation !== before[0])
  await everybody('what came meanwhile', agent => agent.find('second') !== undefined)
  t.same(
    agents.map(({ fulls }) => fulls),
    agents.map(() => 2),
    'one at the start, one by the renewal',
  )
  t.ok(times.size > 5, `not all at once: at ${times.size} moments`)

  // Whoever comes back with the old generation gets everything once, too; with the new one nothing.
  const [first] = agents
  first?.disconnect()
  first?.connect(publisher)
  await makeContainer(model, place, 'third')
  await pass(1_000)
  await everybody('steps go on', agent => agent.find('third') !== undefined)
  t.equal(first?.fulls, 2)
  for (const agent of agents) {
    agent.disconnect()
    await agent.replica.stop()
  }
  await publisher.stop()
  await world.close()
})
