/** What clusters change of new objects, and refuse although they are well formed. */
import t from 'tap'
import { eventually, pod, temporaryMaster } from './temporary-master.ts'

t.test('admission', async t => {
  const { ask } = await temporaryMaster(t)
  const post = (path: string, body: object) => ask(path, { method: 'POST', body })
  let count = 0
  /** A namespace of its own for each test. */
  const namespace = async (labels: object = {}) => {
    count += 1
    const name = `ns${count}`
    t.equal((await post('/api/v1/namespaces', { metadata: { name, labels } })).status, 201)
    return `/api/v1/namespaces/${name}`
  }
  const container = (resources: object, more: object = {}) => ({
    name: 'main',
    image: 'a:1',
    resources,
    ...more,
  })

  t.test('a pod gets account, tolerations and priority, at once in a new namespace', async t => {
    const ns = await namespace()
    const made = await post(`${ns}/pods`, pod('web'))
    t.equal(made.status, 201)
    t.match(made.body.spec, {
      serviceAccountName: 'default',
      priority: 0,
      preemptionPolicy: 'PreemptLowerPriority',
      tolerations: [
        { key: 'node.kubernetes.io/not-ready', effect: 'NoExecute', tolerationSeconds: 300 },
        { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute', tolerationSeconds: 300 },
      ],
    })
    t.match(await post(`${ns}/pods`, pod('x', { serviceAccountName: 'absent' })), {
      status: 403,
      body: { message: /error looking up service account ns1\/absent: serviceaccount "absent" not found$/ },
    })
    await post(`${ns}/serviceaccounts`, { metadata: { name: 'puller' }, imagePullSecrets: [{ name: 'key' }] })
    const pulled = await post(`${ns}/pods`, pod('pulled', { serviceAccountName: 'puller' }))
    t.strictSame(pulled.body.spec.imagePullSecrets, [{ name: 'key' }])
  })

  t.test('priority classes', async t => {
    const ns = await namespace()
    const classes = '/apis/scheduling.k8s.io/v1/priorityclasses'
    await post(classes, { metadata: { name: 'high' }, value: 1000, preemptionPolicy: 'Never' })
    const high = await post(`${ns}/pods`, pod('high', { priorityClassName: 'high' }))
    t.match(high.body.spec, { priority: 1000, preemptionPolicy: 'Never' })
    t.match(await post(`${ns}/pods`, pod('none', { priorityClassName: 'none' })), {
      status: 403,
      body: { message: /no PriorityClass with name none was found/ },
    })
    t.equal((await post(`${ns}/pods`, pod('own', { priority: 7 }))).status, 403)
    t.equal(
      (await post(classes, { metadata: { name: 'usual' }, value: 10, globalDefault: true })).status,
      201,
    )
    t.equal(
      (await post(classes, { metadata: { name: 'other' }, value: 11, globalDefault: true })).status,
      403,
    )
    const usual = await post(`${ns}/pods`, pod('usual'))
    t.match(usual.body.spec, { priority: 10, priorityClassName: 'usual' })
    await ask(`${classes}/usual`, { method: 'DELETE' })
  })

  t.test('limit ranges', async t => {
    const ns = await namespace()
    const limits = [
      {
        type: 'Container',
        default: { cpu: '500m' },
        defaultRequest: { cpu: '100m' },
        min: { cpu: '50m' },
        max: { cpu: '1' },
        maxLimitRequestRatio: { cpu: '5' },
      },
      { type: 'Pod', max: { cpu: '1500m' } },
      { type: 'PersistentVolumeClaim', max: { storage: '1Gi' } },
    ]
    await post(`${ns}/limitranges`, { metadata: { name: 'limits' }, spec: { limits } })
    const plain = await post(`${ns}/pods`, pod('plain'))
    t.equal(plain.status, 201)
    t.strictSame(plain.body.spec.containers[0].resources, {
      limits: { cpu: '500m' },
      requests: { cpu: '100m' },
    })
    t.equal(plain.body.status.qosClass, 'Burstable')
    t.equal(
      plain.body.metadata.annotations['kubernetes.io/limit-ranger'],
      'LimitRanger plugin set: cpu request for container main; cpu limit for container main',
    )
    const refused = async (resources: object, message: RegExp) =>
      t.match(await post(`${ns}/pods`, pod('no', { containers: [container(resources)] })), {
        status: 403,
        body: { message },
      })
    await refused(
      { requests: { cpu: '10m' }, limits: { cpu: '20m' } },
      /minimum cpu usage per Container is 50m, but request is 10m/,
    )
    await refused({ limits: { cpu: '2' } }, /maximum cpu usage per Container is 1, but limit is 2/)
    await refused(
      { requests: { cpu: '100m' }, limits: { cpu: '1' } },
      /cpu max limit to request ratio per Container is 5, but provided ratio is 10\.000000/,
    )
    const two = [
      container({ limits: { cpu: '1' } }),
      { ...container({ limits: { cpu: '1' } }), name: 'second' },
    ]
    t.match(await post(`${ns}/pods`, pod('two', { containers: two })), {
      status: 403,
      body: { message: /maximum cpu usage per Pod is 1500m, but limit is 2/ },
    })
    const claim = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '2Gi' } } }
    t.match(await post(`${ns}/persistentvolumeclaims`, { metadata: { name: 'big' }, spec: claim }), {
      status: 403,
      body: { message: /maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi/ },
    })
  })

  t.test('quotas', async t => {
    const ns = await namespace()
    const hard = { pods: '5', 'requests.cpu': '1', 'count/deployments.apps': '1', 'services.nodeports': '1' }
    await post(`${ns}/resourcequotas`, { metadata: { name: 'small' }, spec: { hard } })
    const asking = (name: string, cpu: string) =>
      pod(name, { containers: [container({ requests: { cpu } })] })
    t.match(await post(`${ns}/pods`, pod('silent')), {
      status: 403,
      body: { message: /failed quota: small: must specify requests\.cpu for: main/ },
    })
    t.equal((await post(`${ns}/pods`, asking('one', '600m'))).status, 201)
    t.match(await post(`${ns}/pods`, asking('two', '500m')), {
      status: 403,
      body: {
        message:
          'pods "two" is forbidden: exceeded quota: small, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1',
      },
    })
    // Ten at once: exactly as many as there is room for.
    const together = await Promise.all(
      Array.from({ length: 10 }, (_, index) => post(`${ns}/pods`, asking(`many-${index}`, '1m'))),
    )
    t.equal(together.filter(({ status }) => status === 201).length, 4)
    const apps = ns.replace('/api/v1', '/apis/apps/v1')
    const deployment = (name: string) => ({
      metadata: { name },
      spec: {
        replicas: 0,
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'a', image: 'a:1' }] } },
      },
    })
    t.equal((await post(`${apps}/deployments`, deployment('first'))).status, 201)
    t.equal((await post(`${apps}/deployments`, deployment('second'))).status, 403)
    const ports = [
      { name: 'a', port: 80 },
      { name: 'b', port: 81 },
    ]
    t.equal(
      (await post(`${ns}/services`, { metadata: { name: 'np' }, spec: { type: 'NodePort', ports } })).status,
      403,
    )
    t.equal((await post(`${ns}/services`, { metadata: { name: 'ip' }, spec: { ports } })).status, 201)
    await ask(`${ns}/pods/one`, { method: 'DELETE' })
    t.equal((await post(`${ns}/pods`, asking('again', '900m'))).status, 201, 'there is room again')
  })

  t.test('quotas on what changes', async t => {
    const ns = await namespace()
    const hard = {
      'services.nodeports': '2',
      'services.loadbalancers': '1',
      'requests.storage': '3Gi',
      'fast.storageclass.storage.k8s.io/requests.storage': '1Gi',
    }
    await post(`${ns}/resourcequotas`, { metadata: { name: 'small' }, spec: { hard } })
    const used = async () => (await ask(`${ns}/resourcequotas/small`)).body.status.used
    const change = (place: string, body: object, query = '') =>
      ask(`${ns}/${place}${query}`, {
        method: 'PATCH',
        body,
        headers: { 'content-type': 'application/merge-patch+json' },
      })
    const ports = [{ name: 'a', port: 80 }]
    const more = [...ports, { name: 'b', port: 81 }, { name: 'c', port: 82 }]
    for (const name of ['one', 'two']) await post(`${ns}/services`, { metadata: { name }, spec: { ports } })
    const type = (name: string) => ({ spec: { type: name } })
    t.equal((await change('services/one', type('LoadBalancer'), '?dryRun=All')).status, 200)
    t.equal((await change('services/one', type('LoadBalancer'))).status, 200)
    t.match(await change('services/two', type('LoadBalancer')), {
      status: 403,
      body: {
        message:
          'services "two" is forbidden: exceeded quota: small, requested: services.loadbalancers=1, used: services.loadbalancers=1, limited: services.loadbalancers=1',
      },
    })
    t.equal((await change('services/two', type('NodePort'))).status, 200)
    t.match(await change('services/two', { spec: { ports: more } }, '?dryRun=All'), {
      status: 403,
      body: { message: /requested: services\.nodeports=2, used: services\.nodeports=2, limited/ },
    })
    t.match(await change('services/two', { spec: { ports: more } }), { status: 403 })
    t.equal((await ask(`${ns}/services/two`)).body.spec.ports.length, 1, 'nothing of it has happened')
    t.equal((await change('services/two', { metadata: { labels: { a: 'b' } } })).status, 200)
    t.equal((await change('services/one', type('ClusterIP'))).status, 200)
    t.equal((await change('services/two', type('LoadBalancer'))).status, 200, 'there is room again')
    const plain = (await ask(`${ns}/services/one`)).body
    const replaced = { ...plain, spec: { ...plain.spec, type: 'LoadBalancer' } }
    t.equal((await ask(`${ns}/services/one`, { method: 'PUT', body: replaced })).status, 403)

    const claim = (name: string, storage: string, storageClassName?: string) =>
      post(`${ns}/persistentvolumeclaims`, {
        metadata: { name },
        spec: {
          accessModes: ['ReadWriteOnce'],
          resources: { requests: { storage } },
          ...(storageClassName === undefined ? {} : { storageClassName }),
        },
      })
    const size = (storage: string) => ({ spec: { resources: { requests: { storage } } } })
    for (const name of ['a', 'b']) t.equal((await claim(name, '1Gi', 'other')).status, 201)
    t.match(await change('persistentvolumeclaims/a', size('3Gi')), {
      status: 403,
      body: {
        message:
          /requested: requests\.storage=2Gi, used: requests\.storage=2Gi, limited: requests\.storage=3Gi/,
      },
    })
    // Both would fit alone.
    const together = await Promise.all(
      ['a', 'b'].map(name => change(`persistentvolumeclaims/${name}`, size('2Gi'))),
    )
    t.strictSame(together.map(({ status }) => status).toSorted(), [200, 403])
    await eventually(async () => (await used())['requests.storage'] === '3Gi', 'the quota says so')
    await eventually(async () => (await used())['services.nodeports'] === '1', 'of services, too')
    t.equal(
      (await change('resourcequotas/small', { spec: { hard: { 'requests.storage': '1Gi' } } })).status,
      200,
    )
    t.equal(
      (await change('persistentvolumeclaims/a', { metadata: { labels: { a: 'b' } } })).status,
      200,
      'what takes nothing more is not refused',
    )
  })

  t.test('quotas with scopes', async t => {
    const ns = await namespace()
    await post(`${ns}/resourcequotas`, {
      metadata: { name: 'best-effort' },
      spec: { hard: { pods: '1' }, scopes: ['BestEffort'] },
    })
    t.equal((await post(`${ns}/pods`, pod('a'))).status, 201)
    t.equal((await post(`${ns}/pods`, pod('b'))).status, 403)
    const burstable = pod('c', { containers: [container({ requests: { cpu: '1m' } })] })
    t.equal((await post(`${ns}/pods`, burstable)).status, 201)
  })

  t.test('pod security', async t => {
    const level = (name: string) => ({ 'pod-security.kubernetes.io/enforce': name })
    const baseline = await namespace(level('baseline'))
    const securing = (securityContext: object, more: object = {}) =>
      pod('p', { containers: [{ ...container({}), securityContext }], ...more })
    const refused = async (ns: string, body: object, message: string) =>
      t.match(await post(`${ns}/pods`, body), { status: 403, body: { message } })
    await refused(
      baseline,
      securing({ privileged: true }, { hostNetwork: true, hostPID: true }),
      'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true, hostPID=true), privileged (container "main" must not set securityContext.privileged=true)',
    )
    await refused(
      baseline,
      securing({ capabilities: { add: ['NET_ADMIN', 'CHOWN'] } }),
      'pods "p" is forbidden: violates PodSecurity "baseline:latest": non-default capabilities (container "main" must not include "NET_ADMIN" in securityContext.capabilities.add)',
    )
    await refused(
      baseline,
      pod('p', { volumes: [{ name: 'root', hostPath: { path: '/' } }] }),
      'pods "p" is forbidden: violates PodSecurity "baseline:latest": hostPath volumes (volume "root")',
    )
    t.equal((await post(`${baseline}/pods`, pod('fine'))).status, 201)

    const restricted = await namespace({
      ...level('restricted'),
      'pod-security.kubernetes.io/enforce-version': 'v1.30',
    })
    await refused(
      restricted,
      pod('p'),
      'pods "p" is forbidden: violates PodSecurity "restricted:v1.30": allowPrivilegeEscalation != false (container "main" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "main" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "main" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    )
    const good = {
      allowPrivilegeEscalation: false,
      runAsNonRoot: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    }
    t.equal((await post(`${restricted}/pods`, securing(good))).status, 201)

    const warned = await namespace({ 'pod-security.kubernetes.io/warn': 'baseline' })
    const made = await post(`${warned}/pods`, securing({ privileged: true }))
    t.equal(made.status, 201)
    t.match(made.headers.warning, /would violate PodSecurity \\"baseline:latest\\"/)
    const template = {
      metadata: { labels: { a: 'b' } },
      spec: { hostPID: true, containers: [container({})] },
    }
    const deployment = await post(`${warned.replace('/api/v1', '/apis/apps/v1')}/deployments`, {
      metadata: { name: 'd' },
      spec: { replicas: 0, selector: { matchLabels: { a: 'b' } }, template },
    })
    t.match(deployment.headers.warning, /host namespaces \(hostPID=true\)/)
    t.match(await post('/api/v1/namespaces', { metadata: { name: 'wrong', labels: level('none') } }), {
      status: 422,
    })

    t.test('is not asked again for what was admitted', async t => {
      const ns = await namespace()
      await post(`${ns}/pods`, {
        ...securing({ privileged: true }),
        metadata: { name: 'p', finalizers: ['a.b/c'] },
      })
      const merge = (path: string, body: object) =>
        ask(path, { method: 'PATCH', body, headers: { 'content-type': 'application/merge-patch+json' } })
      await merge(ns, { metadata: { labels: level('restricted') } })
      t.equal((await merge(`${ns}/pods/p`, { metadata: { finalizers: null } })).status, 200)
      t.equal(
        (await merge(`${ns}/pods/p`, { spec: { containers: [{ name: 'main', image: 'b:1' }] } })).status,
        422,
      )
    })
  })

  t.test('claims get the default storage class', async t => {
    const ns = await namespace()
    const classes = '/apis/storage.k8s.io/v1/storageclasses'
    const key = 'storageclass.kubernetes.io/is-default-class'
    // Every cluster has one; whoever has another says that it is not the default any more.
    await ask(`${classes}/drover-local`, {
      method: 'PATCH',
      body: { metadata: { annotations: { [key]: 'false' } } },
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    const annotations = { [key]: 'true' }
    await post(classes, { metadata: { name: 'usual', annotations }, provisioner: 'a.b/c' })
    const claim = (name: string, more: object = {}) => ({
      metadata: { name },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...more },
    })
    const claims = `${ns}/persistentvolumeclaims`
    t.equal((await post(claims, claim('plain'))).body.spec.storageClassName, 'usual')
    t.equal((await post(claims, claim('none', { storageClassName: '' }))).body.spec.storageClassName, '')
  })

  t.test('nothing is left to do with a namespace that goes', async () => {
    const ns = await namespace()
    await post(`${ns}/pods`, pod('web'))
    await ask(ns, { method: 'DELETE' })
    await eventually(async () => (await ask(ns)).status === 404, 'the namespace is gone')
  })
})
