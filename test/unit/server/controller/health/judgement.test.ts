import t from 'tap'
import {
  type Checker,
  type JudgementInput,
  judge,
  opinionOf,
} from '../../../../../server/controller/health/judgement.ts'

const NOW = 1_000_000
const LATER = NOW + 30_000

const says = (verdict: 'up' | 'down' | 'unknown', expires = LATER): Checker => ({
  vote: { verdict, expires },
  since: 0,
  connected: true,
})
const silent = (since = NOW): Checker => ({ vote: undefined, since, connected: true })
const away: Checker = { vote: undefined, since: NOW, connected: false }

t.test('what checkers say together', async t => {
  const of = (...checkers: Checker[]) => opinionOf(checkers, NOW).opinion
  t.equal(of(), 'none')
  t.equal(of(says('up'), says('down'), says('down')), 'up', 'one is enough')
  t.equal(of(says('up'), silent(), silent()), 'up', 'also the first time')
  t.equal(of(says('down'), says('down'), says('down')), 'down')
  t.equal(of(says('down'), says('down'), silent()), 'none', 'one has not spoken yet')
  t.equal(of(says('down'), silent(NOW - 30_000)), 'down', 'and not for long')
  t.equal(of(says('down'), away), 'down', 'or cannot')
  t.equal(of(says('down'), says('unknown')), 'down', 'who reaches nobody abstains')
  t.equal(of(says('unknown'), says('unknown')), 'none')
  t.equal(of(says('up', NOW), says('down')), 'none', 'what has expired counts as not yet said again')
  t.equal(of(says('up', NOW - 30_000), says('down')), 'down')
  t.equal(of(says('down', NOW - 60_000)), 'none', 'nothing is known by nobody saying anything')
})

t.test('when it may be different', async t => {
  t.equal(opinionOf([says('up', NOW + 5), says('down', NOW + 9)], NOW).until, NOW + 5)
  t.equal(opinionOf([silent(NOW - 10)], NOW).until, NOW + 29_990)
  t.equal(opinionOf([away], NOW).until, Number.POSITIVE_INFINITY)
})

const check = { initializingTimeout: 120_000, reinitializingTimeout: 60_000 }

function stateOf(input: Partial<JudgementInput>): string {
  const defaults = { before: undefined, epoch: 1, running: true, since: NOW, check, checkers: [], now: NOW }
  return judge({ ...defaults, ...input }).state
}

t.test('a first run', async t => {
  t.equal(stateOf({}), 'initializing')
  t.equal(stateOf({ checkers: [says('down')] }), 'initializing', 'it is still starting')
  t.equal(stateOf({ checkers: [says('up'), says('down')] }), 'healthy')
  const late = { since: NOW - 120_000 }
  t.equal(stateOf({ ...late, checkers: [says('down')] }), 'unhealthy', 'too late')
  t.equal(stateOf({ ...late, checkers: [silent(), says('unknown')] }), 'initializing', 'nobody can say')
  t.equal(stateOf({ ...late, running: false, checkers: [says('down')] }), 'initializing', 'not running')
  t.equal(judge({ ...wait(), checkers: [says('unknown')] }).lookAgain, LATER)
  t.equal(judge({ ...wait(), since: NOW - 119_000 }).lookAgain, NOW + 1_000)
})

function wait(): JudgementInput {
  return { before: undefined, epoch: 1, running: true, since: NOW, check, checkers: [], now: NOW }
}

t.test('later', async t => {
  const healthy = { state: 'healthy', epoch: 1 } as const
  const unhealthy = { state: 'unhealthy', epoch: 1 } as const
  t.equal(stateOf({ before: healthy, checkers: [says('down'), says('down')] }), 'unhealthy')
  t.equal(stateOf({ before: healthy, checkers: [says('down'), silent()] }), 'healthy')
  t.equal(stateOf({ before: healthy, checkers: [] }), 'healthy', 'a server that was away judges nobody')
  t.equal(stateOf({ before: healthy, running: false, checkers: [says('down')] }), 'healthy')
  t.equal(stateOf({ before: unhealthy, checkers: [says('unknown')] }), 'unhealthy')
  t.equal(stateOf({ before: unhealthy, checkers: [says('up')] }), 'healthy')
  const going = { state: 'updating-unhealthy', epoch: 1 } as const
  t.equal(stateOf({ before: going, checkers: [says('down')] }), 'updating-unhealthy')
})

t.test('another run', async t => {
  for (const state of ['healthy', 'unhealthy', 'initializing'] as const)
    t.equal(stateOf({ before: { state, epoch: 1 }, epoch: 2 }), 'reinitializing')
  t.equal(stateOf({ before: { state: 'initializing', epoch: 0 }, epoch: 1 }), 'initializing')
  const before = { state: 'reinitializing', epoch: 2 } as const
  t.equal(stateOf({ before, epoch: 2, checkers: [says('up')] }), 'healthy')
  t.equal(stateOf({ before, epoch: 2, checkers: [says('down')] }), 'reinitializing')
  t.equal(stateOf({ before, epoch: 2, since: NOW - 60_000, checkers: [says('down')] }), 'unhealthy')
})
