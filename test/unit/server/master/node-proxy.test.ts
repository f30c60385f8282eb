/** What nodes answer about themselves, through the API: who may ask, and that nothing else of a host is reached. */
import t from 'tap'
import { node, temporaryMaster } from './temporary-master.ts'

t.test('nodes/NAME/proxy', async t => {
  const { ask } = await temporaryMaster(t)
  for (const name of ['n1', 'gone']) await ask('/api/v1/nodes', { method: 'POST', body: node(name) })
  const proxied = (rest: string, options: Parameters<typeof ask>[1] = {}) =>
    ask(`/api/v1/nodes/${rest}`, options)
  const answer = await proxied('n1/proxy/stats/summary?only_cpu_and_memory=true', {
    headers: { cookie: 'a=b', 'x-own': 'yes' },
  })
  t.match(answer, {
    status: 200,
    body: { node: 'n1', method: 'GET', url: '/stats/summary?only_cpu_and_memory=true' },
  })
  t.equal(answer.body.headers['x-own'], 'yes')
  t.notOk('authorization' in answer.body.headers || 'cookie' in answer.body.headers, 'credentials stay here')
  t.match((await proxied('n1/proxy')).body, { url: '/' })
  t.match((await proxied('n1:10250/proxy/pods')).body, { url: '/pods' })
  t.match((await proxied('https:n1:10250/proxy/a%2Fb/')).body, { url: '/a%2Fb/' })
  t.match((await proxied('n1/proxy/run', { method: 'POST', body: { a: 1 } })).body, { method: 'POST' })
  t.equal((await proxied('n1/proxy/absent')).status, 404)
  t.match(await proxied('n1:22/proxy/'), { status: 403, body: { message: /only port 10250/ } })
  t.match(await proxied('n1:nonsense/proxy/'), { status: 403 })
  t.match(await proxied('other/proxy/pods'), { status: 404, body: { message: 'nodes "other" not found' } })
  t.match(await proxied('192.0.2.1:10250/proxy/pods'), { status: 404 }, 'an address is no name')
  const silent = await proxied('gone/proxy/pods')
  t.ok(silent.status >= 500, `a node that is not connected: ${silent.status}`)

  const stranger = { token: 'group|watchers|c1' }
  t.match(await proxied('n1/proxy/pods', stranger), {
    status: 403,
    body: { message: /cannot get resource "nodes\/proxy"/ },
  })
  t.equal(
    (await proxied('n1/proxy/pods', { token: 'node|n1|c1' })).status,
    403,
    'a node may not ask itself this way',
  )
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  await ask(`${rbac}/clusterroles`, {
    method: 'POST',
    body: {
      metadata: { name: 'watcher' },
      rules: [{ apiGroups: [''], resources: ['nodes/proxy'], verbs: ['get'] }],
    },
  })
  await ask(`${rbac}/clusterrolebindings`, {
    method: 'POST',
    body: {
      metadata: { name: 'watchers' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'watcher' },
      subjects: [{ kind: 'Group', name: 'watchers', apiGroup: 'rbac.authorization.k8s.io' }],
    },
  })
  t.equal((await proxied('n1/proxy/pods', stranger)).status, 200)
  t.equal((await proxied('n1/proxy/run', { ...stranger, method: 'POST', body: {} })).status, 403)
})
