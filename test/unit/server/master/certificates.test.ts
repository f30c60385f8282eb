/** Requests for certificates of clients: approved, signed, believed, forgotten. */
import 'reflect-metadata'
import { webcrypto, X509Certificate } from 'node:crypto'
import { createServer } from 'node:https'
import { connect } from 'node:tls'
import {
  type JsonGeneralNames,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from '@peculiar/x509'
import t from 'tap'
import { createCertificateAuthority, issueCertificate } from '../../../../kit/x509/index.ts'
import {
  type CertificateSigningRequest,
  ClientAuthorities,
  type Frozen,
} from '../../../../server/master/apiserver/index.ts'
import { planRequest } from '../../../../server/master/controllers/certificate-plan.ts'
import { ManualClock } from './manual-clock.ts'
import { eventually, node, temporaryMaster } from './temporary-master.ts'

const REQUESTS = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
const KUBELET = 'kubernetes.io/kube-apiserver-client-kubelet'
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

async function requestOf(name: string, organizations: string[], names: JsonGeneralNames = []) {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [...organizations.map(each => ({ O: [each] })), { CN: [name] }],
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names)],
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  const privateKey = `-----BEGIN PRIVATE KEY-----\n${key.toString('base64')}\n-----END PRIVATE KEY-----\n`
  return { pem: request.toString('pem'), privateKey }
}

const body = (name: string, pem: string, signerName = KUBELET) => ({
  metadata: { name },
  spec: {
    request: Buffer.from(pem).toString('base64'),
    signerName,
    usages: ['digital signature', 'client auth'],
  },
})

