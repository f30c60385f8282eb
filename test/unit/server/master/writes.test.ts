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

t.test('pods', async t => {
  const { ask } = await temporaryMaster(t)
  const create = (body: unknown) => ask(PODS, { method: 'POST', body })

  t.test('what a specification must fulfil', async t => {
    const container = (more: object) => ({ containers: [{ name: 'a', image: 'x', ...more }] })
    const cases: [object, RegExp][] = [
      [{ containers: [] }, /spec\.containers: Required value/],
      [{ containers: [{ name: 'A', image: 'x' }] }, /containers\[0\]\.name: Invalid value/],
      [{ containers: [{ name: 'a' }] }, /containers\[0\]\.image: Required value/],
      [
        {
          containers: [
            { name: 'a', image: 'x' },
            { name: 'a', image: 'x' },
          ],
        },
        /Duplicate value: "a"/,
      ],
      [container({ ports: [{ containerPort: 0 }] }), /must be between 1 and 65535/],
      [container({ ports: [{ containerPort: 80, protocol: 'ICMP' }] }), /Unsupported value: "ICMP"/],
      [container({ ports: [{ containerPort: 80, name: 'NO' }] }), /ports\[0\]\.name/],
      [
        container({
          ports: [
            { containerPort: 80, hostPort: 1 },
            { containerPort: 81, hostPort: 1 },
          ],
        }),
        /spec\.containers\[0\]\.ports\[1\]\.hostPort: Duplicate value: "TCP\/\/1"/,
      ],
      [
        {
          containers: ['a', 'b'].map(name => ({
            ...{ name, image: 'x' },
            ports: [{ containerPort: 80, hostPort: 1, hostIP: '192.0.2.1', protocol: 'UDP' }],
          })),
        },
        /spec\.containers\[1\]\.ports\[0\]\.hostPort: Duplicate value: "UDP\/192\.0\.2\.1\/1"/,
      ],
      [
        {
          ...container({}),
          initContainers: [
            {
              ...{ name: 'i', image: 'x' },
              ports: [
                { containerPort: 80, hostPort: 1 },
                { containerPort: 80, hostPort: 1 },
              ],
            },
          ],
        },
        /spec\.initContainers\[0\]\.ports\[1\]\.hostPort: Duplicate value: "TCP\/\/1"/,
      ],
      [container({ env: [{ name: 'a=b' }] }), /environment variable name/],
      [container({ volumeMounts: [{ name: 'v', mountPath: '/x' }] }), /Not found: "v"/],
      [
        container({ resources: { limits: { cpu: '1' }, requests: { cpu: '2' } } }),
        /less than or equal to cpu limit of 1/,
      ],
      [container({ resources: { requests: { memory: '-1' } } }), /greater than or equal to 0/],
      [container({ imagePullPolicy: 'Sometimes' }), /Unsupported value: "Sometimes"/],
      [{ ...container({}), restartPolicy: 'x' }, /restartPolicy/],
      [{ ...container({}), terminationGracePeriodSeconds: -1 }, /terminationGracePeriodSeconds/],
      [{ ...container({}), nodeSelector: { 'a b': '' } }, /nodeSelector/],
      [
        { ...container({}), tolerations: [{ operator: 'Equal' }] },
        /operator must be Exists when `key` is empty/,
      ],
      [{ ...container({}), volumes: [{ name: 'v' }, { name: 'v' }] }, /Duplicate value: "v"/],
      [
        { ...container({}), volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/' } }] },
        /more than 1 volume type/,
      ],
    ]
    for (const [spec, message] of cases) {
      t.match(
        await create(pod('p', spec)),
        { status: 422, body: { reason: 'Invalid', message } },
        String(message),
      )
    }
  })

  t.test('what may change', async t => {
    const made = (await create(pod('fixed', { tolerations: [{ key: 'a', operator: 'Exists' }] }))).body
    const put = (change: (spec: typeof made.spec) => void) => {
      const body = structuredClone(made)
      delete body.metadata.resourceVersion
      change(body.spec)
      return ask(`${PODS}/fixed`, { method: 'PUT', body })
    }
    t.match(await put(spec => Object.assign(spec.containers[0], { image: 'busybox:2' })), {
      status: 200,
      body: { metadata: { generation: 2 } },
    })
    t.match(await put(spec => Object.assign(spec, { activeDeadlineSeconds: 10 })), { status: 200 })
    t.match(await put(() => undefined), { status: 422, body: { message: /activeDeadlineSeconds/ } })
    made.spec.activeDeadlineSeconds = 10
    t.match(await put(spec => spec.tolerations.push({ key: 'b', operator: 'Exists' })), { status: 200 })
    t.match(await put(spec => Object.assign(spec, { tolerations: [] })), { status: 422 })
    t.match(await put(spec => Object.assign(spec, { restartPolicy: 'Never' })), {
      status: 422,
      body: { message: /pod updates may not change fields other than/ },
    })
    t.match(await put(spec => spec.containers.push({ name: 'b', image: 'x' })), {
      status: 422,
      body: { message: /may not add or remove containers/ },
    })
  })

  t.test('quality of service', async t => {
    const qos = async (resources: object) =>
      (
        await create(
          pod(`q${Math.random().toString(36).slice(2)}`, {
            containers: [{ name: 'a', image: 'x', resources }],
          }),
        )
      ).body.status.qosClass
    t.equal(await qos({}), 'BestEffort')
    t.equal(await qos({ requests: { cpu: '1' } }), 'Burstable')
    t.equal(await qos({ limits: { cpu: '1', memory: '1Gi' } }), 'Guaranteed')
    t.equal(await qos({ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } }), 'Burstable')
  })

  t.test('binding', async t => {
    await create(pod('free', { schedulerName: 'nobody' }))
    const bind = (target: object) =>
      ask(`${PODS}/free/binding`, { method: 'POST', body: { metadata: { name: 'free' }, target } })
    t.match(await bind({ kind: 'Node' }), { status: 422 })
    t.match(await bind({ kind: 'Planet', name: 'x' }), { status: 422 })
    t.match(await bind({ kind: 'Node', name: 'n1' }), { status: 201, body: { status: 'Success' } })
    t.match(await bind({ kind: 'Node', name: 'n2' }), {
      status: 409,
      body: { message: /already assigned to node "n1"/ },
    })
    t.match((await ask(`${PODS}/free`)).body, {
      spec: { nodeName: 'n1' },
      status: { conditions: [{ type: 'PodScheduled', status: 'True' }] },
    })
    t.match(await ask(`${PODS}/free/exec?command=ls`), {
      status: 400,
      body: { message: 'Upgrade request required' },
    })
  })
})

