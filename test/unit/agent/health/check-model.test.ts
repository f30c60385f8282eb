import t from 'tap'
import { checkModel, serverCheckOf } from '../../../../agent/health/check-model.ts'
import { targetOf } from '../../../../agent/health/targets.ts'
import { requireModel } from '../../../../lb/index.ts'
import type { InstanceInfo } from '../../../../protocol/index.ts'

const check = {
  ...{ port: 80, interval: 2000, responseTimeout: 1000, healthyThreshold: 2, unhealthyThreshold: 3 },
  initializingTimeout: 120_000,
}

const target = (containerUuid: string, more: object = {}) => {
  const whole = { ...check, ...more }
  return {
    containerUuid,
    epoch: 1,
    address: '192.0.2.9',
    local: false,
    check: whole,
    serverCheck: serverCheckOf(whole),
  }
}

t.test('who is checked', async t => {
  const instance = {
    ...{
      infoType: 'instance',
      uuid: 'u',
      state: 'running',
      primaryIp: '192.0.2.9',
      startCount: 4,
      hostUuid: 'h2',
    },
    ...{ healthCheck: check, healthCheckHosts: ['h1', 'h3'] },
  } as unknown as InstanceInfo
  t.match(targetOf(instance, 'h1'), { containerUuid: 'u', epoch: 4, address: '192.0.2.9', local: false })
  t.equal(targetOf({ ...instance, hostUuid: 'h1' }, 'h1')?.local, true)
  t.equal(targetOf(instance, 'h2'), undefined)
  t.equal(targetOf({ ...instance, state: 'stopped' }, 'h1'), undefined)
  t.equal(targetOf({ ...instance, healthCheck: { ...check, port: 0 } }, 'h1'), undefined)
})

t.test('containers with the same check share a backend and keep their slots', async t => {
  const first = checkModel({
    targets: [target('a'), target('b'), target('c', { requestLine: 'GET /ping HTTP/1.0' })],
    ...{ up: () => false, address: '192.0.2.1', previous: undefined },
  })
  requireModel(first)
  t.equal(first.backends.length, 2)
  t.strictSame(first.backends.map(({ mode }) => mode).toSorted(), ['http', 'tcp'])
  const tcp = first.backends.find(({ mode }) => mode === 'tcp')
  t.match(tcp, { check: { port: 80, interval: 2000, timeout: 1000, rise: 2, fall: 3 } })
  t.strictSame(
    tcp?.slots.map(slot => slot?.id),
    ['a/1', 'b/1', undefined, undefined],
  )
  const second = checkModel({
    targets: [target('b'), { ...target('a'), epoch: 2 }],
    ...{ up: (slot: string) => slot === 'b/1', address: '192.0.2.1', previous: first },
  })
  t.match(
    second.backends[0]?.slots.map(slot => slot && [slot.id, slot.initially]),
    [undefined, ['b/1', 'up'], ['a/2', 'down'], undefined],
  )
})

t.test('a request line that is not one is refused', async t => {
  t.throws(() => serverCheckOf({ ...check, requestLine: 'GET / HTTP/1.1\\r\\nevil' }), {
    code: 'InvalidModel',
  })
})
