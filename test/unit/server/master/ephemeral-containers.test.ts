/** Containers that are added to a pod for somebody to look at it. */
import t from 'tap'
import { type RequestOptions, temporaryMaster } from './temporary-master.ts'

const PODS = '/api/v1/namespaces/default/pods'
const STRATEGIC = { 'content-type': 'application/strategic-merge-patch+json' }

const pod = (name: string, spec: object = {}) => ({
  metadata: { name, labels: { app: 'web' } },
  spec: { containers: [{ name: 'main', image: 'web:1' }], ...spec },
})

t.test('ephemeral containers', async t => {
  const { ask } = await temporaryMaster(t)
  await ask(PODS, { method: 'POST', body: pod('p') })
  const part = (options: RequestOptions = {}, name = 'p') =>
    ask(`${PODS}/${name}/ephemeralcontainers`, options)
  const add = (...ephemeralContainers: object[]) =>
    part({ method: 'PATCH', headers: STRATEGIC, body: { spec: { ephemeralContainers } } })

  t.test('are added, completed, and counted', async t => {
    const { status, body } = await add({
      name: 'look',
      image: 'tools',
      targetContainerName: 'main',
      stdin: true,
    })
    t.equal(status, 200)
    t.match(body, {
      kind: 'Pod',
      metadata: { generation: 2 },
      spec: {
        ephemeralContainers: [{ name: 'look', imagePullPolicy: 'Always', targetContainerName: 'main' }],
      },
    })
    t.strictSame((await part()).body, (await ask(`${PODS}/p`)).body)
    t.equal((await add({ name: 'again', image: 'tools:1' })).body.spec.ephemeralContainers.length, 2)
  })

  t.test('stay what they are', async t => {
    const { body } = await part()
    const [look, again] = body.spec.ephemeralContainers
    const put = (ephemeralContainers: object[]) =>
      part({ method: 'PUT', body: { ...body, spec: { ...body.spec, ephemeralContainers } } })
    t.match(await put([look]), { status: 422, body: { message: /"again" may not be removed/ } })
    t.match(await put([look, { ...again, image: 'tools:2' }]), {
      status: 422,
      body: { message: /"again" may not be changed/ },
    })
    t.equal((await put([again, look, { name: 'third', image: 'tools:1' }])).status, 200)
    t.match(await ask(`${PODS}/p`, { method: 'PUT', body }), { status: 409 })
    const { resourceVersion: _, ...metadata } = body.metadata
    t.match(await ask(`${PODS}/p`, { method: 'PUT', body: { ...body, metadata } }), {
      status: 422,
      body: { message: /pod updates may not change fields other than/ },
    })
  })

  t.test('are all that their part changes', async t => {
    const { body } = await part()
    const changed = {
      ...body,
      metadata: { ...body.metadata, labels: { app: 'other' }, annotations: { a: 'b' } },
      spec: { ...body.spec, containers: [{ ...body.spec.containers[0], image: 'web:2' }], priority: 5 },
      status: { phase: 'Failed' },
    }
    const answer = await part({ method: 'PUT', body: changed })
    t.equal(answer.status, 200)
    t.strictSame(answer.body, body)
  })

  t.test('may not ask for what pods rely on', async t => {
    const cases: [object, RegExp][] = [
      [
        { ports: [{ containerPort: 80 }] },
        /ephemeralContainers\[3\]\.ports: Forbidden: cannot be set for an Ephemeral Container/,
      ],
      [{ resources: { limits: { cpu: '1' } } }, /\.resources: Forbidden/],
      [{ livenessProbe: { exec: { command: ['true'] } } }, /\.livenessProbe: Forbidden/],
      [{ restartPolicy: 'Always' }, /\.restartPolicy: Forbidden/],
      [{ name: 'main' }, /name: Duplicate value: "main"/],
      [{ targetContainerName: 'look' }, /targetContainerName: Not found: "look"/],
      [{ volumeMounts: [{ name: 'none', mountPath: '/x' }] }, /volumeMounts\[0\]\.name: Not found/],
      [{ image: '' }, /\.image: Required value/],
      [{ name: 'No' }, /\.name: Invalid value/],
    ]
    for (const [fields, message] of cases) {
      const answer = await add({ name: 'x', image: 'i:1', ...fields })
      t.equal(answer.status, 422, JSON.stringify(fields))
      t.match(answer.body.message, message)
    }
    t.equal((await part()).body.spec.ephemeralContainers.length, 3)
  })

  t.test('are not part of new pods and templates, nor of static pods', async t => {
    const ephemeralContainers = [{ name: 'look', image: 'tools:1' }]
    t.match(await ask(PODS, { method: 'POST', body: pod('q', { ephemeralContainers }) }), {
      status: 422,
      body: { message: /spec.ephemeralContainers: Forbidden: cannot be set on create/ },
    })
    const mirror = pod('mirror')
    const annotations = { 'kubernetes.io/config.mirror': 'abc' }
    const made = { ...mirror, metadata: { ...mirror.metadata, annotations } }
    t.match(await ask(PODS, { method: 'POST', body: made }), {
      status: 422,
      body: { message: /must set spec.nodeName if mirror pod annotation is set/ },
    })
    await ask(PODS, { method: 'POST', body: { ...made, spec: { ...made.spec, nodeName: 'n1' } } })
    const merge = { 'content-type': 'application/merge-patch+json' }
    const body = { metadata: { annotations: { 'kubernetes.io/config.mirror': null } } }
    t.match(await ask(`${PODS}/mirror`, { method: 'PATCH', headers: merge, body }), {
      status: 422,
      body: { message: /may not remove or update mirror pod annotation/ },
    })
    const answer = await part(
      { method: 'PATCH', headers: STRATEGIC, body: { spec: { ephemeralContainers } } },
      'mirror',
    )
    t.match(answer, { status: 422, body: { message: /static pods do not support ephemeral containers/ } })
    t.equal((await part({}, 'absent')).status, 404)
  })

  t.test('keep the pod security of their namespace', async t => {
    const labels = { 'pod-security.kubernetes.io/enforce': 'baseline' }
    await ask('/api/v1/namespaces', { method: 'POST', body: { metadata: { name: 'strict', labels } } })
    const pods = '/api/v1/namespaces/strict/pods'
    await ask(pods, { method: 'POST', body: pod('p') })
    const spec = { ephemeralContainers: [{ name: 'x', image: 'i:1', securityContext: { privileged: true } }] }
    const answer = await ask(`${pods}/p/ephemeralcontainers`, {
      method: 'PATCH',
      headers: STRATEGIC,
      body: { spec },
    })
    t.match(answer, { status: 403, body: { message: /privileged/ } })
  })

  t.test('can be applied', async t => {
    await ask(PODS, { method: 'POST', body: pod('applied') })
    const answer = await ask(`${PODS}/applied/ephemeralcontainers?fieldManager=me`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/apply-patch+yaml' },
      body: {
        ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'applied' } },
        spec: { ephemeralContainers: [{ name: 'look', image: 'tools:1' }] },
      },
    })
    t.equal(answer.status, 200)
    t.equal(answer.body.spec.ephemeralContainers.length, 1)
    t.match(answer.body.metadata.managedFields.at(-1), { manager: 'me', subresource: 'ephemeralcontainers' })
  })
})