t.test('services', async t => {
  const { ask } = await temporaryMaster(t)
  const services = '/api/v1/namespaces/default/services'
  const service = (name: string, spec: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { ports: [{ port: 80 }], ...spec },
  })
  const create = (name: string, spec?: object) => ask(services, { method: 'POST', body: service(name, spec) })

  t.test('addresses', async t => {
    t.equal((await ask(`${services}/kubernetes`)).body.spec.clusterIP, '10.43.0.1')
    const made = await create('a')
    t.match(made.body.spec, {
      clusterIP: /^10\.43\.\d+\.\d+$/,
      clusterIPs: [made.body.spec.clusterIP],
      ports: [{ port: 80, targetPort: 80, protocol: 'TCP' }],
      type: 'ClusterIP',
      internalTrafficPolicy: 'Cluster',
    })
    const ofGo = await create('of-go', { ports: [{ port: 80, targetPort: 0, protocol: 'TCP' }] })
    t.match(ofGo.body.spec, { ports: [{ targetPort: 80 }] }, 'nothing, as programs in Go say it')
    t.match(await create('b', { clusterIP: made.body.spec.clusterIP }), {
      status: 422,
      body: { message: /already allocated/ },
    })
    t.match(await create('b', { clusterIP: '192.0.2.1' }), {
      status: 422,
      body: { message: /not in the valid range/ },
    })
    t.match(await create('b', { clusterIP: 'x' }), { status: 422 })
    t.match(await create('headless', { clusterIP: 'None' }), {
      status: 201,
      body: { spec: { clusterIP: 'None' } },
    })
    t.match(await create('external', { type: 'ExternalName', externalName: 'example.com' }), { status: 201 })
    const kept = await ask(`${services}/a`, { method: 'PUT', body: service('a', { ports: [{ port: 81 }] }) })
    t.equal(kept.body.spec.clusterIP, made.body.spec.clusterIP, 'who leaves it out keeps it')
    const moved = await ask(`${services}/a`, {
      method: 'PUT',
      body: service('a', { clusterIP: '10.43.9.9' }),
    })
    t.match(moved, { status: 422, body: { message: /may not change once set/ } })
    t.equal((await ask(`${services}/a`, { method: 'DELETE' })).status, 200)
    t.match(
      await create('b', { clusterIP: made.body.spec.clusterIP }),
      { status: 201 },
      'a deleted one gives its address back',
    )
  })

  t.test('families: services are single-stack, whatever pods are', async t => {
    const families = async (name: string, spec: object) => (await create(name, spec)).body.spec
    t.match(await families('plain', {}), { ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' })
    const preferring = { ipFamilyPolicy: 'PreferDualStack' }
    t.match(await families('prefers', preferring), { ...preferring, ipFamilies: ['IPv4'] })
    t.match(
      await families('foreign', { clusterIP: 'None' }),
      { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' },
      'endpoints that somebody else writes may be of both families',
    )
    const headless = { clusterIP: 'None', selector: { app: 'web' } }
    t.match(await families('headless-selected', headless), { ipFamilies: ['IPv4'] })
    const refused: readonly [spec: object, message: RegExp][] = [
      [
        { ipFamilyPolicy: 'RequireDualStack' },
        /spec\.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services/,
      ],
      [
        { ipFamilies: ['IPv6'] },
        /spec\.ipFamilies\[0\]: Invalid value: "IPv6": not configured on this cluster/,
      ],
      [{ ipFamilies: ['IPv6'], ...headless }, /spec\.ipFamilies\[0\].*not configured on this cluster/],
      [
        { ipFamilies: ['IPv4', 'IPv6'], ...preferring },
        /spec\.ipFamilies\[1\].*not configured on this cluster/,
      ],
      [
        { ipFamilies: ['IPv4', 'IPv6'] },
        /spec\.ipFamilyPolicy.*must be 'RequireDualStack' or 'PreferDualStack'/,
      ],
      [{ ipFamilies: ['IPv5'] }, /spec\.ipFamilies\[0\]: Unsupported value: "IPv5"/],
      [{ ipFamilies: ['IPv4', 'IPv4'] }, /spec\.ipFamilies\[1\]: Duplicate value/],
      [{ clusterIP: 'fd43::1' }, /spec\.clusterIPs\[0\].*IPv6 is not configured on this cluster/],
      [
        { type: 'ExternalName', externalName: 'example.com', ipFamilyPolicy: 'SingleStack' },
        /spec\.ipFamilyPolicy.*may not be set for ExternalName services/,
      ],
    ]
    for (const [spec, message] of refused) {
      t.match(await create('refused', spec), { status: 422, body: { message } }, JSON.stringify(spec))
    }
    const update = (name: string, spec: object) =>
      ask(`${services}/${name}`, { method: 'PUT', body: service(name, spec) })
    t.match((await update('prefers', {})).body.spec, preferring, 'who leaves it out keeps it')
    t.match(
      (
        await update('foreign', {
          clusterIP: 'None',
          ipFamilyPolicy: 'SingleStack',
          ipFamilies: ['IPv4', 'IPv6'],
        })
      ).body.spec,
      { ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' },
    )
    const external = { type: 'ExternalName', externalName: 'example.com', clusterIP: '' }
    t.match(await update('plain', external), { status: 200, body: { spec: { ipFamilies: undefined } } })
  })

  t.test('a failed or dry create takes nothing', async t => {
    const clusterIP = '10.43.77.77'
    t.match(await create('kubernetes', { clusterIP }), { status: 409 })
    t.match(await ask(`${services}?dryRun=All`, { method: 'POST', body: service('dry', { clusterIP }) }), {
      status: 201,
    })
    t.match(await create('real', { clusterIP }), { status: 201 })
  })

  t.test('node ports', async t => {
    const made = await create('np', { type: 'NodePort' })
    const { nodePort } = made.body.spec.ports[0]
    t.ok(nodePort >= 30_000 && nodePort <= 32_767)
    t.match(await create('np2', { type: 'NodePort', ports: [{ port: 80, nodePort }] }), { status: 422 })
    t.match(await create('np3', { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }), { status: 422 })
    const back = await ask(`${services}/np`, {
      method: 'PUT',
      body: {
        ...made.body,
        spec: { ...made.body.spec, type: 'ClusterIP', externalTrafficPolicy: undefined },
      },
    })
    t.equal(back.status, 200)
    t.notOk('nodePort' in back.body.spec.ports[0])
    t.match(await create('np4', { type: 'NodePort', ports: [{ port: 80, nodePort }] }), { status: 201 })
  })

  t.test('ports where balancers ask for endpoints', async t => {
    const local = { type: 'LoadBalancer', externalTrafficPolicy: 'Local' }
    const made = await create('lb', local)
    const { healthCheckNodePort } = made.body.spec
    t.ok(healthCheckNodePort >= 30_000 && healthCheckNodePort <= 32_767)
    t.not(healthCheckNodePort, made.body.spec.ports[0].nodePort)
    t.match(await create('lb2', { ...local, healthCheckNodePort }), { status: 422 }, 'it is taken')
    t.match(await create('lb3', { type: 'LoadBalancer', healthCheckNodePort: 30_999 }), { status: 422 })
    const merge = { 'content-type': 'application/merge-patch+json' }
    const patch = (spec: object) =>
      ask('/api/v1/namespaces/default/services/lb', { method: 'PATCH', body: { spec }, headers: merge })
    t.equal((await patch({ healthCheckNodePort: 30_998 })).status, 422, 'it does not change')
    t.equal((await patch({ sessionAffinity: 'ClientIP' })).body.spec.healthCheckNodePort, healthCheckNodePort)
    t.notOk('healthCheckNodePort' in (await patch({ externalTrafficPolicy: 'Cluster' })).body.spec)
    t.match(await create('lb4', { ...local, healthCheckNodePort }), { status: 201 }, 'it is free again')
    t.match(await create('lb5', { loadBalancerSourceRanges: ['10.0.0.0/8'] }), { status: 422 })
    const ranged = (range: string) => ({ type: 'LoadBalancer', loadBalancerSourceRanges: [range] })
    t.match(await create('lb6', ranged('10.0.0.0')), { status: 422 })
    t.match(await create('lb7', ranged('10.0.0.0/8')), { status: 201 })
    t.match(await create('lb8', { trafficDistribution: 'Nearby' }), { status: 422 })
  })

  t.test('what a specification must fulfil', async t => {
    t.match(await create('x', { ports: [] }), {
      status: 422,
      body: { message: /spec\.ports: Required value/ },
    })
    t.match(await create('x', { ports: [{ port: 0 }] }), { status: 422 })
    t.match(await create('x', { ports: [{ port: 1 }, { port: 2 }] }), {
      status: 422,
      body: { message: /name: Required value/ },
    })
    t.match(await create('1x'), { status: 422, body: { message: /DNS-1035/ } })
    t.match(await create('x', { type: 'ExternalName' }), { status: 422, body: { message: /externalName/ } })
  })
})

t.test('events have two faces', async t => {
  const { ask } = await temporaryMaster(t)
  const made = await ask('/api/v1/namespaces/default/events', {
    method: 'POST',
    body: {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'e1' },
      involvedObject: { kind: 'Pod', namespace: 'default', name: 'p' },
      reason: 'Tested',
      message: 'hello',
      type: 'Normal',
    },
  })
  t.equal(made.status, 201)
  const face = '/apis/events.k8s.io/v1/namespaces/default/events'
  t.match((await ask(`${face}/e1`)).body, {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    note: 'hello',
    regarding: { name: 'p' },
  })
  const other = await ask(face, {
    method: 'POST',
    body: {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: 'e2' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      regarding: { kind: 'Pod', namespace: 'default', name: 'p' },
      note: 'other',
      reportingController: 'test',
    },
  })
  t.match(other, { status: 201, body: { note: 'other' } })
  t.match((await ask('/api/v1/namespaces/default/events/e2')).body, {
    apiVersion: 'v1',
    message: 'other',
    involvedObject: { name: 'p' },
    reportingComponent: 'test',
  })
  const headers = { 'content-type': 'application/merge-patch+json' }
  t.match(await ask(`${face}/e2`, { method: 'PATCH', body: { note: 'changed' }, headers }), {
    body: { note: 'changed' },
  })
  const list = await ask(face)
  t.match(list.body, {
    kind: 'EventList',
    apiVersion: 'events.k8s.io/v1',
    items: [{ note: 'hello' }, { note: 'changed' }],
  })
  const selected = await ask('/api/v1/events?fieldSelector=involvedObject.name=p,reason=Tested')
  t.equal(selected.body.items.length, 1)
  const reported = await ask(`${face}?fieldSelector=reportingController=test,regarding.name=p`)
  t.match(reported.body.items, [{ metadata: { name: 'e2' } }])
  t.equal((await ask(`${face}?fieldSelector=involvedObject.name=p`)).status, 400, 'a name of the other face')
  const strange = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e3' },
    involvedObject: { namespace: 'other' },
  }
  t.equal((await ask('/api/v1/namespaces/default/events', { method: 'POST', body: strange })).status, 422)
})

t.test('whom network policies name', async t => {
  const { ask } = await temporaryMaster(t)
  const create = (name: string, ...from: object[]) =>
    ask('/apis/networking.k8s.io/v1/namespaces/default/networkpolicies', {
      method: 'POST',
      body: {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name },
        spec: { podSelector: {}, ingress: [{ from }] },
      },
    })
  const block = (cidr: string, ...except: string[]) => ({ ipBlock: { cidr, except } })
  const good = [
    block('10.0.0.0/8', '10.1.0.0/16'),
    block('10.0.0.5/8'),
    block('fd42::/96', 'fd42::a2a:0/112', 'fd42::1/128'),
    block('::/0', '::/1'),
    { podSelector: {}, namespaceSelector: {} },
  ]
  t.equal((await create('good', ...good)).status, 201)
  const at = 'spec\\.ingress\\[0\\]\\.from\\[0\\]'
  const refused: readonly [peer: object, message: string][] = [
    [block('fd42::/129'), `${at}\\.ipBlock\\.cidr: Invalid value: "fd42::/129": must be a valid CIDR value`],
    [block('10.0.0.0'), `${at}\\.ipBlock\\.cidr: Invalid value`],
    [block(''), `${at}\\.ipBlock\\.cidr: Required value`],
    [
      block('fd42::/96', 'x'),
      `${at}\\.ipBlock\\.except\\[0\\]: Invalid value: "x": must be a valid CIDR value`,
    ],
    [block('fd42::/96', 'fd42::/96'), `${at}\\.ipBlock\\.except\\[0\\].*must be a strict subset of \`cidr\``],
    [block('fd42::/96', 'fd43::/112'), 'must be a strict subset'],
    [block('::/0', '10.0.0.0/8'), 'must be a strict subset'],
    [{}, `${at}: Required value: must specify a peer`],
    [
      { ...block('::/0'), podSelector: {} },
      `${at}: Forbidden: may not specify both ipBlock and another peer`,
    ],
  ]
  for (const [peer, message] of refused) {
    t.match(await create('refused', peer), { status: 422, body: { message: new RegExp(message) } }, message)
  }
})

t.test('kinds that nothing acts on say so', async t => {
  const { ask } = await temporaryMaster(t)
  const place = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations'
  const made = await ask(place, {
    method: 'POST',
    body: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'w' },
      webhooks: [],
    },
  })
  t.equal(made.status, 201)
  t.match(made.headers.warning, /does not act on them/)
})
