/** The health of containers in a real store, with time that a test moves on. */
import path from 'node:path'
import t, { type Test } from 'tap'
import { sleep, withDeadline } from '../../../../../kit/index.ts'
import type { HealthVerdict } from '../../../../../protocol/index.ts'
import { HealthController, ReplacementController } from '../../../../../server/controller/index.ts'
import type { Container, Host, Model, Service } from '../../../../../server/model/index.ts'
import { healthCheckDefaults } from '../../../../../server/model/index.ts'
import { ManualClock } from '../../master/manual-clock.ts'
import {
  launchConfig,
  log,
  makeCluster,
  makeContainer,
  makeHost,
  makeService,
  makeStack,
  openWorld,
  temporaryDirectory,
} from '../../metadata/world.ts'

interface Scene {
  readonly model: Model
  readonly clock: ManualClock
  readonly health: HealthController
  readonly hosts: readonly Host[]
  readonly service: Service
  readonly containers: readonly Container[]
  /** The newest version of a container. */
  now(index: number): Container | undefined
  /** What a checker says of a container. */
  says(
    host: Host | undefined,
    index: number,
    verdict: HealthVerdict['verdict'],
    more?: Partial<HealthVerdict>,
  ): void
  checkers(index: number): Host[]
  /** Waits until changes make `condition` true. */
  until(what: string, condition: () => boolean): Promise<void>
}

/** Five hosts, and a service of four whose containers run on the first host. */
async function makeScene(t: Test): Promise<Scene> {
  const world = await openWorld(path.join(await temporaryDirectory(t), 'store.db'))
  const { model } = world
  const { cluster, project, host } = await makeCluster(model, 'one')
  const more = [1, 2, 3, 4].map(number => makeHost(model, cluster.id, `host-${number}`, `192.0.2.${number}`))
  const hosts = [host, ...(await Promise.all(more))]
  const stack = await makeStack(model, project, 'shop')
  const healthCheck = { ...healthCheckDefaults, port: 80 }
  const service = await makeService(model, stack, 'web', {
    scale: 4,
    launchConfig: launchConfig('web', { healthCheck }),
  })
  const place = { clusterId: cluster.id, accountId: project.id }
  const containers: Container[] = []
  for (const serviceIndex of [1, 2, 3, 4]) {
    const unit = await model.deploymentUnits.create({
      name: `shop-web-${serviceIndex}`,
      state: 'active',
      ...place,
      stackId: stack.id,
      serviceId: service.id,
      serviceIndex,
      launchVersion: '1',
      externalId: `pod-${serviceIndex}`,
      hostId: host.id,
    })
    containers.push(
      await makeContainer(model, place, `shop-web-${serviceIndex}`, {
        stackId: stack.id,
        serviceId: service.id,
        deploymentUnitId: unit.id,
        launchConfigName: 'web',
        hostId: host.id,
      }),
    )
  }
  const clock = new ManualClock()
  const health = new HealthController(model, log, clock)
  const replacement = new ReplacementController(model, health, log, clock)
  for (const { id } of hosts) health.connectionChanged(id, true)
  await health.start()
  await replacement.start()
  t.teardown(async () => {
    await health.stop()
    await replacement.stop()
    await world.close()
  })
  const now = (index: number) => model.containers.get(containers[index]?.id ?? '')
  const until = async (what: string, condition: () => boolean) => {
    await withDeadline(10_000, what, async signal => {
      while (!condition()) await sleep(5, signal)
    })
  }
  const scene: Scene = {
    ...{ model, clock, health, hosts, service, containers, now, until },
    says: (by, index, verdict, fields = {}) => {
      const container = now(index)
      if (by === undefined || container === undefined)
        throw new Error('nobody to say it, or nothing to say it of')
      const proof = hosts.find(({ id }) => id !== by.id && id !== host.id)
      health.take(by.id, [
        {
          containerUuid: container.uuid,
          epoch: container.startCount,
          verdict,
          reason: 'L4OK',
          validFor: 30_000,
          ...(verdict === 'down' && proof !== undefined ? { proof: { hostUuid: proof.uuid } } : {}),
          ...fields,
        },
      ])
    },
    checkers: index => {
      const uuids = now(index)?.health?.checkers ?? []
      return uuids.flatMap(uuid => hosts.find(each => each.uuid === uuid) ?? [])
    },
  }
  await until('everything is checked', () =>
    containers.every((_, index) => scene.checkers(index).length === 3),
  )
  return scene
}

