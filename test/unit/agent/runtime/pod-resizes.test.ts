/** Containers that are given more or less while they run. */
import t from 'tap'
import { needsRestart, resourceOptions, roomFor } from '../../../../agent/runtime/container-resources.ts'
import { DOCKER_LABEL } from '../../../../agent/runtime/docker-labels.ts'
import { PodResizes } from '../../../../agent/runtime/pod-resizes.ts'
import type { ContainerView, PodView } from '../../../../agent/runtime/pod-view.ts'
import { createLogger } from '../../../../kit/index.ts'
import type { Container, Pod } from '../../../../protocol/kubernetes/index.ts'

const GB = 2 ** 30

type Resources = NonNullable<Container['resources']>

const pod = (uid: string, resources: Resources, more: Partial<Container> = {}): Pod => ({
  metadata: { name: uid, namespace: 'default', uid },
  spec: { containers: [{ name: 'main', image: 'i', resources, ...more }] },
})

/** A run that was made with some resources, and has those now that Docker shows. */
function run(
  id: string,
  made: Resources | undefined,
  docker = { memory: 0, nanoCpus: 0, cpuShares: 1024 },
): ContainerView {
  const labels = made === undefined ? {} : { [DOCKER_LABEL.resources]: JSON.stringify(made) }
  const details = { id, status: 'running', labels, resources: docker }
  return { details, name: 'main', attempt: 0, sandboxId: 's' } as unknown as ContainerView
}

const viewOf = (each: ContainerView): PodView => ({ sandboxes: [], containers: new Map([['main', [each]]]) })

const cpu = (amount: string): Resources => ({ requests: { cpu: amount } })

function setUp(others: { pod: Pod; view: PodView }[] = []) {
  const world = { updates: [] as unknown[], told: [] as string[], refuses: false }
  const resizes = new PodResizes({
    engine: {
      updateResources: async (id, options) => {
        if (world.refuses) throw new Error('device or resource busy')
        world.updates.push([id, options])
      },
    },
    inventory: { refresh: async () => undefined },
    pods: () => others,
    host: { milliCpu: 4000, memory: 4 * GB },
    tell: (_, { reason }) => world.told.push(reason),
    log: createLogger('test', 'silent'),
  })
  return { world, resizes }
}

t.test('what Docker is asked for', async t => {
  t.strictSame(resourceOptions(undefined), { CpuShares: 2 })
  t.strictSame(resourceOptions({ limits: { cpu: '1500m', memory: '64Mi' }, requests: { cpu: '250m' } }), {
    ...{ Memory: 67_108_864, MemorySwap: 67_108_864, NanoCpus: 1.5e9, CpuShares: 256 },
  })
})

t.test('when a container has to be made anew', async t => {
  const container: Container = {
    ...{ name: 'main', image: 'i' },
    resizePolicy: [
      { resourceName: 'memory', restartPolicy: 'RestartContainer' },
      { resourceName: 'cpu', restartPolicy: 'NotRequired' },
    ],
  }
  t.notOk(needsRestart(container, cpu('1'), cpu('2')))
  t.ok(needsRestart(container, { limits: { memory: '64Mi' } }, { limits: { memory: '128Mi' } }))
  t.notOk(needsRestart(container, { limits: { memory: '1Gi' } }, { limits: { memory: '1024Mi' } }))
})

t.test('whether there is room', async t => {
  const host = { milliCpu: 4000, memory: 4 * GB }
  const of = (milliCpu: number, memory = 0) => ({ milliCpu, memory })
  t.equal(roomFor(of(1000), [of(3000)], host), undefined)
  t.match(roomFor(of(1001), [of(3000)], host), {
    reason: 'Deferred',
    message: /resource: cpu, requested: 1001/,
  })
  t.match(roomFor(of(1, 5 * GB), [], host), { reason: 'Infeasible', message: /capacity: memory/ })
})

t.test('a container is given what its pod asks for now', async t => {
  const { world, resizes } = setUp()
  const each = run('c1', cpu('1'))
  t.equal(resizes.decide(pod('p', cpu('1')), each, viewOf(each)), 'none')
  const wanted = pod('p', cpu('2'))
  t.equal(resizes.decide(wanted, each, viewOf(each)), 'in-place')
  t.strictSame(resizes.state('p', wanted, viewOf(each)), {
    condition: 'PodResizeInProgress',
    reason: '',
    message: '',
  })
  t.equal(await resizes.resize('p', wanted, each), undefined)
  t.strictSame(world.updates, [['c1', { CpuShares: 2048 }]])
  t.strictSame(world.told, ['ResizeCompleted'])
  t.equal(resizes.decide(wanted, each, viewOf(each)), 'none')
  t.equal(resizes.state('p', wanted, viewOf(each)), undefined)
  const restarts = { resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }] }
  const anew = pod('p', cpu('3'), restarts)
  t.equal(resizes.decide(anew, each, viewOf(each)), 'restart')
  const once = { ...anew, spec: { ...anew.spec, restartPolicy: 'Never' as const } }
  t.equal(resizes.decide(once, each, viewOf(each)), 'in-place', 'it would not come back')
})

t.test('another agent knows what a container has', async t => {
  const { resizes } = setUp()
  const changed = run('c1', cpu('1'), { memory: 0, nanoCpus: 0, cpuShares: 2048 })
  t.equal(resizes.decide(pod('p', cpu('2')), changed, viewOf(changed)), 'none', 'it was resized before')
  const waits = run('c2', cpu('1'))
  t.equal(resizes.decide(pod('q', cpu('2')), waits, viewOf(waits)), 'in-place')
  const old = run('c3', undefined)
  t.equal(resizes.decide(pod('r', cpu('2')), old, viewOf(old)), 'none', 'one of an older agent is left alone')
})

t.test('without room it waits, with what it has, also when it is started again', async t => {
  const other = run('other', cpu('2'), { memory: 0, nanoCpus: 0, cpuShares: 2048 })
  const others = [{ pod: pod('o', cpu('2')), view: viewOf(other) }]
  const { resizes } = setUp(others)
  const each = run('c1', cpu('1'))
  const wanted = pod('p', cpu('3'))
  t.equal(resizes.decide(wanted, each, viewOf(each)), 'none')
  t.match(resizes.state('p', wanted, viewOf(each)), { condition: 'PodResizePending', reason: 'Deferred' })
  t.match(resizes.state('p', pod('p', cpu('5')), viewOf(each)), { reason: 'Infeasible' })
  const [main] = wanted.spec.containers
  if (main === undefined) throw new Error('no container')
  t.strictSame(resizes.resourcesFor(wanted, main, viewOf(each)), cpu('1'))
  t.strictSame(resizes.givenTo(main, each), cpu('1'))
  others.pop()
  t.equal(resizes.decide(wanted, each, viewOf(each)), 'in-place')
  t.strictSame(resizes.resourcesFor(wanted, main, viewOf(each)), cpu('3'))
})

t.test('one that cannot be done is told and tried again', async t => {
  const { world, resizes } = setUp()
  world.refuses = true
  const each = run('c1', cpu('1'))
  const wanted = pod('p', cpu('2'))
  t.type(await resizes.resize('p', wanted, each), 'number')
  t.strictSame(resizes.state('p', wanted, viewOf(each)), {
    ...{ condition: 'PodResizeInProgress', reason: 'Error', message: 'device or resource busy' },
  })
  world.refuses = false
  await resizes.resize('p', wanted, each)
  t.equal(resizes.state('p', wanted, viewOf(each)), undefined)
})
