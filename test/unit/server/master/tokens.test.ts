/** Tokens of service accounts, and what they are worth. */
import { createPublicKey, verify } from 'node:crypto'
import t from 'tap'
import { ManualClock } from './manual-clock.ts'
import { pod, temporaryMaster } from './temporary-master.ts'

const ACCOUNTS = '/api/v1/namespaces/default/serviceaccounts'
const SELF = '/apis/authentication.k8s.io/v1/selfsubjectreviews'

function claimsOf(token: string) {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
}

t.test('service accounts', async t => {
  const clock = new ManualClock()
  const world = await temporaryMaster(t, { clock })
  const { ask, master } = world
  const post = (path: string, body: object = {}, token?: string) =>
    ask(path, { method: 'POST', body, ...(token === undefined ? {} : { token }) })
  const tokenFor = (name: string, spec: object = {}) => post(`${ACCOUNTS}/${name}/token`, { spec })
  const whoIs = async (token: string, cluster = 'c1') =>
    await ask(SELF, { method: 'POST', body: {}, token, cluster })
  await post(ACCOUNTS, { metadata: { name: 'robot' } })

  t.test('get tokens that say who they are', async t => {
    const { status, body } = await tokenFor('robot')
    t.equal(status, 201)
    t.match(body, {
      kind: 'TokenRequest',
      metadata: { name: 'robot', namespace: 'default' },
      spec: { audiences: ['https://kubernetes.default.svc.cluster.local'], expirationSeconds: 3600 },
    })
    const { token } = body.status
    t.match(claimsOf(token), {
      iss: 'https://master.test/k8s/clusters/c1',
      sub: 'system:serviceaccount:default:robot',
      'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'robot' } },
    })
    const { body: self } = await whoIs(token)
    t.match(self.status.userInfo, {
      username: 'system:serviceaccount:default:robot',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
    })
    t.equal((await ask('/api/v1/pods', { token })).status, 403, 'who has no rights')
  })

  t.test('can be checked by others', async t => {
    const { token } = (await tokenFor('robot')).body.status
    const { body: configuration } = await ask('/.well-known/openid-configuration', { token })
    t.equal(configuration.jwks_uri, 'https://master.test/k8s/clusters/c1/openid/v1/jwks')
    const { body, headers } = await ask('/openid/v1/jwks', { token })
    t.equal(headers['content-type'], 'application/jwk-set+json')
    const [head = '', claims = '', signature = ''] = token.split('.')
    const header = JSON.parse(Buffer.from(head, 'base64url').toString('utf8'))
    const key = body.keys.find(({ kid }: { kid: string }) => kid === header.kid)
    const options = {
      key: createPublicKey({ key, format: 'jwk' }),
      dsaEncoding: 'ieee-p1363' as const,
    }
    t.ok(verify('sha256', Buffer.from(`${head}.${claims}`), options, Buffer.from(signature, 'base64url')))
    t.equal((await ask('/openid/v1/jwks', { token: 'group|nobody|c1' })).status, 403)
    t.equal((await ask('/openid/v1/jwks', { token: '' })).status, 401)
  })

  t.test('are nobody with what is wrong, old, or of another cluster', async t => {
    const { token } = (await tokenFor('robot', { expirationSeconds: 600 })).body.status
    const [head, claims = '', signature] = token.split('.')
    const forged = Buffer.from(
      JSON.stringify({ ...claimsOf(token), sub: 'system:serviceaccount:kube-system:x' }),
    )
    t.equal((await whoIs(`${head}.${forged.toString('base64url')}.${signature}`)).status, 401)
    const none = Buffer.from('{"alg":"none"}').toString('base64url')
    t.equal((await whoIs(`${none}.${claims}.`)).status, 401)
    await master.createCluster('c2')
    t.equal((await whoIs(token, 'c2')).status, 401)
    t.equal((await whoIs(token, 'nowhere')).status, 401)
    t.equal((await whoIs(token)).status, 201)
    clock.advance(601_000)
    t.equal((await whoIs(token)).status, 401)
  })

  t.test('are asked for what they were made for', async t => {
    const { token } = (await tokenFor('robot', { audiences: ['vault'] })).body.status
    t.equal((await whoIs(token)).status, 401)
    const review = (audiences: readonly string[]) =>
      post('/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token, audiences } })
    t.match((await review(['vault', 'other'])).body.status, {
      authenticated: true,
      audiences: ['vault'],
      user: { username: 'system:serviceaccount:default:robot' },
    })
    t.match((await review([])).body.status, { authenticated: false, error: String })
  })

  t.test('end with what they are bound to', async t => {
    const made = await post('/api/v1/namespaces/default/pods', pod('bound', { serviceAccountName: 'robot' }))
    t.equal(made.status, 201)
    const ref = { kind: 'Pod', apiVersion: 'v1', name: 'bound' }
    const other = await tokenFor('default', { boundObjectRef: ref })
    t.equal(other.status, 403, 'a pod of another account')
    t.equal((await tokenFor('robot', { boundObjectRef: { ...ref, uid: 'x' } })).status, 409)
    t.equal((await tokenFor('robot', { boundObjectRef: { ...ref, name: 'absent' } })).status, 404)
    t.equal((await tokenFor('robot', { boundObjectRef: { ...ref, kind: 'Service' } })).status, 422)
    t.equal((await tokenFor('robot', { expirationSeconds: 599 })).status, 422)
    const { token } = (await tokenFor('robot', { boundObjectRef: ref })).body.status
    const { body } = await whoIs(token)
    t.strictSame(body.status.userInfo.extra['authentication.kubernetes.io/pod-name'], ['bound'])
    await ask('/api/v1/namespaces/default/pods/bound', { method: 'DELETE' })
    t.equal((await whoIs(token)).status, 401)
  })

  t.test('end with the account, also when it comes back', async t => {
    await post(ACCOUNTS, { metadata: { name: 'short' } })
    const { token } = (await tokenFor('short')).body.status
    t.equal((await whoIs(token)).status, 201)
    await ask(`${ACCOUNTS}/short`, { method: 'DELETE' })
    t.equal((await whoIs(token)).status, 401)
    await post(ACCOUNTS, { metadata: { name: 'short' } })
    t.equal((await whoIs(token)).status, 401)
  })

  t.test("give a node's agent tokens only for its own pods", async t => {
    const node = (name: string) => `node|${name}|c1`
    const ask = (token: string, spec: object) => post(`${ACCOUNTS}/robot/token`, { spec }, token)
    await post(
      '/api/v1/namespaces/default/pods',
      pod('here', { serviceAccountName: 'robot', nodeName: 'n1' }),
    )
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'here' }
    t.equal((await ask(node('n1'), { boundObjectRef })).status, 201)
    t.equal((await ask(node('n2'), { boundObjectRef })).status, 403)
    t.equal((await ask(node('n1'), {})).status, 403)
  })
})

