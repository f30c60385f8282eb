/** Creating, updating and patching, over HTTP. */
import t from 'tap'
import { node, pod, temporaryMaster } from './temporary-master.ts'

const PODS = '/api/v1/namespaces/default/pods'
const MAPS = '/api/v1/namespaces/default/configmaps'

function map(name: string, data: object = {}, metadata: object = {}) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data }
}

t.test('create', async t => {
  const { ask } = await temporaryMaster(t)

  t.test('sets what the server sets, and nothing that the client must not', async t => {
    const { status, body } = await ask(PODS, {
      method: 'POST',
      body: pod(
        'a',
        {},
        {
          uid: 'mine',
          creationTimestamp: '2000-01-01T00:00:00Z',
          deletionTimestamp: '2000-01-01T00:00:00Z',
          generation: 7,
          managedFields: [{ manager: 'x' }],
        },
      ),
    })
    t.equal(status, 201)
    t.match(body, {
      kind: 'Pod',
      apiVersion: 'v1',
      metadata: {
        name: 'a',
        namespace: 'default',
        generation: 1,
        resourceVersion: /^\d+$/,
        uid: /^[0-9a-f-]{36}$/,
      },
      spec: {
        restartPolicy: 'Always',
        serviceAccountName: 'default',
        containers: [{ imagePullPolicy: 'IfNotPresent' }],
      },
      status: { phase: 'Pending', qosClass: 'BestEffort' },
    })
    t.notOk('deletionTimestamp' in body.metadata)
    t.not(body.metadata.managedFields[0].manager, 'somebody else')
    t.not(body.metadata.creationTimestamp, '2000-01-01T00:00:00Z')
    t.equal((await ask(`${PODS}/a`)).body.metadata.uid, body.metadata.uid)
  })

  t.test('generated names', async t => {
    const body = map('', {}, { generateName: 'made-' })
    const names = await Promise.all([1, 2, 3].map(() => ask(MAPS, { method: 'POST', body })))
    for (const answer of names) t.match(answer.body.metadata.name, /^made-[a-z0-9]{5}$/)
    t.equal(new Set(names.map(answer => answer.body.metadata.name)).size, 3)
  })

  t.test('refusals', async t => {
    const cases: [string, unknown, number, RegExp][] = [
      [MAPS, map('twice'), 201, /^$/],
      [MAPS, map('twice'), 409, /configmaps "twice" already exists/],
      [MAPS, map(''), 422, /name or generateName is required/],
      [MAPS, map('Bad_Name'), 422, /RFC 1123 subdomain/],
      [MAPS, { ...map('x'), kind: 'Secret' }, 400, /kind in the data \(Secret\)/],
      [MAPS, { ...map('x'), apiVersion: 'v2' }, 400, /API version in the data \(v2\)/],
      [MAPS, map('x', {}, { namespace: 'other' }), 400, /does not match the namespace/],
      [MAPS, map('x', {}, { resourceVersion: '5' }), 400, /resourceVersion should not be set/],
      [MAPS, map('x', { '../x': 'y' }), 422, /must not start with '\.\.'/],
      [MAPS, map('x', {}, { labels: { 'a b': 'c' } }), 422, /metadata\.labels/],
      [MAPS, map('x', {}, { annotations: { a: 'x'.repeat(300_000) } }), 422, /Too long/],
      [MAPS, map('x', { a: 'x'.repeat(1_100_000) }), 422, /Too long/],
      [MAPS, 'not json', 400, /not valid JSON/],
      [MAPS, [], 400, /must be a JSON object/],
      [MAPS, '', 400, /must not be empty/],
      ['/api/v1/namespaces/nowhere/configmaps', map('x'), 404, /namespaces "nowhere" not found/],
      ['/api/v1/configmaps', map('x'), 405, /does not allow this method/],
      [`${MAPS}?dryRun=Some`, map('x'), 400, /dryRun/],
      [`${MAPS}?fieldValidation=Perhaps`, map('x'), 400, /fieldValidation/],
      ['/api/v1/nowhere', {}, 404, /could not find the requested resource/],
      ['/apis/apps/v2/namespaces/default/deployments', {}, 404, /could not find the requested resource/],
    ]
    for (const [path, body, status, message] of cases) {
      const answer = await ask(path, { method: 'POST', body })
      t.equal(answer.status, status, `${path} ${JSON.stringify(body).slice(0, 60)}`)
      if (status === 201) continue
      t.match(answer.body, { kind: 'Status', status: 'Failure', code: status, message })
    }
  })

  t.test('unknown fields: strict, warn, ignore', async t => {
    const body = { ...map('f'), surprise: 1, metadata: { name: 'f', extra: 2 } }
    const strict = await ask(`${MAPS}?fieldValidation=Strict`, { method: 'POST', body })
    t.match(strict, {
      status: 400,
      body: { message: /unknown field "metadata\.extra", unknown field "surprise"/ },
    })
    const warn = await ask(`${MAPS}?dryRun=All`, { method: 'POST', body })
    t.equal(warn.status, 201)
    t.match(warn.headers.warning, /299 - "unknown field .*surprise/)
    const ignore = await ask(`${MAPS}?fieldValidation=Ignore`, { method: 'POST', body })
    t.equal(ignore.status, 201)
    t.equal(ignore.headers.warning, undefined)
    t.notOk('surprise' in ignore.body)
  })

  t.test('a dry run writes nothing', async t => {
    const answer = await ask(`${MAPS}?dryRun=All`, { method: 'POST', body: map('dry') })
    t.equal(answer.status, 201)
    t.equal((await ask(`${MAPS}/dry`)).status, 404)
  })

  t.test('YAML in, YAML out; alias bombs and other formats are refused', async t => {
    const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  a: "1"\n'
    const made = await ask(MAPS, {
      method: 'POST',
      body: yaml,
      headers: { 'content-type': 'application/yaml' },
    })
    t.equal(made.status, 201)
    const shown = await ask(`${MAPS}/yaml`, { headers: { accept: 'application/yaml' } })
    t.equal(shown.headers['content-type'], 'application/yaml')
    t.match(shown.text, /^kind: ConfigMap$/m)
    const levels = ['a: &a0 [x,x,x,x,x,x,x,x,x,x]']
    for (let level = 1; level < 9; level += 1) {
      levels.push(
        `a${level}: &a${level} [${Array(10)
          .fill(`*a${level - 1}`)
          .join(',')}]`,
      )
    }
    const headers = { 'content-type': 'application/yaml' }
    t.equal((await ask(MAPS, { method: 'POST', body: levels.join('\n'), headers })).status, 400)
    t.equal((await ask(MAPS, { method: 'POST', body: 'a: [', headers })).status, 400)
    const odd = { 'content-type': 'application/xml' }
    t.match(await ask(MAPS, { method: 'POST', body: '<a/>', headers: odd }), {
      status: 415,
      body: { reason: 'UnsupportedMediaType' },
    })
  })

  t.test('bodies over 3 MiB', async t => {
    const answer = await ask(MAPS, {
      method: 'POST',
      body: JSON.stringify(map('big', { a: 'x'.repeat(3 << 20) })),
    })
    t.match(answer, { status: 413, body: { reason: 'RequestEntityTooLarge' } })
  })
})

t.test('update', async t => {
  const { ask } = await temporaryMaster(t)
  const first = (await ask(MAPS, { method: 'POST', body: map('m', { a: '1' }) })).body

  t.test('with and without a version', async t => {
    const second = await ask(`${MAPS}/m`, { method: 'PUT', body: { ...first, data: { a: '2' } } })
    t.match(second, { status: 200, body: { data: { a: '2' }, metadata: { uid: first.metadata.uid } } })
    const stale = await ask(`${MAPS}/m`, { method: 'PUT', body: { ...first, data: { a: '3' } } })
    t.match(stale, { status: 409, body: { reason: 'Conflict', message: /the object has been modified/ } })
    const free = await ask(`${MAPS}/m`, { method: 'PUT', body: map('m', { a: '4' }) })
    t.match(free, { status: 200, body: { data: { a: '4' } } })
    t.equal(free.body.metadata.creationTimestamp, first.metadata.creationTimestamp)
  })

  t.test('nothing changed is no new version', async t => {
    const before = (await ask(`${MAPS}/m`)).body
    const { data, kind, apiVersion, metadata } = before
    const again = await ask(`${MAPS}/m`, { method: 'PUT', body: { data, metadata, kind, apiVersion } })
    t.equal(again.body.metadata.resourceVersion, before.metadata.resourceVersion)
    const patched = await ask(`${MAPS}/m`, {
      method: 'PATCH',
      body: { data },
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    t.equal(patched.body.metadata.resourceVersion, before.metadata.resourceVersion)
  })

  t.test('refusals', async t => {
    const cases: [string, object, number, RegExp][] = [
      ['absent', map('absent'), 404, /configmaps "absent" not found/],
      ['m', map('other'), 400, /does not match the name on the URL/],
      ['m', { data: {} }, 400, /name must be provided/],
      ['m', map('m', {}, { uid: 'x' }), 409, /Precondition failed: UID/],
      ['m', map('m', {}, { namespace: 'x' }), 400, /namespace/],
    ]
    for (const [name, body, status, message] of cases) {
      t.match(await ask(`${MAPS}/${name}`, { method: 'PUT', body }), { status, body: { message } })
    }
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'l' }, spec: {} }
    const leases = '/apis/coordination.k8s.io/v1/namespaces/default/leases'
    t.equal(
      (await ask(`${leases}/l`, { method: 'PUT', body: lease })).status,
      201,
      'leases are created on update',
    )
    t.match(await ask(`${leases}/l`, { method: 'PUT', body: lease }), {
      status: 422,
      body: { message: /must be specified for an update/ },
    })
  })

  t.test('immutable ConfigMaps and Secrets', async t => {
    await ask(MAPS, { method: 'POST', body: { ...map('fixed', { a: '1' }), immutable: true } })
    const changed = await ask(`${MAPS}/fixed`, {
      method: 'PUT',
      body: { ...map('fixed', { a: '2' }), immutable: true },
    })
    t.match(changed, { status: 422, body: { message: /field is immutable when `immutable` is set/ } })
    const secrets = '/api/v1/namespaces/default/secrets'
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { a: 'ä' } }
    const made = await ask(secrets, { method: 'POST', body: secret })
    t.same(made.body.data, { a: Buffer.from('ä').toString('base64') })
    t.notOk('stringData' in made.body)
    t.equal(made.body.type, 'Opaque')
    t.match(await ask(`${secrets}/s`, { method: 'PUT', body: { ...secret, type: 'other' } }), {
      status: 422,
      body: { message: /type: Invalid value: "other": field is immutable/ },
    })
    t.match(
      await ask(secrets, {
        method: 'POST',
        body: { ...secret, metadata: { name: 't' }, type: 'kubernetes.io/tls' },
      }),
      {
        status: 422,
        body: { message: /data\[tls\.crt\]: Required value/ },
      },
    )
    t.equal(
      (await ask(secrets, { method: 'POST', body: { ...secret, stringData: {}, data: { a: '%' } } })).status,
      400,
    )
  })

  t.test('the status is a part of its own', async t => {
    await ask('/api/v1/nodes', { method: 'POST', body: node('n') })
    const whole = (await ask('/api/v1/nodes/n')).body
    whole.spec = { unschedulable: true }
    whole.status.phase = 'Odd'
    const spec = await ask('/api/v1/nodes/n', { method: 'PUT', body: whole })
    t.equal(spec.body.spec.unschedulable, true)
    t.notOk('phase' in spec.body.status)
    const status = await ask('/api/v1/nodes/n/status', {
      method: 'PUT',
      body: { ...spec.body, spec: {}, status: { phase: 'New' } },
    })
    t.equal(status.body.status.phase, 'New')
    t.equal(status.body.spec.unschedulable, true)
    t.equal((await ask('/api/v1/nodes/n/status')).body.kind, 'Node')
  })

  t.test('concurrent patches all count', async t => {
    await ask(MAPS, { method: 'POST', body: map('busy') })
    const headers = { 'content-type': 'application/merge-patch+json' }
    const patches = Array.from({ length: 50 }, (_, index) =>
      ask(`${MAPS}/busy`, { method: 'PATCH', body: { data: { [`k${index}`]: 'v' } }, headers }),
    )
    for (const { status } of await Promise.all(patches)) t.equal(status, 200)
    t.equal(Object.keys((await ask(`${MAPS}/busy`)).body.data).length, 50)
  })

  t.test('patches', async t => {
    const patch = (type: string, body: unknown, name = 'm') =>
      ask(`${MAPS}/${name}`, { method: 'PATCH', body, headers: { 'content-type': type } })
    const version = (await ask(`${MAPS}/m`)).body.metadata.resourceVersion
    t.match(await patch('application/strategic-merge-patch+json', { data: { z: '1' } }), {
      status: 200,
      body: { data: { z: '1' } },
    })
    t.match(await patch('application/json-patch+json', [{ op: 'remove', path: '/data/z' }]), { status: 200 })
    t.match(
      await patch('application/merge-patch+json', {
        metadata: { resourceVersion: version },
        data: { q: '1' },
      }),
      {
        status: 409,
      },
    )
    t.match(await patch('application/merge-patch+json', { metadata: { name: 'other' } }), { status: 400 })
    t.match(await patch('application/merge-patch+json', { kind: 'Secret' }), { status: 400 })
    t.match(await patch('application/merge-patch+json', { data: { a: 1 } }), { status: 400 })
    t.match(await patch('application/json-patch+json', [{ op: 'test', path: '/data/a', value: 'no' }]), {
      status: 422,
    })
    t.match(await patch('application/merge-patch+json', {}, 'absent'), { status: 404 })
    t.match(await patch('application/apply-patch+yaml', {}), { status: 422 })
    t.match(await patch('application/what+json', {}), { status: 415 })
    t.match(await patch('application/merge-patch+json', null), { status: 400 })
  })
})

t.test('kinds that nothing acts on say so', async t => {
  const { ask } = await temporaryMaster(t)
  const place = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings'
  const made = await ask(place, {
    method: 'POST',
    body: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name: 'b' },
      spec: { policyName: 'p', validationActions: ['Deny'] },
    },
  })
  t.equal(made.status, 201)
  t.match(made.headers.warning, /does not act on them/)
})
