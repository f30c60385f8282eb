import t from 'tap'
import { createLogger } from '../../../../kit/index.ts'
import { type ContainerReport, LABEL } from '../../../../protocol/index.ts'
import { nodeNameOf } from '../../../../server/controller/host-registry.ts'
import {
  AddressBlocks,
  BalancerReports,
  ContainerSync,
  HostRegistry,
} from '../../../../server/controller/index.ts'
import type { Container, Model } from '../../../../server/model/index.ts'
import { ManualClock } from '../master/manual-clock.ts'
import { makeContainer } from '../metadata/world.ts'
import { temporaryModel } from '../temporary-model.ts'

const log = createLogger('test', 'silent')

interface World {
  readonly model: Model
  readonly sync: ContainerSync
  readonly hosts: HostRegistry
  readonly clusterId: string
  readonly hostId: string
  readonly projectId: string
}

async function world(test: { teardown(work: () => Promise<void>): unknown }): Promise<World> {
  const { model } = await temporaryModel(test)
  const cluster = await model.clusters.create({
    name: 'c',
    state: 'active',
    embedded: true,
    clusterBlock: '10.42.0.0/24',
  })
  const project = (name: string, externalId: string) =>
    model.projects.create({ name, state: 'active', clusterId: cluster.id, clusterOwner: false, externalId })
  const [systemProject, defaultProject] = [
    await project('System', 'cattle-system'),
    await project('Default', 'default'),
  ]
  await model.clusters.update(cluster.id, current => ({
    ...current,
    systemProjectId: systemProject.id,
    defaultProjectId: defaultProject.id,
  }))
  const hosts = new HostRegistry(model)
  const { hostId } = await hosts.register({ key: 'a'.repeat(64), hostname: 'Host_1' }, cluster.id)
  return {
    model,
    sync: new ContainerSync(model, log),
    hosts,
    clusterId: cluster.id,
    hostId,
    projectId: defaultProject.id,
  }
}

function report(identity: string, fields: Partial<ContainerReport> = {}): ContainerReport {
  return {
    identity,
    externalId: `docker-${identity}`,
    name: identity,
    image: 'i',
    state: 'running',
    createdAt: '2026-01-01T00:00:00Z',
    startedAt: '2026-01-01T00:00:01Z',
    hostname: 'h',
    command: [],
    labels: {},
    networkMode: 'default',
    ports: [],
    hidden: false,
    startCount: 1,
    ...fields,
  }
}

const message = (fields: Partial<Parameters<ContainerSync['apply']>[1]>) => ({
  type: 'containers' as const,
  full: false,
  changed: [],
  removed: [],
  problems: [],
  ...fields,
})

function only(model: Model): Container {
  const [container] = [...model.containers.all()]
  if (container === undefined) throw new Error('there is no container')
  return container
}

t.test('a container that was started by hand', async t => {
  const { model, sync, hostId, projectId } = await world(t)
  await sync.apply(hostId, message({ changed: [report('x', { primaryIp: '172.17.0.2' })] }))
  t.match(only(model), {
    name: 'x',
    state: 'running',
    nativeContainer: true,
    hostId,
    accountId: projectId,
    primaryIpAddress: '172.17.0.2',
    startCount: 1,
  })
  await sync.apply(hostId, message({ changed: [report('x', { state: 'exited', exitCode: 3 })] }))
  t.match(only(model), { state: 'stopped', exitCode: 3, startCount: 1 })
  await sync.apply(hostId, message({ changed: [report('x', { startedAt: '2026-01-01T00:00:09Z' })] }))
  t.match(only(model), { state: 'running', startCount: 2 })
  t.equal(only(model).exitCode, undefined)
  await sync.apply(hostId, message({ removed: ['x'] }))
  t.equal(model.containers.size, 0)
})

t.test('environments of pods: by namespace, made when there is none', async t => {
  const { model, sync, hostId } = await world(t)
  const pod = (namespace: string, name: string, container: string) =>
    report(`pod:${name}/${container}`, { pod: { namespace, name, uid: name, container } })
  await sync.apply(
    hostId,
    message({
      changed: [pod('kube-system', 'dns', 'dns'), pod('team', 'web-1', 'web'), pod('team', 'web-1', 'log')],
    }),
  )
  const shown = [...model.containers.all()].map(({ name, accountId }) => [
    name,
    model.projects.get(accountId)?.externalId,
  ])
  t.strictSame(shown, [
    ['dns', 'cattle-system'],
    ['web-1', 'team'],
    ['web-1-log', 'team'],
  ])
  t.equal([...model.projects.all()].filter(({ externalId }) => externalId === 'team').length, 1)
})

