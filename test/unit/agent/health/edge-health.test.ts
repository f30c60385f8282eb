/** How hosts decide without a server. */
import t from 'tap'
import { agree, type HostVote, OBJECTION_TIME } from '../../../../agent/health/agreement.ts'
import { EdgeHealth, withOpinion } from '../../../../agent/health/index.ts'
import { MetadataModel } from '../../../../agent/metadata/index.ts'
import { createLogger } from '../../../../kit/index.ts'
import type { HealthVerdict } from '../../../../protocol/index.ts'
import { container, environment, host, service, stack } from '../metadata/objects.ts'

const vote = (verdict: HostVote['verdict'], since = 0, expires = 30_000): HostVote => ({
  verdict,
  since,
  expires,
})

t.test('agreement', async t => {
  const cases: [string, Record<string, HostVote>, number, string, number][] = [
    ['nobody says anything', {}, 0, 'none', Number.POSITIVE_INFINITY],
    ['all say down', { a: vote('down'), b: vote('down'), c: vote('down') }, 0, 'down', 30_000],
    ['one says up', { a: vote('down'), b: vote('up'), c: vote('down') }, 9000, 'up', 30_000],
    ['others may object', { a: vote('down', 100) }, 200, 'none', 100 + OBJECTION_TIME],
    ['nobody objected', { a: vote('down', 100) }, 100 + OBJECTION_TIME, 'down', 30_000],
    ['who knows nothing does not object', { a: vote('down', 100), b: vote('unknown') }, 9000, 'down', 30_000],
    ['what was said is over', { a: vote('down', 0, 50) }, 60, 'none', Number.POSITIVE_INFINITY],
    ['strangers do not count', { x: vote('down') }, 9000, 'none', Number.POSITIVE_INFINITY],
  ]
  for (const [name, votes, now, opinion, until] of cases) {
    t.strictSame(agree(['a', 'b', 'c'], new Map(Object.entries(votes)), now), { opinion, until }, name)
  }
})

const production = environment('Production')
const web = service('web', stack('shop', production))
const here = host('here')
const there = host('there', { agentIp: '192.0.2.2' })
const healthy = container('web-1', web, {
  primaryIp: '10.42.0.1',
  hostUuid: there.uuid,
  healthState: 'healthy',
  startCount: 3,
  healthCheckHosts: [here.uuid, 'host-third'],
})

t.test('what hosts find stands beside what the server said', async t => {
  const down = withOpinion(healthy, 'down')
  t.match(down, { healthState: 'unhealthy', serverHealthState: 'healthy' })
  t.equal(withOpinion(down, 'down'), down)
  t.strictSame(withOpinion(down, 'none'), healthy)
  t.strictSame(withOpinion(down, 'up'), healthy)
  t.equal(withOpinion(healthy, 'up'), healthy)
  const { healthState: _state, ...unsaid } = healthy
  t.match(withOpinion(unsaid, 'down'), { serverHealthState: '' })
  t.strictSame(withOpinion(withOpinion(unsaid, 'down'), 'none'), unsaid)
})

t.test('hosts tell each other', async t => {
  const model = new MetadataModel()
  model.apply([production, web, here, there, healthy], [])
  let later = 0
  const clock = {
    now: () => Date.now(),
    monotonic: () => performance.now() + later,
    after: (milliseconds: number, callback: () => void) => {
      const timer = setTimeout(callback, Math.min(milliseconds, 10))
      return () => clearTimeout(timer)
    },
  }
  const sent: HealthVerdict[][] = []
  let connected = false
  const edge = new EdgeHealth({
    model,
    hostUuid: here.uuid,
    connected: () => connected,
    send: async verdicts => void sent.push([...verdicts]),
    log: createLogger('test', 'silent'),
    clock,
  })
  await edge.start()
  t.teardown(() => edge.stop())
  const says = (verdict: HealthVerdict['verdict'], more: Partial<HealthVerdict> = {}): HealthVerdict => ({
    ...{ containerUuid: healthy.uuid, epoch: 3, verdict, reason: '', validFor: 30_000 },
    ...(verdict === 'down' ? { proof: { hostUuid: 'host-third' } } : {}),
    ...more,
  })
  const state = () => model.get('instance', healthy.uuid)?.healthState
  /** Resolves when the model says so. */
  const becomes = async (wanted: string) => {
    while (state() !== wanted) await new Promise(resolve => setTimeout(resolve, 5))
  }

  edge.found([says('up')])
  t.strictSame(sent, [], 'that all is well is no news')
  edge.heard('host-third', [says('down')])
  t.match(sent.pop(), [{ verdict: 'up' }], 'who finds it up objects')
  t.equal(state(), 'healthy')

  edge.found([says('down')])
  t.match(sent.pop(), [{ verdict: 'down' }])
  await becomes('unhealthy')
  edge.heard('host-third', [says('up')])
  await becomes('healthy')

  edge.heard('host-third', [says('down', { epoch: 2 })])
  edge.heard('host-stranger', [says('down')])
  edge.heard('host-third', [{ ...says('down'), proof: undefined } as never])
  t.equal(state(), 'healthy', 'earlier runs, strangers and those who reach nobody say nothing')

  edge.heard('host-third', [says('down')])
  await becomes('unhealthy')
  connected = true
  edge.serverConnected()
  await new Promise(resolve => setTimeout(resolve, 50))
  t.equal(state(), 'unhealthy', 'a server has to hear first what was found out')
  later = 20_000
  await becomes('healthy')
  edge.heard('host-third', [says('down')])
  t.equal(state(), 'healthy', 'a server decides')
})
