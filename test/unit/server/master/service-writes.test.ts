/** What may be written about services, over HTTP: their addresses, families and ports. */
import t from 'tap'
import { temporaryMaster } from './temporary-master.ts'

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