t.test('requests', async t => {
  const clock = new ManualClock()
  const { ask } = await temporaryMaster(t, { clock })
  const post = (object: object, headers = {}) => ask(REQUESTS, { method: 'POST', body: object, headers })
  const issued = (name: string) =>
    eventually(async () => {
      const { status } = (await ask(`${REQUESTS}/${name}`)).body
      return status?.certificate !== undefined && Buffer.from(status.certificate, 'base64').toString()
    }, `${name} is signed`)

  t.test('of a kubelet that may are signed', async t => {
    const { pem } = await requestOf('system:node:n1', ['system:nodes'])
    t.equal((await post(body('n1', pem))).status, 201)
    t.match(await issued('n1'), /BEGIN CERTIFICATE/)
    t.match((await ask(`${REQUESTS}/n1`)).body.status.conditions, [
      { type: 'Approved', reason: 'AutoApproved' },
    ])
  })

  t.test('of who joins with a bootstrap token, and of a node for itself', async t => {
    await ask('/api/v1/namespaces/kube-system/secrets', {
      method: 'POST',
      body: {
        metadata: { name: 'bootstrap-token-abcdef' },
        type: 'bootstrap.kubernetes.io/token',
        stringData: {
          'token-id': 'abcdef',
          'token-secret': '0123456789abcdef',
          'usage-bootstrap-authentication': 'true',
        },
      },
    })
    const of = async (name: string, node: string, token: string) => {
      const { pem } = await requestOf(`system:node:${node}`, ['system:nodes'])
      const answer = await ask(REQUESTS, { method: 'POST', body: body(name, pem), token })
      t.equal(answer.status, 201, answer.text)
    }
    await of('joins', 'n2', 'abcdef.0123456789abcdef')
    t.match(await issued('joins'), /BEGIN CERTIFICATE/)
    await of('other', 'n3', 'node|n2|c1')
    await of('renews', 'n2', 'node|n2|c1')
    t.match(await issued('renews'), /BEGIN CERTIFICATE/)
    t.strictSame((await ask(`${REQUESTS}/other`)).body.status, {}, 'a node has no word in those of others')
  })

  t.test('what a kubelet proves itself by is signed for the addresses of its own node', async t => {
    const serving = async (name: string, who: string, names: JsonGeneralNames, extra: object = {}) => {
      const { pem } = await requestOf('system:node:s1', ['system:nodes'], names)
      const { metadata, spec } = body(name, pem, 'kubernetes.io/kubelet-serving')
      const usages = ['key encipherment', 'digital signature', 'server auth']
      const object = { metadata, spec: { ...spec, usages, ...extra } }
      const answer = await ask(REQUESTS, { method: 'POST', body: object, token: who })
      t.equal(answer.status, 201, answer.text)
    }
    const machine = (name: string, address: string) => ({
      ...node(name),
      status: { ...node(name).status, addresses: [{ type: 'InternalIP', address }] },
    })
    await ask('/api/v1/nodes', { method: 'POST', body: machine('s1', '192.0.2.31') })
    await ask('/api/v1/nodes', { method: 'POST', body: machine('s2', '192.0.2.32') })
    const own: JsonGeneralNames = [
      { type: 'dns', value: 's1' },
      { type: 'ip', value: '192.0.2.31' },
    ]
    await serving('own', 'node|s1|c1', own)
    const certificate = new X509Certificate(await issued('own'))
    t.match(certificate.subjectAltName, 'DNS:s1, IP Address:192.0.2.31')
    t.strictSame(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1'])
    await serving('of-another', 'node|s1|c1', [{ type: 'ip', value: '192.0.2.32' }])
    await serving('by-another', 'node|s2|c1', own)
    await serving('for-clients', 'node|s1|c1', own, { usages: ['digital signature', 'client auth'] })
    await serving('of-nothing', 'node|s1|c1', [])
    // What was said later is decided later.
    await serving('last', 'node|s1|c1', own)
    await issued('last')
    for (const name of ['of-another', 'by-another', 'for-clients', 'of-nothing'])
      t.strictSame((await ask(`${REQUESTS}/${name}`)).body.status, {}, name)
  })

  t.test('others wait for somebody, or for good', async t => {
    const { pem } = await requestOf('ann', ['team'])
    await post(body('ann', pem, 'kubernetes.io/kube-apiserver-client'))
    t.notOk((await ask(`${REQUESTS}/ann`)).body.status.certificate)
    const condition = { type: 'Approved', status: 'True', reason: 'ByHand', message: '' }
    const rbac = '/apis/rbac.authorization.k8s.io/v1'
    const change = {
      apiGroups: ['certificates.k8s.io'],
      resources: ['certificatesigningrequests/approval'],
      verbs: ['patch'],
    }
    const grant = async (rules: object[]) => {
      await ask(`${rbac}/clusterroles`, { method: 'POST', body: { metadata: { name: 'approver' }, rules } })
      await ask(`${rbac}/clusterroles/approver`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/merge-patch+json' },
        body: { rules },
      })
    }
    await grant([change])
    await ask(`${rbac}/clusterrolebindings`, {
      method: 'POST',
      body: {
        metadata: { name: 'approver' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'approver' },
        subjects: [{ kind: 'User', name: 'bob', apiGroup: 'rbac.authorization.k8s.io' }],
      },
    })
    const asBob = () =>
      ask(`${REQUESTS}/ann/approval?dryRun=All`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/merge-patch+json', 'impersonate-user': 'bob' },
        body: { status: { conditions: [condition] } },
      })
    t.match(await asBob(), {
      status: 403,
      body: { message: /not permitted to approve requests with signerName/ },
    })
    const signers = {
      apiGroups: ['certificates.k8s.io'],
      resources: ['signers'],
      resourceNames: ['kubernetes.io/*'],
      verbs: ['approve'],
    }
    await grant([change, signers])
    t.equal((await asBob()).status, 200)
    await ask(`${REQUESTS}/ann/approval`, {
      method: 'PUT',
      body: { ...(await ask(`${REQUESTS}/ann`)).body, status: { conditions: [condition] } },
    })
    t.match(await issued('ann'), /BEGIN CERTIFICATE/)
    const foreign = await requestOf('x', [])
    await post(body('foreign', foreign.pem, 'example.com/other'))
    t.notOk((await ask(`${REQUESTS}/foreign`)).body.status.certificate)
  })

  t.test('old ones are forgotten', async () => {
    clock.advance(3_600_000)
    await eventually(async () => (await ask(`${REQUESTS}/n1`)).status === 404, 'signed ones after an hour')
    clock.advance(23 * 3_600_000)
    await eventually(async () => (await ask(REQUESTS)).body.items.length === 0, 'all others after a day')
  })
})