t.test('a container is healthy while one checker says so', async t => {
  const scene = await makeScene(t)
  const { hosts, now, says, checkers, until, model, service, health } = scene
  t.notOk(
    checkers(0).some(({ id }) => id === hosts[0]?.id),
    'its own host does not check it',
  )
  t.equal(now(0)?.health?.state, 'initializing')
  const [a, b, c] = checkers(0)
  const stranger = hosts.slice(1).find(host => ![a, b, c].includes(host))
  says(stranger, 0, 'up')
  says(a, 0, 'up', { epoch: 0 })
  says(b, 0, 'unknown')
  says(c, 0, 'up')
  await until('healthy', () => now(0)?.health?.state === 'healthy')
  const states = health.checkerStates(now(0) as Container)
  t.strictSame(
    new Map(states.map(({ hostId, healthState }) => [hostId, healthState])).get(c?.id ?? ''),
    'healthy',
  )
  t.equal(states.filter(({ healthState }) => healthState === 'healthy').length, 1, 'nobody else was heard')
  for (const index of [1, 2, 3]) for (const host of checkers(index)) says(host, index, 'up')
  await until('the service is', () => model.services.get(service.id)?.healthState === 'healthy')
  await until('and the stack', () => model.stacks.get(service.stackId)?.healthState === 'healthy')

  const unit = now(0)?.deploymentUnitId ?? ''
  says(c, 0, 'down', { proof: { hostUuid: c?.uuid ?? '' } })
  says(a, 0, 'down')
  says(b, 0, 'up')
  says(b, 0, 'unknown')
  await until('unhealthy', () => now(0)?.health?.state !== 'healthy' || now(0) === undefined)
  await until('replaced', () => model.deploymentUnits.get(unit)?.state === 'removing')
})

t.test('who reaches nobody has no say', async t => {
  const { now, says, checkers, until, clock } = await makeScene(t)
  const [a, b, c] = checkers(0)
  for (const host of [a, b, c]) says(host, 0, 'up')
  await until('healthy', () => now(0)?.health?.state === 'healthy')
  for (const host of [a, b, c]) says(host, 0, 'down', { proof: { hostUuid: 'a stranger' } })
  says(checkers(1)[0], 1, 'up')
  await until('another is healthy', () => now(1)?.health?.state === 'healthy')
  clock.advance(60_000)
  says(checkers(2)[0], 2, 'up')
  await until('and a third', () => now(2)?.health?.state === 'healthy')
  t.equal(now(0)?.health?.state, 'healthy')
})

t.test('checkers that are lost are replaced', async t => {
  const { now, says, checkers, until, clock, health, hosts } = await makeScene(t)
  const [lost, ...rest] = checkers(0)
  for (const host of [lost, ...rest]) says(host, 0, 'up')
  await until('healthy', () => now(0)?.health?.state === 'healthy')
  health.connectionChanged(lost?.id ?? '', false)
  clock.advance(2_999)
  t.ok(
    checkers(0).some(({ id }) => id === lost?.id),
    'its agent may merely start again',
  )
  clock.advance(1)
  await until('another one', () => !checkers(0).some(({ id }) => id === lost?.id))
  t.equal(checkers(0).length, 3)
  t.ok(
    rest.every(host => checkers(0).includes(host)),
    'the others go on',
  )
  t.equal(now(0)?.health?.state, 'healthy')
  for (const { id } of hosts.slice(1)) health.connectionChanged(id, false)
  clock.advance(3_000)
  await until('the own host is the only one', () => checkers(0)[0]?.id === hosts[0]?.id)
  says(hosts[0], 0, 'down', {})
  await until('it needs no proof', () => now(0)?.health?.state !== 'healthy')
})

t.test('a later run begins anew', async t => {
  const { now, says, checkers, until, model, containers } = await makeScene(t)
  for (const host of checkers(0)) says(host, 0, 'up')
  await until('healthy', () => now(0)?.health?.state === 'healthy')
  await model.containers.update(containers[0]?.id ?? '', current => ({ ...current, startCount: 2 }))
  await until('reinitializing', () => now(0)?.health?.state === 'reinitializing')
  says(checkers(0)[0], 0, 'up', { epoch: 1 })
  says(checkers(0)[0], 0, 'up', { epoch: 2 })
  await until('healthy again', () => now(0)?.health?.state === 'healthy')
})

t.test('what does not start in time is replaced, one after the other', async t => {
  const { says, checkers, until, clock, model, service, containers, now } = await makeScene(t)
  clock.advance(110_000)
  for (const index of containers.keys()) for (const host of checkers(index)) says(host, index, 'down')
  clock.advance(10_001)
  await until('all are unhealthy', () =>
    containers.every((_, index) => now(index)?.health?.state.includes('unhealthy')),
  )
  const units = () => model.deploymentUnits.where('service', service.id)
  await until('the service is', () => model.services.get(service.id)?.healthState === 'unhealthy')
  await until('one goes', () => units().some(({ state }) => state === 'removing'))
  t.equal(units().filter(({ state }) => state === 'removing').length, 1)
  t.equal(now(0)?.health?.state, 'updating-unhealthy')
})

t.test('without a check nothing is said', async t => {
  const { until, model, service, now } = await makeScene(t)
  await model.services.update(service.id, current => ({ ...current, launchConfig: launchConfig('web') }))
  await until('forgotten', () => now(0)?.health === undefined && now(3)?.health === undefined)
  t.pass()
})