t.test('a full report removes what it does not mention, and only of its host', async t => {
  const { model, sync, hosts, hostId, clusterId } = await world(t)
  const other = await hosts.register({ key: 'b'.repeat(64), hostname: 'Host_1' }, clusterId)
  t.equal(other.nodeName, 'host-1-2', 'the same hostname gets a number')
  await sync.apply(hostId, message({ changed: [report('a'), report('b')] }))
  await sync.apply(other.hostId, message({ changed: [report('c')] }))
  await sync.apply(hostId, message({ full: true, changed: [report('b')] }))
  t.strictSame([...model.containers.all()].map(({ name }) => name).sort(), ['b', 'c'])
})

t.test('containers of units are told about, never made or removed, by reports', async t => {
  const { model, sync, hostId, clusterId, projectId } = await world(t)
  const unit = { 'io.rancher.service.deployment.unit': 'u' }
  await sync.apply(hostId, message({ changed: [report('unknown', { labels: unit })] }))
  t.equal(model.containers.size, 0, 'one of a unit that is gone is nobody’s discovery')
  await model.containers.create({
    name: 'web-1',
    state: 'starting',
    clusterId,
    accountId: projectId,
    deploymentUnitId: '1du1',
    identity: 'known',
    image: 'i',
    command: [],
    labels: unit,
    networkMode: 'managed',
    ports: [],
    startCount: 0,
    createIndex: 1,
    nativeContainer: false,
    hidden: false,
    system: false,
  })
  await sync.apply(hostId, message({ problems: [{ uuid: 'known', reason: 'ErrImagePull', message: 'no' }] }))
  t.match(only(model), { state: 'error', transitioningMessage: 'ErrImagePull: no' })
  await sync.apply(hostId, message({ changed: [report('known', { labels: unit, primaryIp: '10.42.0.5' })] }))
  t.match(only(model), { state: 'running', primaryIpAddress: '10.42.0.5', nativeContainer: false })
  t.equal(only(model).transitioningMessage, undefined, 'a container that runs has no problem')
  const both = { labels: unit, primaryIp: '10.42.0.5', primaryIpv6: 'fd42::a2a:5' }
  await sync.apply(hostId, message({ changed: [report('known', both)] }))
  t.equal(only(model).primaryIpv6Address, 'fd42::a2a:5')
  await sync.apply(hostId, message({ changed: [report('known', { labels: unit, state: 'exited' })] }))
  t.equal(only(model).primaryIpv6Address, 'fd42::a2a:5', 'as the other one, it stays')
  await sync.apply(hostId, message({ changed: [report('known', { labels: unit, primaryIp: '10.42.0.5' })] }))
  t.equal(only(model).primaryIpv6Address, undefined, 'until it runs without')
  await sync.apply(hostId, message({ changed: [report('known', both)] }))
  await sync.apply(hostId, message({ removed: ['known'] }))
  t.match(only(model), { state: 'starting', primaryIpv6Address: undefined })
  t.equal(only(model).externalId, undefined)
  await model.containers.update(only(model).id, current => ({ ...current, state: 'removing' }))
  await sync.apply(hostId, message({ changed: [report('known', { labels: unit })] }))
  t.equal(only(model).state, 'removing', 'what goes does not come back by a late report')
})

t.test('nobody becomes the container of somebody else', async t => {
  const { model, sync, hosts, hostId, projectId, clusterId } = await world(t)
  const pod = { namespace: 'default', name: 'web', uid: 'u1', container: 'web' }
  await sync.apply(hostId, message({ changed: [report('known', { pod, primaryIp: '10.42.0.5' })] }))
  const before = only(model)
  t.equal(before.accountId, projectId)

  const taken = { externalId: 'mine', primaryIp: '10.42.0.66' }
  const foreign = { ...taken, pod: { ...pod, namespace: 'sly', uid: 'u2' } }
  await sync.apply(hostId, message({ changed: [report('known', foreign)] }))
  t.strictSame(only(model), before, 'by a pod of another namespace')

  const cluster = await model.clusters.create({
    ...{ name: 'other', state: 'active', embedded: true, clusterBlock: '10.42.0.0/24' },
  })
  const elsewhere = await hosts.register({ key: 'c'.repeat(64), hostname: 'elsewhere' }, cluster.id)
  const same = { identity: 'known', externalId: 'mine', state: 'running' as const }
  const status = { type: 'status' as const, containers: [same], load: 0, memoryFree: 0 }
  const problem = { uuid: 'known', reason: 'ErrImagePull', message: 'no' }
  await sync.apply(
    elsewhere.hostId,
    message({ changed: [report('known', { ...taken, pod })], problems: [problem] }),
  )
  t.strictSame(only(model), before, 'by a host of another cluster')
  t.notOk(sync.differs(elsewhere.hostId, status), 'which is not asked again for it')

  const neighbour = await hosts.register({ key: 'd'.repeat(64), hostname: 'neighbour' }, clusterId)
  await sync.apply(neighbour.hostId, message({ problems: [problem] }))
  t.strictSame(only(model), before, 'nor knows a host better that does not run it')
})

