/** What a cluster tells those who collect metrics, and whom it tells. */
import t from 'tap'
import { RequestMetrics } from '../../../../server/master/apiserver/metrics/index.ts'
import { eventually, temporaryMaster } from './temporary-master.ts'
import { openWatch } from './watching.ts'

const MAPS = '/api/v1/namespaces/default/configmaps'

t.test('metrics of a cluster', async t => {
  const { ask, master, port } = await temporaryMaster(t)
  const scrape = async () => (await ask('/metrics')).text
  /** The value of the sample with these labels among others. */
  const value = (text: string, name: string, labels: Record<string, string>) =>
    text
      .split('\n')
      .filter(line => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .filter(line => Object.entries(labels).every(([key, each]) => line.includes(`${key}="${each}"`)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  const maps = { group: '', version: 'v1', resource: 'configmaps', component: 'apiserver' }

  await ask(MAPS, { method: 'POST', body: { metadata: { name: 'a' } } })
  await ask(`${MAPS}?dryRun=All`, { method: 'POST', body: { metadata: { name: 'b' } } })
  for (let index = 0; index < 3; index += 1) await ask(`${MAPS}/a`)
  await ask(`${MAPS}/absent`)
  await ask(MAPS)
  await ask('/api/v1/configmaps')
  const headers = { 'content-type': 'application/apply-patch+yaml' }
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }
  await ask(`${MAPS}/a?fieldManager=me`, { method: 'PATCH', body, headers })
  await ask(MAPS, { method: 'DELETE' })
  await ask('/apis')
  const text = await eventually(async () => {
    const now = await scrape()
    return value(now, 'apiserver_request_total', { verb: 'GET', resource: '', code: '200' }) > 0 && now
  }, 'everything is counted')
  const total = (labels: Record<string, string>) => value(text, 'apiserver_request_total', labels)
  t.equal(total({ ...maps, verb: 'POST', code: '201', scope: 'namespace', dry_run: '' }), 1)
  t.equal(total({ ...maps, verb: 'POST', code: '201', dry_run: 'All' }), 1)
  t.equal(total({ ...maps, verb: 'GET', code: '200', scope: 'resource' }), 3)
  t.equal(total({ ...maps, verb: 'GET', code: '404' }), 1)
  t.equal(total({ ...maps, verb: 'LIST', scope: 'namespace' }), 1)
  t.equal(total({ ...maps, verb: 'LIST', scope: 'cluster' }), 1)
  t.equal(total({ ...maps, verb: 'APPLY', code: '200' }), 1)
  t.equal(total({ ...maps, verb: 'DELETECOLLECTION', code: '200' }), 1)
  const gets = { ...maps, verb: 'GET', scope: 'resource' }
  t.equal(value(text, 'apiserver_request_duration_seconds_count', gets), 4)
  t.equal(value(text, 'apiserver_request_duration_seconds_bucket', { ...gets, le: '+Inf' }), 4)
  t.ok(value(text, 'apiserver_request_duration_seconds_sum', gets) > 0)
  t.equal(value(text, 'apiserver_current_inflight_requests', { request_kind: 'readOnly' }), 1, 'this one')
  t.equal(value(text, 'apiserver_current_inflight_requests', { request_kind: 'mutating' }), 0)
  t.equal(value(text, 'apiserver_storage_objects', { resource: 'namespaces' }), 4)
  t.ok(value(text, 'apiserver_storage_objects', { resource: 'clusterroles.rbac.authorization.k8s.io' }) > 10)
  t.match(text, /^kubernetes_build_info\{major="1",minor="36",/m)
  t.match(text, /^process_resident_memory_bytes \d+$/m)
  t.notMatch(text, /c1/, 'no cluster is named')

  const watched = { group: '', version: 'v1', kind: 'ConfigMap' }
  const watch = await openWatch(port, `${MAPS}?watch=true`)
  t.equal(value(await scrape(), 'apiserver_registered_watchers', watched), 1)
  t.equal(value(await scrape(), 'apiserver_longrunning_requests', { ...maps, verb: 'WATCH' }), 1)
  const old = await openWatch(port, `${MAPS.replace('/v1/', '/v1/watch/')}/a`)
  t.equal(value(await scrape(), 'apiserver_registered_watchers', watched), 2, 'by the old paths, too')
  old.close()
  watch.close()
  await eventually(
    async () => value(await scrape(), 'apiserver_registered_watchers', watched) === 0,
    'it is not open any more',
  )

  await master.createCluster('c2')
  t.equal(
    value(
      (await ask('/metrics', { cluster: 'c2', token: 'admin|c2' })).text,
      'apiserver_request_total',
      maps,
    ),
    0,
    'of its own requests only',
  )
  t.equal((await ask('/metrics', { token: '' })).status, 401)
  const stranger = { token: 'group|collectors|c1' }
  t.match(await ask('/metrics', stranger), { status: 403, body: { message: /cannot get path "\/metrics"/ } })
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  const binding = {
    metadata: { name: 'collectors' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:monitoring' },
    subjects: [{ kind: 'Group', name: 'collectors', apiGroup: 'rbac.authorization.k8s.io' }],
  }
  t.equal((await ask(`${rbac}/clusterrolebindings`, { method: 'POST', body: binding })).status, 201)
  t.match(await ask('/metrics', stranger), {
    status: 200,
    headers: { 'content-type': /^text\/plain; version=0\.0\.4/ },
  })
  t.equal((await ask('/metrics', { method: 'POST' })).status, 405)
  t.equal((await ask('/metrics/nonsense')).status, 404)
})

t.test('there is an end to what is told apart', t => {
  const metrics = new RequestMetrics()
  for (let index = 0; index < 5000; index += 1) {
    const none = { subresource: '', scope: 'cluster', dryRun: false } as const
    metrics.begin({ verb: 'GET', group: 'g', version: 'v1', kind: 'K', resource: `r${index}`, ...none })(200)
  }
  const answers = metrics.answers()
  t.ok(answers.length < 1100)
  t.equal(
    answers.reduce((sum, { value }) => sum + value, 0),
    5000,
  )
  t.match(answers.at(-1), { labels: { resource: 'other' } })
  t.end()
})
