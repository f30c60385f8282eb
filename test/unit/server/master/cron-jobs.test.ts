/** Cron jobs: when they are due, and what becomes of their jobs. */
import t from 'tap'
import {
  type CronJob,
  type Frozen,
  type Job,
  parseCronSchedule,
} from '../../../../server/master/apiserver/index.ts'
import { planCronJob } from '../../../../server/master/controllers/cron-job-plan.ts'
import { lastTime, nextTime } from '../../../../server/master/controllers/cron-times.ts'
import { ManualClock } from './manual-clock.ts'
import { eventually, temporaryMaster } from './temporary-master.ts'

const CRON_JOBS = '/apis/batch/v1/namespaces/default/cronjobs'
const JOBS = '/apis/batch/v1/namespaces/default/jobs'
const MERGE = { 'content-type': 'application/merge-patch+json' }

t.test('when a schedule is due', async t => {
  const next = (schedule: string, after: string, zone = 'UTC') => {
    const time = nextTime(parseCronSchedule(schedule), Date.parse(after), zone)
    return time === undefined ? undefined : new Date(time).toISOString().slice(0, 16)
  }
  t.equal(next('*/5 * * * *', '2026-01-01T00:00:00Z'), '2026-01-01T00:05')
  t.equal(next('*/5 * * * *', '2026-01-01T00:04:59Z'), '2026-01-01T00:05')
  t.equal(next('0 0 29 2 *', '2026-01-01T00:00:00Z'), '2028-02-29T00:00')
  t.equal(next('30 3 * * 1', '2026-01-01T00:00:00Z'), '2026-01-05T03:30')
  t.equal(next('0 0 13 * 5', '2026-01-01T00:00:00Z'), '2026-01-02T00:00', 'a Friday or a 13th')
  t.equal(next('0 0 31 2 *', '2026-01-01T00:00:00Z'), undefined)
  t.equal(next('0 9 * * *', '2026-01-01T00:00:00Z', 'America/New_York'), '2026-01-01T14:00')
  t.equal(next('0 9 * * *', '2026-07-01T00:00:00Z', 'America/New_York'), '2026-07-01T13:00')
  t.equal(
    next('30 2 * * *', '2026-03-28T12:00:00Z', 'Europe/Berlin'),
    '2026-03-30T00:30',
    'a night without half past two',
  )
  t.equal(next('0 * * * *', '2026-10-25T00:30:00Z', 'Europe/Berlin'), '2026-10-25T02:00')
  const last = (schedule: string, after: string, until: string) => {
    const found = lastTime(parseCronSchedule(schedule), Date.parse(after), Date.parse(until), 'UTC')
    return found && [new Date(found.at).toISOString().slice(0, 16), found.many]
  }
  t.strictSame(last('0 * * * *', '2026-01-01T00:00:00Z', '2026-01-01T02:30:00Z'), ['2026-01-01T02:00', false])
  t.strictSame(last('0 * * * *', '2026-01-01T00:00:00Z', '2026-01-01T00:30:00Z'), undefined)
  t.strictSame(last('* * * * *', '2020-01-01T00:00:00Z', '2026-01-01T02:30:30Z'), ['2026-01-01T02:30', true])
})

