/** Jobs that count failures by task. */
import t from 'tap'
import type { Frozen, Job } from '../../../../server/master/apiserver/index.ts'
import { countPods, planJob, TRACKING_FINALIZER } from '../../../../server/master/controllers/job-plan.ts'
import type { OwnedPod } from '../../../../server/master/controllers/owned-pods.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')

function job(spec: object = {}, status: object = {}): Frozen<Job> {
  return {
    metadata: { name: 'parts', uid: 'u' },
    spec: {
      ...{ completions: 3, parallelism: 2, completionMode: 'Indexed', backoffLimit: 2 ** 31 - 1 },
      ...{ backoffLimitPerIndex: 1, template: { spec: { restartPolicy: 'Never' } } },
      ...spec,
    },
    status: { startTime: '2029-12-31T23:00:00Z', ...status },
  } as unknown as Frozen<Job>
}

function pod(index: number, phase: string, earlierFailures = 0, exitCode = 1): OwnedPod {
  const finalizers = [TRACKING_FINALIZER]
  const facts = { labels: {}, nodeName: 'n', destination: 'n', created: 0, deleting: false, ended: false }
  const counted = { readySince: undefined, restarts: 0, owner: 'u', finalizers, index, earlierFailures }
  const exits = phase === 'Failed' ? [{ container: 'main', code: exitCode }] : []
  const conditions = exitCode === 143 ? [{ type: 'DisruptionTarget', status: 'True' }] : []
  const name = `parts-${index}-${earlierFailures}`
  return { namespace: 'd', name, uid: name, phase, ...facts, ...counted, exits, conditions }
}

function plan(of: Frozen<Job>, pods: readonly OwnedPod[], failures: Readonly<Record<number, number>> = {}) {
  const counts = countPods(of, pods)
  const planned = planJob(of, pods, counts, NOW, index => (index === undefined ? NOW : failures[index]))
  return { counts, ...planned }
}

t.test('a task that failed is tried again after its own pause, others at once', async t => {
  const failed = [pod(0, 'Failed'), pod(1, 'Running')]
  const waits = plan(job(), failed, { 0: NOW - 4_000 })
  t.strictSame(waits.create, [{ index: 2, failures: 0 }])
  const paused = plan(job({ parallelism: 3 }), failed, { 0: NOW - 4_000 })
  t.strictSame(paused.create, [{ index: 2, failures: 0 }])
  t.equal(paused.lookAt, NOW + 6_000)
  t.strictSame(plan(job(), failed, { 0: NOW - 10_000 }).create, [{ index: 0, failures: 1 }])
})

t.test('a task that failed too often is given up, and the job fails when the others are done', async t => {
  const pods = [pod(0, 'Failed'), pod(0, 'Failed', 1), pod(1, 'Succeeded'), pod(2, 'Running')]
  const first = plan(job(), pods)
  t.strictSame([...first.counts.failedIndexes], [0])
  t.match(first, { create: [], ending: undefined })
  const last = plan(job(), [...pods.slice(0, 3), pod(2, 'Succeeded')])
  t.match(last.ending, { type: 'Failed', reason: 'FailedIndexes' })
  const remembered = plan(job({}, { failedIndexes: '0', succeeded: 1, completedIndexes: '1' }), [
    pod(2, 'Succeeded'),
  ])
  t.match(remembered.ending, { type: 'Failed', reason: 'FailedIndexes' })
})

t.test('too many of them end it at once', async t => {
  const pods = [pod(0, 'Failed', 1), pod(1, 'Running')]
  const planned = plan(job({ maxFailedIndexes: 0 }), pods)
  t.match(planned.ending, { type: 'Failed', reason: 'MaxFailedIndexesExceeded' })
  t.strictSame(
    planned.remove.map(({ index }) => index),
    [1],
  )
  t.equal(plan(job({ maxFailedIndexes: 1 }), pods).ending, undefined)
})

t.test('what a job says about failures', async t => {
  const podFailurePolicy = {
    rules: [
      { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] },
      { action: 'FailJob', onExitCodes: { containerName: 'main', operator: 'In', values: [42] } },
      { action: 'FailIndex', onExitCodes: { operator: 'NotIn', values: [1, 143] } },
    ],
  }
  const failing = (code: number) =>
    plan(job({ podFailurePolicy }), [pod(0, 'Failed', 0, code), pod(1, 'Running')])
  t.match(failing(1), { counts: { failed: 1, ignored: [] }, ending: undefined })
  const ignored = failing(143)
  t.match(ignored.counts, { failed: 0, ignored: ['parts-0-0'], uncounted: { failed: [] } })
  t.same(ignored.create, [{ index: 0, failures: 0 }], 'as if it had never been')
  t.match(failing(42).ending, {
    type: 'Failed',
    reason: 'PodFailurePolicy',
    message: 'Container main for pod d/parts-0-0 failed with exit code 42 matching FailJob rule at index 1',
  })
  t.strictSame([...failing(7).counts.failedIndexes], [0], 'never again')
})

t.test('what a job says about enough', async t => {
  const enough = (rules: object[], pods: readonly OwnedPod[]) =>
    plan(job({ completions: 5, successPolicy: { rules } }), pods)
  const leader = [pod(0, 'Succeeded'), pod(1, 'Running')]
  const done = enough([{ succeededIndexes: '0' }], leader)
  t.match(done.ending, { type: 'Complete', reason: 'SuccessPolicy', message: 'Matched rules at index 0' })
  t.strictSame(
    done.remove.map(({ index }) => index),
    [1],
    'the others are not needed',
  )
  t.equal(enough([{ succeededIndexes: '0-1' }], leader).ending, undefined)
  t.match(enough([{ succeededIndexes: '2-4' }, { succeededCount: 1 }], leader).ending, {
    reason: 'SuccessPolicy',
  })
  t.match(enough([{ succeededIndexes: '0-3', succeededCount: 1 }], leader).ending, { type: 'Complete' })
})
