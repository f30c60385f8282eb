/** Admission webhooks that refuse, fail, or are configured in ways that make no sense. */
import t from 'tap'
import { bench, CONFIGURATIONS, MAPS, map } from './webhook-bench.ts'
import { allow, deny, type WebhookServer } from './webhook-server.ts'

t.test('refusals', async t => {
  const { hooks, post, configure, webhook, master } = await bench(t)
  hooks.answer = review => allow(review)
  await post(MAPS, map('old'))
  await configure('Validating', 'no', webhook('no.hooks.test', '/no'))
  const refused = async (status?: object) => {
    hooks.answer = review => deny(review, status)
    const { status: code, body } = await post(MAPS, map('a'))
    return [code, body.code, body.reason, body.message]
  }
  const denied = 'admission webhook "no.hooks.test" denied the request'
  t.same(await refused(), [400, 400, undefined, `${denied} without explanation`])
  t.same(await refused({ message: 'not today' }), [400, 400, undefined, `${denied}: not today`])
  t.same(await refused({ message: 'no', code: 403, reason: 'Forbidden' }), [
    ...[403, 403, 'Forbidden'],
    `${denied}: no`,
  ])
  t.same(await refused({ reason: 'Whim', code: 200 }), [400, 400, 'Whim', `${denied}: Whim`])
  hooks.answer = review => deny(review, { message: 'stays' })
  t.match((await master.ask(`${MAPS}/old`, { method: 'DELETE' })).body, { message: `${denied}: stays` })
  t.match((await master.ask(MAPS, { method: 'DELETE' })).body, { message: `${denied}: stays` })
  t.equal((await master.ask(`${MAPS}/old`)).status, 200)
  hooks.answer = review => allow(review, undefined, ['think twice'])
  t.match((await post(MAPS, map('a'))).headers.warning, /think twice/)
  t.equal((await master.ask(`${MAPS}/old`, { method: 'DELETE' })).status, 200)
})

t.test('webhooks that fail', async t => {
  const { hooks, post, configure, webhook, master } = await bench(t)
  hooks.answer = review => allow(review)
  await configure('Validating', 'v', webhook('v.hooks.test', '/v', { timeoutSeconds: 1 }))
  const failure = async () => (await post(MAPS, map('a'))).body.message
  const failed = 'Internal error occurred: failed calling webhook "v.hooks.test": '
  hooks.answer = () => undefined
  t.equal(
    await failure(),
    `${failed}failed to call webhook: Post "https://hook.default.svc:443/v?timeout=1s": context deadline exceeded`,
  )
  hooks.answer = () => ({})
  t.match(await failure(), `${failed}received invalid webhook response: `)
  hooks.answer = review => ({ ...allow(review), apiVersion: 'admission.k8s.io/v1beta1' })
  t.match(await failure(), /expected webhook response of admission.k8s.io\/v1, Kind=AdmissionReview/)
  hooks.answer = review => allow({ ...review, request: { uid: 'another' } })
  t.match(await failure(), /expected response.uid=/)
  hooks.answer = review => allow(review, [])
  t.match(await failure(), /must not specify a patch/)
  await master.ask('/api/v1/namespaces/default/pods/hook?gracePeriodSeconds=0', { method: 'DELETE' })
  t.equal(
    await failure(),
    `${failed}failed to call webhook: Post "https://hook.default.svc:443/v?timeout=1s": no endpoints available for service "hook"`,
  )
  const merge = { 'content-type': 'application/json-patch+json' }
  const ignored = await master.ask(`${CONFIGURATIONS}/validatingwebhookconfigurations/v`, {
    method: 'PATCH',
    headers: merge,
    body: [{ op: 'replace', path: '/webhooks/0/failurePolicy', value: 'Ignore' }],
  })
  t.equal(ignored.status, 200)
  t.equal((await post(MAPS, map('a'))).status, 201, 'who may fail is not missed')
})

t.test('a cluster that goes waits for no webhook', async t => {
  const { hooks, post, configure, webhook, master } = await bench(t)
  hooks.answer = review => allow(review)
  await configure('Validating', 'v', webhook('v.hooks.test', '/v', { timeoutSeconds: 30 }))
  const asked = Promise.withResolvers<void>()
  hooks.answer = () => {
    asked.resolve()
    return undefined
  }
  const waiting = post(MAPS, map('a'))
  await asked.promise
  await master.master.deleteCluster('c1')
  t.match(await waiting, { status: 500, body: { message: /the cluster is closed/ } })
})

