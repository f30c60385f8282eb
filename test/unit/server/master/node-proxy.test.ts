/** What nodes answer about themselves, through the API: who may ask, and that nothing else of a host is reached. */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import type { TLSSocket } from 'node:tls'
import t from 'tap'
import { createCertificateAuthority, issueCertificate } from '../../../../kit/x509/index.ts'
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
  t.match(await proxied('n1/proxy?a=b'), {
    status: 301,
    headers: { location: '/k8s/clusters/c1/api/v1/nodes/n1/proxy/?a=b' },
  })
  t.match((await proxied('n1/proxy', { method: 'POST', body: {} })).body, { url: '/', method: 'POST' })
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

t.test('a kubelet is spoken to as it wants to be', async t => {
  const authority = await createCertificateAuthority('kubelet', 1)
  const own = await issueCertificate(authority, { commonName: 'n1', usage: 'server', validDays: 1 })
  let believed = ''
  const kubelet = createServer(
    { cert: own.certificate, key: own.privateKey, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const { raw, subject } = (request.socket as TLSSocket).getPeerCertificate()
      const proved = new X509Certificate(raw).verify(new X509Certificate(believed).publicKey)
      response.end(JSON.stringify({ url: request.url, subject: { ...subject }, proved }))
    },
  )
  kubelet.listen(0, '127.0.0.1')
  await once(kubelet, 'listening')
  t.teardown(() => kubelet.close().closeAllConnections())
  const { ask } = await temporaryMaster(t, {
    connectToKubelet: async () => connect((kubelet.address() as AddressInfo).port, '127.0.0.1'),
  })
  const map = await ask('/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication')
  believed = map.body.data['client-ca-file']
  const daemonEndpoints = { kubeletEndpoint: { Port: 10_250 } }
  const { status, ...rest } = node('n1')
  await ask('/api/v1/nodes', { method: 'POST', body: { ...rest, status: { ...status, daemonEndpoints } } })
  t.match(await ask('/api/v1/nodes/n1/proxy/pods?a=b'), {
    status: 200,
    body: {
      url: '/pods?a=b',
      subject: { CN: 'kube-apiserver-kubelet-client', O: 'system:masters' },
      proved: true,
    },
  })
})
