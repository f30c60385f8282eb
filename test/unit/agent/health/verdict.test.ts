import t from 'tap'
import {
  decide,
  holdAfter,
  NEW_TARGET,
  readingOf,
  type TargetState,
} from '../../../../agent/health/verdict.ts'

t.test('readings', async t => {
  t.equal(readingOf('UP', 'L4OK', 'unknown', false), 'up')
  t.equal(readingOf('UP 1/3', 'L4CON', 'up', true), 'up', 'failing, but not yet down')
  t.equal(readingOf('DOWN', 'L4CON', 'unknown', false), 'undecided', 'it starts so')
  t.equal(readingOf('DOWN', 'L4CON', 'unknown', true), 'down')
  t.equal(readingOf('DOWN', 'L7OK', 'unknown', true), 'undecided', 'no check of it failed')
  t.equal(readingOf('DOWN', 'INI', 'unknown', true), 'undecided')
  t.equal(readingOf('DOWN', '', 'unknown', true), 'undecided')
  t.equal(readingOf('DOWN', 'L4CON', 'up', false), 'down')
  t.equal(readingOf('DOWN 1/2', 'L4OK', 'down', true), 'down')
  t.equal(readingOf('DOWN 1/2', 'L4OK', 'unknown', true), 'undecided')
  for (const status of ['MAINT', 'no check', 'NOLB', ''])
    t.equal(readingOf(status, '', 'up', true), 'undecided')
})

t.test('down needs a proof of the own network', async t => {
  const up: TargetState = { verdict: 'up', changes: [] }
  t.equal(decide(up, 'down', false, 0).state.verdict, 'unknown')
  t.equal(decide(up, 'down', true, 0).state.verdict, 'down')
  t.equal(decide(up, 'undecided', true, 0).state.verdict, 'up')
  t.equal(decide(NEW_TARGET, 'undecided', false, 0).state.verdict, 'unknown')
  t.equal(decide(NEW_TARGET, 'up', false, 0).state.verdict, 'up', 'an answer proves itself')
  t.equal(decide({ verdict: 'down', changes: [] }, 'down', false, 0).state.verdict, 'unknown', 'also later')
})

t.test('what flaps must stay up before it counts', async t => {
  t.strictSame([3, 4, 5, 9, 20].map(holdAfter), [0, 2000, 4000, 60_000, 60_000])
  let state = NEW_TARGET
  let now = 0
  const see = (reading: 'up' | 'down', milliseconds: number) => {
    now += milliseconds
    const decision = decide(state, reading, true, now)
    state = decision.state
    return [state.verdict, decision.lookAgain]
  }
  t.strictSame(see('up', 0), ['up', undefined])
  t.strictSame(see('down', 1), ['down', undefined])
  t.strictSame(see('up', 1), ['up', undefined])
  t.strictSame(see('down', 1), ['down', undefined])
  t.strictSame(see('up', 1), ['down', 2000], 'the fifth change waits')
  t.strictSame(see('up', 1500), ['down', 500])
  t.strictSame(see('down', 1), ['down', undefined])
  t.strictSame(see('up', 1), ['down', 2000], 'the wait begins anew')
  t.strictSame(see('up', 2000), ['up', undefined])
  t.strictSame(see('down', 200_000), ['down', undefined])
  t.strictSame(see('up', 1), ['up', undefined], 'forgotten after a while')
})