t.test('a status packet that differs is noticed', async t => {
  const { sync, hostId } = await world(t)
  await sync.apply(hostId, message({ changed: [report('a')] }))
  const status = (containers: { identity: string; externalId: string; state: 'running' | 'exited' }[]) => ({
    type: 'status' as const,
    containers,
    load: 0,
    memoryFree: 0,
  })
  const same = { identity: 'a', externalId: 'docker-a', state: 'running' as const }
  t.notOk(sync.differs(hostId, status([same])))
  t.ok(sync.differs(hostId, status([])), 'one is missing')
  t.ok(sync.differs(hostId, status([{ ...same, state: 'exited' }])))
  t.ok(sync.differs(hostId, status([{ ...same, externalId: 'other' }])))
})

t.test('registering again: the same host, new credentials, the old ones gone', async t => {
  const { model, hosts, hostId, clusterId } = await world(t)
  const before = [...model.apiKeys.all()].map(({ publicValue }) => publicValue)
  const again = await hosts.register({ key: 'a'.repeat(64), hostname: 'renamed' }, clusterId)
  t.equal(again.hostId, hostId)
  t.equal(model.hosts.size, 1)
  t.strictSame(
    [...model.apiKeys.all()].map(({ publicValue }) => publicValue),
    [again.accessKey],
  )
  t.notSame(before, [again.accessKey])
  await model.hosts.update(hostId, current => ({ ...current, state: 'removing' as const }))
  const late = { key: 'a'.repeat(64), hostname: 'late' }
  await t.rejects(hosts.register(late, clusterId), { code: 'BeingRemoved' }, 'not while it goes')
  await model.clusters.update(clusterId, current => ({ ...current, state: 'removing' as const }))
  const other = { key: 'b'.repeat(64), hostname: 'other' }
  await t.rejects(hosts.register(other, clusterId), { code: 'BeingRemoved' }, 'nor to a cluster that goes')
  t.equal(model.hosts.size, 1)
  t.equal(nodeNameOf('___'), 'host')
  t.equal(nodeNameOf('Web Server.example'), 'web-server.example')
})

t.test('address blocks: never the same twice, the first never, until none is left', async t => {
  const { model, clusterId } = await world(t)
  const blocks = new AddressBlocks(model)
  const given = await Promise.all(['1h1', '1h2', '1h3'].map(host => blocks.ensure(clusterId, host, 1)))
  t.strictSame(given.flat().sort(), ['10.42.0.128/26', '10.42.0.192/26', '10.42.0.64/26'])
  t.strictSame(await blocks.ensure(clusterId, '1h1', 1), given[0], 'asking again gives no more')
  await t.rejects(blocks.ensure(clusterId, '1h1', 2), { code: 'NoAddressBlock' })
  await blocks.release('1h2')
  t.equal((await blocks.ensure(clusterId, '1h1', 2)).length, 2)
})

t.test(
  'a container is drained when all balancers have spoken since, and none has a client for it',
  async t => {
    const { model, clusterId, hostId, projectId } = await world(t)
    const clock = new ManualClock()
    const reports = new BalancerReports(model, clock)
    const make = async (name: string, labels: Record<string, string>) =>
      await makeContainer(model, { clusterId, accountId: projectId }, name, {
        hostId,
        labels,
        state: 'running',
      })
    const target = await make('target', {})
    const [first, second] = [
      await make('one', { [LABEL.balancer]: 'true' }),
      await make('two', { [LABEL.balancer]: 'true' }),
    ]
    const say = async (balancer: Container, ...leaving: { containerUuid: string; busy: boolean }[]) =>
      await reports.take(hostId, [{ containerUuid: balancer.uuid, problems: [], statistics: [], leaving }])
    const [busy, idle] = [true, false].map(each => ({ containerUuid: target.uuid, busy: each })) as [
      { containerUuid: string; busy: boolean },
      { containerUuid: string; busy: boolean },
    ]
    await say(first, idle)
    await say(second)
    t.notOk(reports.isDrained(target, 1_000), 'too early to know')
    clock.advance(5_000)
    t.notOk(reports.isDrained(target, 6_000), 'said too early')
    await say(first, idle)
    t.notOk(reports.isDrained(target, 5_000), 'one has said nothing since')
    await say(second)
    t.ok(reports.isDrained(target, 5_000))
    await say(second, busy)
    t.notOk(reports.isDrained(target, 5_000), 'one has a client')
    await say(first)
    await say(second)
    t.notOk(reports.isDrained(target, 5_000), 'nobody knows it')
  },
)
