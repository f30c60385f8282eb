import t from 'tap'
import type { HealthState } from '../../../../../protocol/index.ts'
import { serviceHealth, stackHealth } from '../../../../../server/controller/health/summary.ts'
import { type Container, isServing, shownHealth } from '../../../../../server/model/index.ts'

type Seen = Pick<Container, 'state' | 'health' | 'ready'>
const plain: Seen = { state: 'running' }
const checked = (state: HealthState): Seen => ({
  state: 'running',
  health: { state, epoch: 1, checkers: [] },
})

t.test('checks and readiness both count', async t => {
  t.equal(shownHealth(plain), undefined)
  t.equal(shownHealth({ ...plain, ready: true }), undefined)
  t.equal(shownHealth({ ...plain, ready: false }), 'initializing')
  t.equal(shownHealth({ ...plain, state: 'stopped', ready: false }), undefined)
  t.equal(shownHealth({ ...checked('healthy'), ready: false }), 'unhealthy')
  t.equal(shownHealth({ ...checked('reinitializing'), ready: false }), 'reinitializing')
  t.equal(shownHealth({ ...checked('unhealthy'), ready: true }), 'unhealthy')
})

t.test('who serves', async t => {
  t.ok(isServing(plain, false))
  t.notOk(isServing(plain, true), 'nobody has checked it yet')
  t.ok(isServing(checked('healthy'), true))
  t.notOk(isServing(checked('initializing'), true))
  t.notOk(isServing({ ...plain, ready: false }, false))
})

t.test('services', async t => {
  t.equal(serviceHealth([plain, checked('healthy')], 2), 'healthy')
  t.equal(serviceHealth([plain, checked('initializing')], 2), 'initializing')
  t.equal(serviceHealth([plain, checked('unhealthy')], 2), 'degraded')
  t.equal(serviceHealth([checked('unhealthy'), checked('updating-unhealthy')], 2), 'unhealthy')
  t.equal(serviceHealth([plain], 2), 'degraded', 'one is missing')
  t.equal(serviceHealth([], 2), 'initializing')
  t.equal(serviceHealth([], 0), 'healthy')
  t.equal(serviceHealth([plain, { state: 'removing' }], 1), 'healthy')
})

t.test('stacks', async t => {
  t.equal(stackHealth([]), 'healthy')
  t.equal(stackHealth(['healthy', undefined]), 'healthy')
  t.equal(stackHealth(['healthy', 'initializing']), 'initializing')
  t.equal(stackHealth(['healthy', 'unhealthy']), 'degraded')
  t.equal(stackHealth(['unhealthy', 'unhealthy']), 'unhealthy')
})