t.test('answers that are none', async t => {
  const { hooks, post, configure, webhook } = await bench(t)
  hooks.answer = review => allow(review)
  await configure('Validating', 'v', webhook('v.hooks.test', '/v'))
  const failure = async (raw: NonNullable<WebhookServer['raw']>) => {
    hooks.raw = raw
    const { status, body } = await post(MAPS, map('a'))
    return `${status} ${body.message}`
  }
  t.match(
    await failure(response => response.writeHead(302, { location: 'https://127.0.0.1/' }).end()),
    /^500 .*an error on the server/,
  )
  t.match(
    await failure(response => response.writeHead(404).end()),
    /the server could not find the requested resource/,
  )
  t.match(await failure(response => response.end('x'.repeat(9 * 1024 * 1024))), /has more than \d+ bytes/)
  t.match(await failure(response => response.end('{')), /^500 .*failed calling webhook/)
  t.match(await failure(response => response.end('['.repeat(300) + ']'.repeat(300))), /more than 256 levels/)
  t.match(await failure(response => response.destroy()), /^500 .*failed calling webhook/)
  t.match(await failure(response => response.writeHead(200, { 'content-length': '9' }).end('{}')), /^500 /)
})

t.test('dry runs', async t => {
  const { hooks, post, configure, webhook } = await bench(t)
  hooks.answer = review => allow(review)
  await configure('Validating', 'v', webhook('v.hooks.test', '/v', { sideEffects: 'NoneOnDryRun' }))
  t.equal((await post(`${MAPS}?dryRun=All`, map('a'))).status, 201)
  t.match(hooks.take('/v'), [{ request: { dryRun: true, options: { dryRun: ['All'] } } }])
})

t.test('configurations themselves are never refused', async t => {
  const { hooks, post, configure, webhook, master } = await bench(t)
  const rules = [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }]
  hooks.answer = review => deny(review)
  await configure('Validating', 'all', webhook('all.hooks.test', '/all', { rules }))
  await configure('Mutating', 'all', webhook('all.hooks.test', '/all', { rules }))
  t.equal((await post(MAPS, map('a'))).status, 400)
  const bindings = `${CONFIGURATIONS}/validatingadmissionpolicybindings`
  const binding = { metadata: { name: 'b' }, spec: { policyName: 'p', validationActions: ['Deny'] } }
  t.equal((await post(bindings, binding)).status, 201)
  for (const kind of ['mutating', 'validating']) {
    const { status } = await master.ask(`${CONFIGURATIONS}/${kind}webhookconfigurations/all`, {
      method: 'DELETE',
    })
    t.equal(status, 200)
  }
  t.equal((await post(MAPS, map('a'))).status, 201)
})

t.test('configurations that are wrong', async t => {
  const { post, webhook, hooks } = await bench(t)
  const problem = async (special: object) => {
    const { status, body } = await post(`${CONFIGURATIONS}/validatingwebhookconfigurations`, {
      metadata: { name: 'v' },
      webhooks: [webhook('v.hooks.test', '/v', special)],
    })
    return status === 422 ? body.message : `${status}`
  }
  t.match(await problem({ name: 'short' }), /at least three segments/)
  t.match(await problem({ admissionReviewVersions: ['v1beta1'] }), /must include at least one of v1/)
  t.match(await problem({ sideEffects: 'Some' }), /supported values: "None", "NoneOnDryRun"/)
  t.match(await problem({ timeoutSeconds: 31 }), /must be between 1 and 30 seconds/)
  t.match(await problem({ clientConfig: {} }), /exactly one of url or service is required/)
  t.match(
    await problem({ clientConfig: { url: 'http://a.test/' } }),
    /'https' is the only allowed URL scheme/,
  )
  t.match(
    await problem({ clientConfig: { ...hooks.clientConfig(), caBundle: 'bm9uZQ==' } }),
    /unable to parse bytes as PEM block/,
  )
  t.match(
    await problem({
      rules: [{ operations: ['READ'], apiGroups: [''], apiVersions: ['v1'], resources: ['*'] }],
    }),
    /READ/,
  )
  t.match(
    await problem({ matchConditions: [{ name: 'a', expression: 'object.metadata..' }] }),
    /matchConditions\[0\].expression: .*compilation failed/,
  )
  t.match(await problem({ matchConditions: [{ name: 'a', expression: '"text"' }] }), /must evaluate to bool/)
})
