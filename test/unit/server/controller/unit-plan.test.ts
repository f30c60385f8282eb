import fc from 'fast-check'
import t from 'tap'
import { type PlannedUnit, planUnits } from '../../../../server/controller/unit-plan.ts'

const service = { scale: 3, launchVersion: 'new', batchSize: 1, startFirst: false }
let number = 0

function unit(serviceIndex: number, fields: Partial<PlannedUnit> = {}): PlannedUnit {
  number += 1
  return { id: `u${number}`, state: 'active', serviceIndex, launchVersion: 'new', running: true, ...fields }
}

t.test('missing units are made, extra ones go', async t => {
  t.strictSame(planUnits(service, []), { create: [1, 2, 3], remove: [], settled: false })
  const four = unit(4)
  const plan = planUnits(service, [unit(1), unit(2), unit(3), four])
  t.strictSame(plan, { create: [], remove: [four.id], settled: false })
  const twin = unit(2)
  t.strictSame(planUnits(service, [unit(1), unit(2), twin, unit(3)]).remove, [twin.id])
})

t.test('settled means: all there, all running, nothing else', async t => {
  t.ok(planUnits(service, [unit(1), unit(2), unit(3)]).settled)
  t.notOk(planUnits(service, [unit(1), unit(2), unit(3, { running: false })]).settled)
  t.ok(planUnits({ ...service, scale: 0 }, []).settled)
})

t.test('outdated units are replaced a batch at a time', async t => {
  const old = [1, 2, 3].map(index => unit(index, { launchVersion: 'old' }))
  t.strictSame(planUnits(service, old).remove, [old[0]?.id])
  const going = { ...(old[0] as PlannedUnit), state: 'removing' as const }
  const rest = old.slice(1)
  t.strictSame(planUnits(service, [going, ...rest]), { create: [1], remove: [], settled: false })
  t.strictSame(planUnits(service, [unit(1, { running: false }), ...rest]).remove, [], 'waits for the new one')
  t.strictSame(planUnits(service, [unit(1), ...rest]).remove, [old[1]?.id])
  t.strictSame(planUnits({ ...service, batchSize: 2 }, old).remove, [old[0]?.id, old[1]?.id])
})

t.test('start first: the replacement runs before the old one goes', async t => {
  const first = { ...service, startFirst: true }
  const old = [1, 2, 3].map(index => unit(index, { launchVersion: 'old' }))
  t.strictSame(planUnits(first, old), { create: [1], remove: [], settled: false })
  t.strictSame(planUnits(first, [...old, unit(1, { running: false })]), {
    create: [],
    remove: [],
    settled: false,
  })
  t.strictSame(planUnits(first, [...old, unit(1)]).remove[0], old[0]?.id)
})

t.test('from any state the steps lead to a settled service, never below scale minus batch', async t => {
  const state = fc.record({
    serviceIndex: fc.integer({ min: 1, max: 6 }),
    launchVersion: fc.constantFrom('old', 'new'),
    state: fc.constantFrom('active' as const, 'removing' as const),
    running: fc.boolean(),
  })
  fc.assert(
    fc.property(
      fc.array(state, { maxLength: 10 }),
      fc.integer({ min: 0, max: 5 }),
      fc.integer({ min: 1, max: 3 }),
      fc.boolean(),
      (start, scale, batchSize, startFirst) => {
        const input = { scale, launchVersion: 'new', batchSize, startFirst }
        let units = start.map(fields => unit(fields.serviceIndex, fields))
        for (let step = 0; step < 60; step += 1) {
          const plan = planUnits(input, units)
          if (plan.settled) return
          const before = units.filter(
            u => u.state === 'active' && u.running && u.serviceIndex <= scale,
          ).length
          // What was asked for happens; what was on its way arrives.
          units = units
            .filter(u => u.state !== 'removing')
            .map(u =>
              plan.remove.includes(u.id) ? { ...u, state: 'removing' as const } : { ...u, running: true },
            )
          units.push(...plan.create.map(index => unit(index, { running: false })))
          const after = units.filter(u => u.state === 'active' && u.serviceIndex <= scale).length
          if (before >= scale && start.every(u => u.running)) t.ok(after >= scale - batchSize)
        }
        throw new Error('does not settle')
      },
    ),
    { numRuns: 300 },
  )
  t.pass('settles')
})
