/** Pods that are given more or less processor and memory while they run. */
import t from 'tap'
import { type RequestOptions, temporaryMaster } from './temporary-master.ts'

const PODS = '/api/v1/namespaces/default/pods'
const STRATEGIC = { 'content-type': 'application/strategic-merge-patch+json' }
const [CPU, MEMORY] = ['500m', '64Mi']

const pod = (name: string, resources: object, more: object = {}) => ({
  metadata: { name },
  spec: {
    containers: [
      { name: 'main', image: 'web:1', resources },
      { name: 'other', image: 'web:1' },
    ],
    ...more,
  },
})

t.test('resizing pods', async t => {
  const { ask, master } = await temporaryMaster(t)
  const requests = { cpu: '250m', memory: '32Mi' }
  await ask(PODS, { method: 'POST', body: pod('p', { requests, limits: { cpu: CPU, memory: MEMORY } }) })
  const part = (options: RequestOptions = {}, name = 'p') => ask(`${PODS}/${name}/resize`, options)
  const resize = (resources: object, name = 'p') =>
    part(
      { method: 'PATCH', headers: STRATEGIC, body: { spec: { containers: [{ name: 'main', resources }] } } },
      name,
    )

  t.test('changes what containers ask for, and nothing else', async t => {
    const answer = await resize({ requests: { cpu: '300m' }, limits: { memory: '128Mi' } })
    t.equal(answer.status, 200)
    t.match(answer.body, {
      metadata: { generation: 2 },
      spec: {
        containers: [
          { resources: { requests: { cpu: '300m', memory: '32Mi' }, limits: { cpu: CPU, memory: '128Mi' } } },
          { name: 'other', resources: {} },
        ],
      },
    })
    const { body } = await part()
    const [main, other] = body.spec.containers
    const changed = { ...body, metadata: { ...body.metadata, labels: { a: 'b' } } }
    changed.spec = { ...body.spec, priority: 7, containers: [{ ...main, image: 'web:2' }, other] }
    t.strictSame((await part({ method: 'PUT', body: changed })).body, body)
  })

  t.test('is refused where Kubernetes refuses it', async t => {
    const cases: [object, RegExp][] = [
      [{ limits: { memory: null } }, /resources.limits: Forbidden: resource limits cannot be removed/],
      [{ requests: { cpu: null } }, /./],
      [{ requests: { cpu: '2' } }, /must be less than or equal to cpu limit of 500m/],
      [{ requests: { 'ephemeral-storage': '1Gi' } }, /only cpu and memory resources are mutable/],
    ]
    for (const [resources, message] of cases) {
      const answer = await resize(resources)
      // A request that is taken away is as large as its limit again.
      if (answer.status === 200) t.match(answer.body.spec.containers[0].resources.requests.cpu, CPU)
      else t.match(answer, { status: 422, body: { message } }, JSON.stringify(resources))
    }
    await ask(PODS, { method: 'POST', body: pod('best', {}) })
    t.match(await resize({ requests: { cpu: '1' } }, 'best'), {
      status: 422,
      body: {
        message: /spec: Invalid value: "?Burstable"?: Pod QOS Class may not change as a result of resizing/,
      },
    })
    const init = [
      { name: 'setup', image: 'i:1', resources: { requests: { cpu: '1' } } },
      { name: 'sidecar', image: 'i:1', restartPolicy: 'Always', resources: { requests: { cpu: '1' } } },
    ]
    await ask(PODS, { method: 'POST', body: pod('init', { requests }, { initContainers: init }) })
    const change = (name: string) =>
      part(
        {
          method: 'PATCH',
          headers: STRATEGIC,
          body: { spec: { initContainers: [{ name, resources: { requests: { cpu: '2' } } }] } },
        },
        'init',
      )
    t.match(await change('setup'), {
      status: 422,
      body: { message: /non-sidecar init containers are immutable/ },
    })
    t.equal((await change('sidecar')).status, 200)
    const merge = { 'content-type': 'application/json-patch+json' }
    const path = '/spec/containers/0/resources/limits/cpu'
    const plain = await ask(`${PODS}/p`, {
      method: 'PATCH',
      headers: merge,
      body: [{ op: 'replace', path, value: '900m' }],
    })
    t.match(plain, { status: 422, body: { message: /pod updates may not change fields/ } })
  })

  t.test('keeps the limits of the namespace', async t => {
    await ask('/api/v1/namespaces', { method: 'POST', body: { metadata: { name: 'tight' } } })
    const pods = '/api/v1/namespaces/tight/pods'
    await ask(pods, { method: 'POST', body: pod('p', { requests, limits: { cpu: CPU, memory: MEMORY } }) })
    await ask('/api/v1/namespaces/tight/limitranges', {
      method: 'POST',
      body: { metadata: { name: 'l' }, spec: { limits: [{ type: 'Container', max: { memory: '100Mi' } }] } },
    })
    const to = (memory: string) =>
      ask(`${pods}/p/resize`, {
        method: 'PATCH',
        headers: STRATEGIC,
        body: { spec: { containers: [{ name: 'main', resources: { limits: { memory } } }] } },
      })
    t.match(await to('200Mi'), {
      status: 403,
      body: { message: /maximum memory usage per Container is 100Mi/ },
    })
  })

  t.test('can be applied, and is not there in 1.32', async t => {
    const answer = await part({
      method: 'PATCH',
      headers: { 'content-type': 'application/apply-patch+yaml' },
      body: {
        ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } },
        spec: {
          containers: [{ name: 'main', image: 'ignored', resources: { limits: { memory: '256Mi' } } }],
        },
      },
    } as RequestOptions)
    t.equal(answer.status, 422, 'somebody has to say who applies')
    await master.createCluster('old', '1.32')
    const old = { token: 'admin|old', cluster: 'old' }
    await ask(PODS, { ...old, method: 'POST', body: pod('p', { requests }) })
    t.equal((await ask(`${PODS}/p/resize`, old)).status, 404)
  })
})