t.test('bootstrap tokens', async t => {
  const clock = new ManualClock()
  const { ask } = await temporaryMaster(t, { clock })
  const secret = (id: string, more: object = {}) => ({
    metadata: { name: `bootstrap-token-${id}` },
    type: 'bootstrap.kubernetes.io/token',
    stringData: {
      'token-id': id,
      'token-secret': '0123456789abcdef',
      'usage-bootstrap-authentication': 'true',
      expiration: new Date(clock.now() + 60_000).toISOString(),
      'auth-extra-groups': 'system:bootstrappers:hosts',
      ...more,
    },
  })
  const path = '/api/v1/namespaces/kube-system/secrets'
  await ask(path, { method: 'POST', body: secret('abcdef') })
  await ask(path, { method: 'POST', body: secret('unused', { 'usage-bootstrap-authentication': 'no' }) })
  const whoIs = (token: string) => ask(SELF, { method: 'POST', body: {}, token })
  t.match((await whoIs('abcdef.0123456789abcdef')).body.status.userInfo, {
    username: 'system:bootstrap:abcdef',
    groups: ['system:bootstrappers', 'system:bootstrappers:hosts', 'system:authenticated'],
  })
  t.equal((await whoIs('abcdef.0123456789abcdee')).status, 401)
  t.equal((await whoIs('unused.0123456789abcdef')).status, 401)
  clock.advance(61_000)
  t.equal((await whoIs('abcdef.0123456789abcdef')).status, 401)
})
