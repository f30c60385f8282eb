/** Clusters that nobody uses leave memory, and come back for whoever asks and for what is due. */
import t from 'tap'
import { Suspension } from '../../../../server/master/suspension.ts'
import { WorkerClock } from '../../../../server/master/worker-clock.ts'
import { ManualClock } from './manual-clock.ts'
import { eventually, type RequestOptions, temporaryMaster } from './temporary-master.ts'
import { openWatch } from './watching.ts'

const MINUTE = 60_000
const QUIET = 10 * MINUTE
const MAPS = '/api/v1/namespaces/default/configmaps'
const CRON_JOBS = '/apis/batch/v1/namespaces/default/cronjobs'
const JOBS = '/apis/batch/v1/namespaces/default/jobs'

const turn = () => new Promise(resolve => setImmediate(resolve))

async function start(t: Parameters<typeof temporaryMaster>[0]) {
  const clock = new ManualClock()
  const temporary = await temporaryMaster(t, { clock, suspendAfter: QUIET })
  const { master } = temporary
  await master.createCluster('c2')
  const ask = (path: string, options: RequestOptions = {}) =>
    temporary.ask(path, { token: 'admin|c2', cluster: 'c2', ...options })
  /** Lets time pass in steps in which the cluster can do what it has to. */
  const pass = async (milliseconds: number) => {
    for (let left = milliseconds; left > 0; left -= MINUTE) {
      clock.advance(Math.min(MINUTE, left))
      for (let turns = 0; turns < 20; turns += 1) await turn()
    }
  }
  const asleep = async () => {
    await pass(2 * QUIET)
    await eventually(async () => master.clusterCounts.asleep === 1, 'c2 sleeps')
  }
  return { clock, master, ask, pass, asleep, port: temporary.port }
}

t.test('one that nobody uses sleeps, and wakes as it was', async t => {
  const { master, ask, asleep, port } = await start(t)
  const definition = {
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  }
  const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
  await ask(definitions, { method: 'POST', body: definition })
  const widgets = '/apis/example.com/v1/namespaces/default/widgets'
  await eventually(
    async () => (await ask(widgets, { method: 'POST', body: { metadata: { name: 'w' } } })).status === 201,
    'the kind is served',
  )
  const made = (await ask(MAPS, { method: 'POST', body: { metadata: { name: 'm' } } })).body
  t.strictSame(master.clusterCounts, { awake: 2, asleep: 0 })
  await asleep()
  t.strictSame(master.clusterCounts, { awake: 1, asleep: 1 })
  t.strictSame((await ask(`${MAPS}/m`)).body, made)
  t.strictSame(master.clusterCounts, { awake: 2, asleep: 0 })
  t.equal((await ask(`${widgets}/w`)).status, 200)
  t.equal((await ask(MAPS, { method: 'POST', body: { metadata: { name: 'n' } } })).status, 201)
  await asleep()
  const watch = await openWatch(port, `${MAPS}?watch=1&resourceVersion=${made.metadata.resourceVersion}`, {
    token: 'admin|c2',
    cluster: 'c2',
  })
  t.match(await watch.next(), { type: 'ADDED', object: { metadata: { name: 'n' } } }, 'watches go on')
  watch.close()
})

t.test('what is open keeps it awake, and controllers do not', async t => {
  const { master, pass, port, asleep } = await start(t)
  const watch = await openWatch(port, `${MAPS}?watch=1&timeoutSeconds=36000`, {
    token: 'admin|c2',
    cluster: 'c2',
  })
  await pass(5 * QUIET)
  t.strictSame(master.clusterCounts, { awake: 2, asleep: 0 })
  watch.close()
  await turn()
  await asleep()
  t.strictSame(master.clusterCounts, { awake: 1, asleep: 1 }, 'c1 has a client inside of the process')
})

t.test('a cron job is on time', async t => {
  const { clock, master, ask, asleep, pass } = await start(t)
  const made = await ask(CRON_JOBS, {
    method: 'POST',
    body: {
      metadata: { name: 'hourly' },
      spec: {
        schedule: '0 * * * *',
        jobTemplate: {
          spec: {
            template: { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'tick' }] } },
          },
        },
      },
    },
  })
  t.equal(made.status, 201)
  await asleep()
  t.ok(clock.now() < Date.parse('2026-03-01T13:00:00Z'), 'it sleeps before its time')
  await pass(Date.parse('2026-03-01T13:00:00Z') - clock.now() - 1)
  t.equal(master.clusterCounts.asleep, 1)
  await pass(1)
  await eventually(async () => master.clusterCounts.awake === 2, 'it wakes by itself')
  await eventually(async () => (await ask(JOBS)).body.items.length === 1, 'the job is made')
  const [job] = (await ask(JOBS)).body.items
  t.equal(job.metadata.annotations['batch.kubernetes.io/cronjob-scheduled-timestamp'], '2026-03-01T13:00:00Z')
})

t.test('who comes while it goes to sleep is served, and what sleeps can be deleted', async t => {
  const { clock, master, ask, asleep } = await start(t)
  let name = 0
  for (let round = 0; round < 5; round += 1) {
    await asleep()
    await ask(MAPS)
    // The last look at it, at the same moment as its next users.
    for (let minute = 0; minute < 30; minute += 1) clock.advance(MINUTE)
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => {
        name += 1
        return ask(MAPS, { method: 'POST', body: { metadata: { name: `m${name}` } } })
      }),
    )
    t.ok(answers.every(({ status }) => status === 201))
  }
  t.equal(
    (await ask(MAPS)).body.items.filter((item: { metadata: { name: string } }) =>
      /^m/.test(item.metadata.name),
    ).length,
    25,
  )
  await asleep()
  await master.deleteCluster('c2')
  t.strictSame(master.clusterCounts, { awake: 1, asleep: 0 })
  t.equal((await ask(MAPS)).status, 404)
})

t.test('what is due soon is waited for', t => {
  const clock = new ManualClock()
  const suspended: string[] = []
  const workers = new WorkerClock(clock)
  const cluster = {
    activity: { users: 0, uses: 1, revision: 7 },
    get nextDue() {
      return workers.nextDue
    },
  }
  const woken: string[] = []
  const suspension = new Suspension({
    after: QUIET,
    clock,
    awake: () => [['c', cluster]],
    suspend: id => suspended.push(id),
    wake: id => woken.push(id),
  })
  suspension.start()
  const cancel = workers.after(3 * QUIET, () => undefined)
  workers.after(QUIET + MINUTE, () => undefined)
  clock.advance(QUIET)
  t.strictSame(suspended, [], 'it has not been watched for long enough')
  clock.advance(MINUTE)
  t.strictSame(suspended, [])
  clock.advance(QUIET / 2)
  t.ok(suspended.length > 0, 'what was due has happened')
  suspension.asleep('c', cluster.nextDue)
  clock.advance(cluster.nextDue - clock.monotonic() - 1)
  t.strictSame(woken, [])
  clock.advance(1)
  t.strictSame(woken, ['c'])
  cancel()
  suspension.asleep('c', workers.nextDue)
  clock.advance(25 * 60 * MINUTE)
  t.equal(woken.length, 2, 'also without a reason, once a day')
  suspension.asleep('c', 0)
  suspension.stop()
  clock.advance(QUIET)
  t.equal(woken.length, 2)
  t.equal(clock.timers, 0)
  t.end()
})