t.test('what becomes of a request', async t => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  const plan = (spec: object, parsed: object | undefined, conditions: string[] = []) => {
    const request = {
      metadata: { creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { signerName: KUBELET, usages: ['client auth', 'digital signature'], ...spec },
      status: { conditions: conditions.map(type => ({ type, status: 'True' })) },
    } as unknown as Frozen<CertificateSigningRequest>
    const whole = parsed && {
      commonName: 'system:node:n',
      organizations: ['system:nodes'],
      alternativeNames: [],
      ...parsed,
    }
    return planRequest(request, whole, now).type
  }
  t.equal(plan({}, {}), 'ask')
  t.equal(plan({}, {}, ['Approved']), 'sign')
  t.equal(plan({}, {}, ['Denied']), 'keep')
  t.equal(plan({}, { organizations: ['system:nodes', 'system:masters'] }), 'keep')
  t.equal(plan({}, { alternativeNames: ['dns:x'] }), 'keep')
  t.equal(plan({}, { commonName: 'ann' }, ['Approved']), 'fail')
  t.equal(plan({ usages: ['server auth'] }, {}), 'keep')
  t.equal(plan({}, undefined, ['Approved']), 'fail')
  const client = { signerName: 'kubernetes.io/kube-apiserver-client' }
  t.equal(plan(client, { commonName: 'ann', organizations: [] }), 'keep')
  t.equal(plan(client, { commonName: 'ann', organizations: [] }, ['Approved']), 'sign')
  for (const group of ['system:masters', 'drover:scheduler'])
    t.equal(plan(client, { organizations: [group] }, ['Approved']), 'fail')
})

t.test('who holds a certificate', async t => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  const authorities = new ClientAuthorities('secret')
  const { pem } = await requestOf('system:node:n1', ['system:nodes'])
  const options = { usage: 'client' as const, from: now, validMilliseconds: 60_000 }
  const der = async (cluster: string, more: object = {}) => {
    const text = await authorities.sign(cluster, pem, { ...options, ...more })
    return new Uint8Array(Buffer.from(text.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64'))
  }
  const certificate = await der('c1')
  t.strictSame(authorities.identify('c1', certificate, now), {
    user: 'system:node:n1',
    groups: ['system:nodes'],
  })
  t.strictSame(
    new ClientAuthorities('secret').identify('c1', certificate, now)?.user,
    'system:node:n1',
    'another server believes it',
  )
  t.equal(authorities.identify('c2', certificate, now), undefined, 'another cluster does not')
  t.equal(new ClientAuthorities('other').identify('c1', certificate, now), undefined)
  t.equal(authorities.identify('c1', certificate, now + 61_000), undefined, 'its time is over')
  t.equal(authorities.identify('c1', await der('c1', { usage: 'server' }), now), undefined)
  t.equal(authorities.identify('c1', new Uint8Array([1, 2, 3]), now), undefined)
})

t.test('a listener takes certificates that it does not know, from who holds the key', async t => {
  const authority = await createCertificateAuthority('server', 1)
  const own = await issueCertificate(authority, {
    commonName: 'server',
    usage: 'server',
    ipAddresses: ['127.0.0.1'],
    validDays: 1,
  })
  const { pem, privateKey } = await requestOf('ann', [])
  const now = Date.now()
  const authorities = new ClientAuthorities('secret')
  const cert = await authorities.sign('c1', pem, { usage: 'client', from: now, validMilliseconds: 60_000 })
  const server = createServer({
    cert: own.certificate,
    key: own.privateKey,
    requestCert: true,
    rejectUnauthorized: false,
  })
  const seen = new Promise<string | undefined>(resolve => {
    server.on('secureConnection', socket => {
      resolve(authorities.identify('c1', new Uint8Array(socket.getPeerCertificate().raw), now)?.user)
      socket.end()
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as { port: number }
  const socket = connect({ port, host: '127.0.0.1', ca: authority.certificate, cert, key: privateKey })
  socket.resume()
  t.equal(await seen, 'ann')
  socket.destroy()
})