t.test('what is to be done', async t => {
  const now = Date.parse('2026-01-01T10:00:30Z')
  const cronJob = (spec: object = {}, status: object = { lastScheduleTime: '2026-01-01T09:00:00Z' }) =>
    ({
      metadata: { name: 'c', creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { schedule: '0 * * * *', ...spec },
      status,
    }) as unknown as Frozen<CronJob>
  const job = (hour: number, type?: string) =>
    ({
      metadata: { name: `c-${hour}`, uid: `${hour}` },
      status: {
        startTime: `2026-01-01T0${hour}:00:00Z`,
        ...(type === undefined
          ? {}
          : { conditions: [{ type, status: 'True' }], completionTime: `2026-01-01T0${hour}:01:00Z` }),
      },
    }) as unknown as Frozen<Job>
  const plan = (object: Frozen<CronJob>, ...jobs: Frozen<Job>[]) => {
    const { start, remove, warning } = planCronJob(object, jobs, now)
    return [
      start === undefined ? '' : new Date(start).toISOString().slice(11, 16),
      remove.map(({ metadata }) => metadata.name).join(),
      warning?.reason ?? '',
    ]
  }
  t.strictSame(plan(cronJob()), ['10:00', '', ''])
  t.strictSame(plan(cronJob({}, { lastScheduleTime: '2026-01-01T10:00:00Z' })), ['', '', ''])
  t.strictSame(plan(cronJob({}, {})), ['10:00', '', ''], 'of many that were missed, the last one')
  t.strictSame(plan(cronJob({ suspend: true })), ['', '', ''])
  t.strictSame(plan(cronJob({ startingDeadlineSeconds: 10 })), ['', '', ''], 'too late')
  t.strictSame(plan(cronJob({ concurrencyPolicy: 'Forbid' }), job(9)), ['', '', 'JobAlreadyActive'])
  t.strictSame(plan(cronJob({ concurrencyPolicy: 'Replace' }), job(9)), ['10:00', 'c-9', ''])
  t.strictSame(plan(cronJob(), job(9)), ['10:00', '', ''])
  const ended = [4, 5, 6, 7].map(hour => job(hour, 'Complete'))
  t.strictSame(plan(cronJob({ suspend: true }), ...ended, job(8, 'Failed'), job(9, 'Failed')), [
    '',
    'c-4,c-8',
    '',
  ])
})

t.test('cron jobs make jobs', async t => {
  const clock = new ManualClock()
  const { ask } = await temporaryMaster(t, { clock })
  const body = {
    metadata: { name: 'tick' },
    spec: {
      schedule: '*/10 * * * *',
      jobTemplate: {
        metadata: { labels: { from: 'tick' } },
        spec: {
          template: { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'x:1' }] } },
        },
      },
    },
  }
  t.equal((await ask(CRON_JOBS, { method: 'POST', body })).status, 201)
  const jobs = async () => (await ask(`${JOBS}?labelSelector=from=tick`)).body.items
  const status = async () => (await ask(`${CRON_JOBS}/tick`)).body.status
  const tick = async (count: number) => {
    clock.advance(600_000)
    await eventually(async () => (await jobs()).length === count, `there are ${count} jobs`)
  }
  await tick(1)
  const [first] = await jobs()
  t.match(first.metadata, {
    ownerReferences: [{ kind: 'CronJob', name: 'tick', controller: true }],
    annotations: { 'batch.kubernetes.io/cronjob-scheduled-timestamp': String },
  })
  await eventually(async () => (await status()).active?.[0]?.name === first.metadata.name, 'it is shown')
  await tick(2)
  await ask(`${CRON_JOBS}/tick`, {
    method: 'PATCH',
    headers: MERGE,
    body: { spec: { concurrencyPolicy: 'Replace' } },
  })
  clock.advance(600_000)
  await eventually(async () => {
    const now = await jobs()
    return now.length === 1 && now[0].metadata.name !== first.metadata.name
  }, 'the others are replaced')
  await ask(`${CRON_JOBS}/tick`, { method: 'PATCH', headers: MERGE, body: { spec: { suspend: true } } })
  const [running] = await jobs()
  // Again and again: the controller of jobs writes its own view of a job that has just begun.
  await eventually(async () => {
    await ask(`${JOBS}/${running.metadata.name}/status`, {
      method: 'PATCH',
      headers: MERGE,
      body: {
        status: {
          completionTime: '2026-01-01T00:00:00Z',
          conditions: [{ type: 'Complete', status: 'True' }],
        },
      },
    })
    return (await status()).lastSuccessfulTime === '2026-01-01T00:00:00Z'
  }, 'its success is shown')
  await eventually(async () => !('active' in (await status())), 'none runs')
  await ask(`${CRON_JOBS}/tick`, { method: 'DELETE', body: { propagationPolicy: 'Background' } })
  await eventually(async () => (await jobs()).length === 0, 'its jobs are gone')
})
