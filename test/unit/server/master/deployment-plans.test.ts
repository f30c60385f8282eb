/** How far the replica sets of a deployment go at once. */
import t from 'tap'
import type { Deployment, Frozen, ReplicaSet } from '../../../../server/master/apiserver/index.ts'
import { planScaling } from '../../../../server/master/controllers/deployment-plan.ts'
import { planShares } from '../../../../server/master/controllers/deployment-shares.ts'

t.test('steps of a rolling update', async t => {
  const set = (name: string, replicas: number, available: number) =>
    ({
      metadata: { name, creationTimestamp: `2026-01-0${name.at(-1)}T00:00:00Z` },
      spec: { replicas },
      status: { replicas, availableReplicas: available },
    }) as unknown as Frozen<ReplicaSet>
  const ten = (rollingUpdate: object) =>
    ({
      spec: { replicas: 10, strategy: { type: 'RollingUpdate', rollingUpdate } },
    }) as unknown as Frozen<Deployment>
  const plan = (rollingUpdate: object, current: Frozen<ReplicaSet>, ...old: Frozen<ReplicaSet>[]) =>
    Object.fromEntries(planScaling(ten(rollingUpdate), current, old))
  const quarter = { maxSurge: '25%', maxUnavailable: '25%' }
  t.strictSame(plan(quarter, set('new9', 0, 0), set('old1', 10, 10)), { new9: 3, old1: 8 })
  t.strictSame(plan(quarter, set('new9', 3, 0), set('old1', 8, 8)), { new9: 5 })
  t.strictSame(plan(quarter, set('new9', 5, 0), set('old1', 8, 8)), {}, 'it waits for new ones')
  t.strictSame(plan(quarter, set('new9', 5, 5), set('old1', 8, 8)), { old1: 3 })
  t.strictSame(plan(quarter, set('new9', 10, 10), set('old1', 3, 3)), { old1: 0 })
  t.strictSame(plan({ maxSurge: 1, maxUnavailable: 0 }, set('new9', 0, 0), set('old1', 10, 10)), { new9: 1 })
  t.strictSame(plan({ maxSurge: 0, maxUnavailable: 1 }, set('new9', 0, 0), set('old1', 10, 10)), { old1: 9 })
  t.strictSame(
    plan(quarter, set('new9', 0, 0), set('old1', 5, 5), set('old2', 5, 0)),
    { new9: 3, old2: 3 },
    'what does not work goes first',
  )
})

t.test('a deployment that is scaled while it rolls', async t => {
  const set = (name: string, replicas: number, desired: number, most: number) =>
    ({
      metadata: {
        name,
        creationTimestamp: `2026-01-0${name.at(-1)}T00:00:00Z`,
        annotations: {
          'deployment.kubernetes.io/desired-replicas': String(desired),
          'deployment.kubernetes.io/max-replicas': String(most),
        },
      },
      spec: { replicas },
    }) as unknown as Frozen<ReplicaSet>
  const plan = (replicas: number, maxSurge: number, ...sets: Frozen<ReplicaSet>[]) => {
    const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable: 2 } }
    const deployment = { spec: { replicas, strategy } } as unknown as Frozen<Deployment>
    return Object.fromEntries(planShares(deployment, maxSurge, sets) ?? [])
  }
  t.strictSame(plan(30, 3, set('new9', 5, 10, 13), set('old1', 8, 10, 13)), { old1: 20, new9: 13 })
  t.strictSame(plan(5, 3, set('new9', 5, 10, 13), set('old1', 8, 10, 13)), { old1: 5, new9: 3 })
  t.strictSame(plan(0, 3, set('new9', 5, 10, 13), set('old1', 8, 10, 13)), { old1: 0, new9: 0 })
  t.strictSame(plan(12, 0, set('new9', 5, 10, 10), set('old1', 5, 10, 10)), { new9: 6, old1: 6 })
  t.strictSame(plan(10, 3, set('new9', 5, 10, 13), set('old1', 8, 10, 13)), {}, 'nobody scaled it')
  t.strictSame(plan(30, 3, set('new9', 0, 10, 13), set('old1', 8, 10, 13)), {}, 'one set has them all')
})
