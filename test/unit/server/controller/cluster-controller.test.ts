import t from 'tap'
import { createLogger } from '../../../../kit/index.ts'
import { ClusterController, type ClusterMaster } from '../../../../server/controller/index.ts'
import type { Model } from '../../../../server/model/index.ts'
import { temporaryModel } from '../temporary-model.ts'

const log = createLogger('test', 'silent')

interface World {
  readonly model: Model
  readonly controller: ClusterController
  /** What the embedded master has. */
  readonly masters: Set<string>
}

async function world(
  test: { teardown(work: () => Promise<void>): unknown },
  beforeCreation: (id: string) => Promise<void> = async () => {},
): Promise<World> {
  const { model } = await temporaryModel(test)
  const masters = new Set<string>()
  const master: ClusterMaster = {
    createCluster: async id => {
      await beforeCreation(id)
      masters.add(id)
    },
    deleteCluster: async id => void masters.delete(id),
  }
  const controller = new ClusterController(model, master, log)
  test.teardown(() => controller.stop())
  return { model, controller, masters }
}

t.test('each cluster has one of everything', async t => {
  const { model, controller, masters } = await world(t)
  await controller.start()
  t.same(
    [...model.clusters.all()].map(({ name, state }) => ({ name, state })),
    [{ name: 'default', state: 'active' }],
    'there is one to begin with',
  )
  const names = Array.from({ length: 12 }, (_, number) => `c${number}`)
  const made = await Promise.all(names.map(name => controller.create(name)))
  for (const cluster of made) {
    const projects = model.projects.where('cluster', cluster.id)
    t.same(projects.map(({ name }) => name).sort(), ['Default', 'System'], cluster.name)
    t.equal(model.networks.where('cluster', cluster.id).length, 1)
    t.equal(cluster.state, 'active')
    t.ok(cluster.systemProjectId !== undefined && cluster.defaultProjectId !== undefined)
    t.ok(masters.has(cluster.id))
  }
})

t.test('a cluster that is removed while it is made leaves nothing', async t => {
  const reached = Promise.withResolvers<string>()
  const goOn = Promise.withResolvers<void>()
  let held = false
  const { model, controller, masters } = await world(t, async id => {
    if (held) return
    held = model.clusters.get(id)?.name === 'short'
    if (!held) return
    reached.resolve(id)
    await goOn.promise
  })
  await controller.start()
  const creation = controller.create('short')
  const refused = t.rejects(creation, { code: 'NotFound' }, 'whoever made it is told')
  const id = await reached.promise
  await model.clusters.update(id, current => ({ ...current, state: 'removing' as const }))
  await refused
  const gone = new Promise<void>(resolve =>
    model.clusters.onChange((cluster, previous) => {
      if (cluster === undefined && previous?.id === id) resolve()
    }),
  )
  goOn.resolve()
  // The environments end by controllers of their own, which are not here.
  model.projects.onChange(project => {
    if (project?.state === 'removing') void model.projects.delete(project.id)
  })
  await gone
  t.notOk(masters.has(id))
  t.same(model.projects.where('cluster', id), [])
  t.same(model.networks.where('cluster', id), [])
})

t.test('what comes to a cluster that is being removed goes with it', async t => {
  const { model, controller } = await world(t)
  await controller.start()
  const { id } = await controller.create('short')
  const removed: string[] = []
  const gone = new Promise<void>(resolve =>
    model.clusters.onChange((cluster, previous) => {
      if (cluster === undefined && previous?.id === id) resolve()
    }),
  )
  let late = false
  model.projects.onChange(project => {
    if (project?.state !== 'removing' || removed.includes(project.id)) return
    removed.push(project.id)
    const before = late
    late = true
    const fields = {
      name: 'late',
      state: 'active' as const,
      clusterId: id,
      clusterOwner: false,
      externalId: 'late',
    }
    void (before ? Promise.resolve() : model.projects.create(fields)).then(() =>
      model.projects.delete(project.id),
    )
  })
  await model.clusters.update(id, current => ({ ...current, state: 'removing' as const }))
  await gone
  t.equal(removed.length, 3)
  t.same(model.projects.where('cluster', id), [])
})
