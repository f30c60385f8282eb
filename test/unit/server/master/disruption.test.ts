/** Disruption budgets, and evictions that they refuse. */
import t from 'tap'
import type { Frozen, Pod, PodDisruptionBudget } from '../../../../server/master/apiserver/index.ts'
import { planBudget } from '../../../../server/master/controllers/disruption-plan.ts'
import { runPods } from './running-pods.ts'
import { eventually, node, pod, temporaryMaster } from './temporary-master.ts'

const BUDGETS = '/apis/policy/v1/namespaces/default/poddisruptionbudgets'
const PODS = '/api/v1/namespaces/default/pods'
const MERGE = { 'content-type': 'application/merge-patch+json' }

const isDisruption = ({ type }: { readonly type: string }) => type === 'DisruptionTarget'

t.test('evictions', async t => {
  const master = await temporaryMaster(t)
  const { ask } = master
  await ask('/api/v1/nodes', { method: 'POST', body: node('n1') })
  await runPods(t, master)
  const app = (name: string) => ({ selector: { matchLabels: { app: name } } })
  await ask('/apis/apps/v1/namespaces/default/deployments', {
    method: 'POST',
    body: {
      metadata: { name: 'web' },
      spec: {
        replicas: 3,
        ...app('web'),
        template: {
          metadata: { labels: { app: 'web' } },
          spec: { containers: [{ name: 'main', image: 'web:1' }] },
        },
      },
    },
  })
  await ask(BUDGETS, {
    method: 'POST',
    body: { metadata: { name: 'web' }, spec: { minAvailable: 2, ...app('web') } },
  })
  const allowed = (count: number) =>
    eventually(async () => {
      const { status } = (await ask(`${BUDGETS}/web`)).body
      return status?.disruptionsAllowed === count && status
    }, `${count} may go`)
  const names = async () => {
    const { items } = (await ask(`${PODS}?labelSelector=app=web`)).body
    return items.map(({ metadata }: { metadata: { name: string } }) => metadata.name) as string[]
  }
  const evict = (name: string, options: object = {}) =>
    ask(`${PODS}/${name}/eviction`, { method: 'POST', body: { metadata: { name }, ...options } })

  t.test('as many as the budget allows', async t => {
    t.match(await allowed(1), {
      expectedPods: 3,
      currentHealthy: 3,
      desiredHealthy: 2,
      conditions: [{ type: 'DisruptionAllowed', status: 'True', reason: 'SufficientPods' }],
    })
    const [first = '', second = ''] = await names()
    const dry = await evict(first, { deleteOptions: { dryRun: ['All'] } })
    t.equal(dry.status, 201)
    // Two at the same moment, of which the budget allows one.
    const answers = await Promise.all([evict(first), evict(second)])
    t.strictSame(answers.map(({ status }) => status).toSorted(), [201, 429])
    const refused = answers.find(({ status }) => status === 429)
    t.match(refused?.body, {
      reason: 'TooManyRequests',
      message: /would violate the pod's disruption budget/,
      details: { causes: [{ reason: 'DisruptionBudget', message: /needs 2 healthy pods/ }] },
    })
    await allowed(1)
    t.equal((await names()).length, 3, 'another one runs in its place')
  })

  t.test('a scaled deployment is another total', async () => {
    await ask(`${BUDGETS}/web`, { method: 'PATCH', headers: MERGE, body: { spec: { minAvailable: '50%' } } })
    await allowed(1)
    await ask('/apis/apps/v1/namespaces/default/deployments/web/scale', {
      method: 'PATCH',
      headers: MERGE,
      body: { spec: { replicas: 4 } },
    })
    await allowed(2)
    await ask(`${BUDGETS}/web`, {
      method: 'PATCH',
      headers: MERGE,
      body: { spec: { minAvailable: null, maxUnavailable: 0 } },
    })
    await allowed(0)
  })

  t.test('what does no work is not protected, and what has no budget either', async t => {
    await ask(PODS, {
      method: 'POST',
      body: pod('pending', { nodeSelector: { no: 'where' } }, { labels: { app: 'web' } }),
    })
    t.equal((await evict('pending')).status, 201)
    await ask(PODS, { method: 'POST', body: pod('free') })
    t.equal((await evict('free')).status, 201)
    t.equal((await evict('absent')).status, 404)
    const held = { ...pod('held'), metadata: { name: 'held', finalizers: ['example.com/held'] } }
    await ask(PODS, { method: 'POST', body: held })
    t.equal((await evict('held', { deleteOptions: { dryRun: ['All'] } })).status, 201)
    t.notOk((await ask(`${PODS}/held`)).body.status.conditions?.some(isDisruption))
    t.equal((await evict('held')).status, 201)
    const { metadata, status } = (await ask(`${PODS}/held`)).body
    t.ok(metadata.deletionTimestamp)
    t.match(status.conditions.filter(isDisruption), [{ status: 'True', reason: 'EvictionByEvictionAPI' }])
    await ask(BUDGETS, {
      method: 'POST',
      body: { metadata: { name: 'second' }, spec: { minAvailable: 1, ...app('web') } },
    })
    const [name = ''] = await names()
    t.match(await evict(name), { status: 500, body: { message: /more than one PodDisruptionBudget/ } })
  })
})

t.test('how many may go', async t => {
  const now = Date.parse('2026-01-01T00:10:00Z')
  const ready = (name: string, status = 'True') =>
    ({
      metadata: { name },
      status: { phase: 'Running', conditions: [{ type: 'Ready', status }] },
    }) as unknown as Frozen<Pod>
  const plan = (spec: object, pods: Frozen<Pod>[], expected: number | undefined, status: object = {}) => {
    const budget = { metadata: { name: 'b' }, spec, status } as unknown as Frozen<PodDisruptionBudget>
    const { status: made, lookAt } = planBudget({ budget, pods, expected }, now, '2026-01-01T00:10:00Z')
    return [made.disruptionsAllowed, made.desiredHealthy, made.expectedPods, lookAt !== undefined]
  }
  const three = [ready('a'), ready('b'), ready('c')]
  t.strictSame(plan({ minAvailable: 2 }, three, undefined), [1, 2, 3, false])
  t.strictSame(plan({ minAvailable: '50%' }, three, 3), [1, 2, 3, false])
  t.strictSame(plan({ maxUnavailable: 1 }, three, 3), [1, 2, 3, false])
  t.strictSame(plan({ maxUnavailable: 1 }, [ready('a'), ready('b', 'False'), ready('c')], 3), [
    0,
    2,
    3,
    false,
  ])
  t.strictSame(plan({ maxUnavailable: '34%' }, three, 3), [2, 1, 3, false])
  t.strictSame(
    plan({ maxUnavailable: 1 }, three, undefined),
    [0, 0, 0, false],
    'nobody knows how many there should be',
  )
  t.strictSame(plan({ minAvailable: 1 }, [], 0), [0, 1, 0, false])
  const pending = { disruptedPods: { a: '2026-01-01T00:09:00Z' } }
  t.strictSame(plan({ minAvailable: 1 }, three, 3, pending), [1, 1, 3, true], 'one is on its way')
  const old = { disruptedPods: { a: '2026-01-01T00:01:00Z' } }
  t.strictSame(plan({ minAvailable: 1 }, three, 3, old), [2, 1, 3, false], 'an eviction that did not happen')
})
