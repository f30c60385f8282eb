/** Which cluster a request is for. */
import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { clusterTarget } from '../../../../server/proxy/cluster-target.ts'

function target(path: string, headers: Readonly<Record<string, string>> = {}) {
  return clusterTarget(path, { headers } as unknown as IncomingMessage)
}

function token(issuer: unknown): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `Bearer ${part({ alg: 'ES256' })}.${part({ iss: issuer })}.c2ln`
}

t.test('by its path', async t => {
  t.same(target('/k8s/clusters/1c2/api/v1/pods'), { clusterId: '1c2', path: '/api/v1/pods' })
  t.same(target('/k8s/clusters/1c2'), { clusterId: '1c2', path: '/' })
  t.equal(target('/k8s/clusters/'), undefined)
  t.equal(target('/v3/clusters'), undefined)
  t.equal(target('/api'), undefined, 'nobody says of which')
})

t.test('by the server name', async t => {
  const host = 'c1.k8s.drover.example:8443'
  t.same(target('/api/v1/pods', { host }), { clusterId: 'c1', path: '/api/v1/pods' })
  t.same(target('/v3', { host }), { clusterId: 'c1', path: '/v3' }, 'nothing else is there')
  t.same(target('/k8s/clusters/c2/api', { host }), { clusterId: 'c2', path: '/api' }, 'the path says more')
  t.equal(target('/api', { host: 'k8s.drover.example' }), undefined)
  t.equal(target('/api', { host: 'a.b.k8s.drover.example' }), undefined)
})

t.test('by the account that asks', async t => {
  const authorization = token('https://drover.example:8443/k8s/clusters/c1')
  t.same(target('/api/v1/pods', { authorization, host: '10.43.0.1' }), {
    clusterId: 'c1',
    path: '/api/v1/pods',
  })
  t.equal(target('/v3/hosts', { authorization }), undefined, "Drover's own API is not a cluster's")
  for (const issuer of ['https://drover.example', 7, 'x/k8s/clusters/', `/k8s/clusters/${'a'.repeat(64)}`]) {
    t.equal(target('/api', { authorization: token(issuer) }), undefined)
  }
  t.equal(target('/api', { authorization: 'Bearer a.b.c' }), undefined)
  t.equal(target('/api', { authorization: `Bearer a.${'b'.repeat(20_000)}.c` }), undefined)
  t.same(target('/version', { host: 'kubernetes.default.svc' }), { clusterId: '', path: '/version' })
})
