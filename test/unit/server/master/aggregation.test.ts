/** Parts of a cluster's API that servers inside of it serve. */
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { createCertificateAuthority, issueCertificate } from '../../../../kit/x509/index.ts'
import { EXTENSION_GROUP, type ExtensionServer, extensionServer } from '../../../lab/extension-server.ts'
import { eventually, pod, type TemporaryMaster, temporaryMaster } from './temporary-master.ts'
import { openWatch } from './watching.ts'

const SERVICES = '/apis/apiregistration.k8s.io/v1/apiservices'
const FLUNDERS = `/apis/${EXTENSION_GROUP}/v1/namespaces/default/flunders`
const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'

const authority = await createCertificateAuthority('of the extension', 1)
const pair = await issueCertificate(authority, {
  commonName: 'wardle',
  dnsNames: ['wardle.default.svc'],
  usage: 'server',
  validDays: 1,
})

interface World extends TemporaryMaster {
  /** Lets the service lead to a server. */
  listen(extension: ExtensionServer): Promise<void>
}

const apiService = (version: string, spec: object = {}) => ({
  metadata: { name: `${version}.${EXTENSION_GROUP}` },
  spec: {
    ...{ group: EXTENSION_GROUP, version, groupPriorityMinimum: 2000, versionPriority: 10 },
    service: { name: 'wardle', namespace: 'default' },
    caBundle: Buffer.from(authority.certificate).toString('base64'),
    ...spec,
  },
})

async function proxyAuthority({ ask }: Pick<TemporaryMaster, 'ask'>): Promise<string> {
  const map = await ask('/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication')
  return map.body.data['requestheader-client-ca-file']
}

/** A master whose cluster has a service `wardle` with a ready pod. */
async function world(t: Test): Promise<World> {
  const place = { port: 1 }
  const master = await temporaryMaster(t, {
    connectToPod: async () => connect(place.port, '127.0.0.1'),
  })
  const { ask } = master
  await ask('/api/v1/namespaces/default/pods', { method: 'POST', body: pod('wardle-0', { nodeName: 'n1' }) })
  await ask('/api/v1/namespaces/default/services', {
    method: 'POST',
    body: { metadata: { name: 'wardle' }, spec: { ports: [{ port: 443, targetPort: 8443 }] } },
  })
  await ask('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    method: 'POST',
    body: {
      metadata: { name: 'wardle-1', labels: { 'kubernetes.io/service-name': 'wardle' } },
      addressType: 'IPv4',
      ports: [{ name: '', port: 8443, protocol: 'TCP' }],
      endpoints: [
        { addresses: ['10.42.0.9'], targetRef: { kind: 'Pod', name: 'wardle-0', namespace: 'default' } },
      ],
    },
  })
  return Object.assign(master, {
    async listen({ server }: ExtensionServer) {
      if (!server.listening) {
        server.listen(0, '127.0.0.1')
        await once(server, 'listening')
        t.teardown(() => server.close().closeAllConnections())
      }
      place.port = (server.address() as AddressInfo).port
    },
  })
}

async function condition({ ask }: TemporaryMaster, name: string) {
  const { body } = await ask(`${SERVICES}/${name}`)
  return body.status?.conditions?.find(({ type }: { type: string }) => type === 'Available')
}

const available = (master: TemporaryMaster, name: string) =>
  eventually(async () => (await condition(master, name))?.status === 'True', `${name} is available`, 20_000)

t.test('what is served here has its APIServices', async t => {
  const { ask } = await temporaryMaster(t)
  const { body } = await ask(SERVICES)
  const names = body.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name)
  for (const name of ['v1.', 'v1.apps', 'v2.autoscaling', 'v1.rbac.authorization.k8s.io'])
    t.ok(names.includes(name), name)
  t.notOk(names.includes('v1.apiregistration.k8s.io'))
  const groups = new Set((await ask('/apis')).body.groups.map(({ name }: { name: string }) => name))
  for (const { spec } of body.items) t.ok(spec.group === undefined || groups.has(spec.group), spec.group)
  t.equal(
    names.length,
    groups.size + 1,
    'all, of which one group has two versions, but for the one of APIServices',
  )
  const table = await ask(SERVICES, {
    headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
  })
  t.match(table.body.rows.find(({ cells }: { cells: string[] }) => cells[0] === 'v1.apps').cells, [
    'v1.apps',
    'Local',
    'True',
  ])
  const again = await ask(`${SERVICES}/v1.apps`, { method: 'DELETE' })
  t.equal(again.status, 200)

  await t.test('and custom kinds have theirs, as long as they are served', async t => {
    const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
    const version = (name: string, storage: boolean) => ({
      ...{ name, served: true, storage },
      schema: { openAPIV3Schema: { type: 'object' } },
    })
    await ask(definitions, {
      method: 'POST',
      body: {
        metadata: { name: 'widgets.example.com' },
        spec: {
          ...{ group: 'example.com', scope: 'Namespaced' },
          names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
          versions: [version('v1', true), version('v2', false)],
        },
      },
    })
    const present = (name: string) => async () =>
      (await ask(`${SERVICES}/${name}.example.com`)).status === 200
    await eventually(present('v1'), 'the first')
    await eventually(present('v2'), 'the second')
    t.match((await ask(`${SERVICES}/v1.example.com`)).body, {
      metadata: { labels: { 'kube-aggregator.kubernetes.io/automanaged': 'true' } },
      spec: { groupPriorityMinimum: 1000, versionPriority: 100 },
      status: { conditions: [{ type: 'Available', status: 'True', reason: 'Local' }] },
    })
    await ask(`${definitions}/widgets.example.com`, { method: 'DELETE' })
    for (const name of ['v1', 'v2']) await eventually(async () => !(await present(name)()), `${name} is gone`)
  })
})

t.test('what makes no sense is refused', async t => {
  const { ask } = await temporaryMaster(t)
  const refused = async (body: object) => {
    const answer = await ask(SERVICES, { method: 'POST', body })
    t.equal(answer.status, 422)
    return answer.body.message as string
  }
  const { spec } = apiService('v1')
  t.match(
    await refused({ metadata: { name: 'other' }, spec }),
    /must be `spec.version\+"\."\+spec.group`: "v1\.wardle/,
  )
  t.match(
    await refused(apiService('v1', { groupPriorityMinimum: 0 })),
    /groupPriorityMinimum.*must be positive/,
  )
  t.match(await refused(apiService('v1', { versionPriority: 1001 })), /versionPriority.*less than 1000/)
  t.match(
    await refused(apiService('v1', { insecureSkipTLSVerify: true })),
    /may not be true if caBundle is present/,
  )
  t.match(await refused(apiService('v1', { service: { name: 'x' } })), /spec\.service\.namespace: Required/)
  t.match(
    await refused(apiService('v1', { service: undefined })),
    /local APIServices may not have a caBundle/,
  )
  t.match(await refused({ ...apiService('V_1'), metadata: { name: `V_1.${EXTENSION_GROUP}` } }), /DNS-1035/)
})

t.test('a server inside of the cluster', async t => {
  const master = await world(t)
  const { ask } = master
  const extension = extensionServer({
    certificate: pair.certificate,
    privateKey: pair.privateKey,
    proxyAuthority: await proxyAuthority(master),
  })

  await t.test('is told why it is of no use yet', async t => {
    await ask(SERVICES, {
      method: 'POST',
      body: apiService('v1', { service: { name: 'absent', namespace: 'default' } }),
    })
    const name = `v1.${EXTENSION_GROUP}`
    const reason = (wanted: string) =>
      eventually(async () => (await condition(master, name))?.reason === wanted, wanted, 20_000)
    await reason('ServiceNotFound')
    t.match(await ask(FLUNDERS), { status: 503, body: { reason: 'ServiceUnavailable' } })
    const change = (spec: object) =>
      ask(`${SERVICES}/${name}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/merge-patch+json' },
        body: { spec },
      })
    await change({ service: { name: 'wardle', port: 444 } })
    await reason('ServicePortError')
    await change({ service: { name: 'wardle', port: 443 } })
    await reason('FailedDiscoveryCheck')
    t.match((await condition(master, name)).message, /wardle\.default\.svc:443\/apis\/wardle.*ECONNREFUSED/)
    const list = await ask('/apis', { headers: { accept: AGGREGATED } })
    t.match(
      list.body.items.find(
        ({ metadata }: { metadata: { name: string } }) => metadata.name === EXTENSION_GROUP,
      ),
      { versions: [{ version: 'v1', freshness: 'Stale', resources: [] }] },
    )
    await master.listen(extension)
    await reason('Passed')
  })

  await t.test('is asked, and told who asks', async t => {
    const made = await ask(FLUNDERS, {
      method: 'POST',
      body: { metadata: { name: 'one' }, spec: { reference: 'x' } },
      headers: {
        'X-Remote-User': 'mallory',
        'x-remote-group': 'system:masters',
        'X-Remote-Extra-Scopes': 'all',
        x_remote_user: 'mallory',
        cookie: 'a=b',
        'x-own': 'yes',
        connection: 'x-hop',
        'x-hop': 'for this server',
      },
    })
    t.match(made, { status: 201, body: { metadata: { name: 'one', resourceVersion: '2' } } })
    t.equal(made.body.metadata.annotations['wardle.example.com/user'], 'admin')
    const headers = extension.headers()
    t.match(headers, {
      'x-remote-user': 'admin',
      'x-remote-group': 'system:masters, system:authenticated',
      'x-own': 'yes',
      host: 'wardle.default.svc:443',
    })
    for (const name of ['authorization', 'cookie', 'x-remote-extra-scopes', 'x_remote_user', 'x-hop'])
      t.notOk(name in headers, name)
    t.match(await ask(`${FLUNDERS}/one`), { status: 200, body: { spec: { reference: 'x' } } })
    t.match(await ask(`${FLUNDERS}/none`), { status: 404, body: { reason: 'NotFound' } })
    t.match((await ask(`${FLUNDERS}?limit=5`)).body, { kind: 'FlunderList', items: [{}] })
    for (let number = 0; number < 10; number += 1) {
      extension.server.closeAllConnections()
      t.equal((await ask(FLUNDERS)).status, 200, 'a connection that ended is not the end')
    }
    const acted = await ask(FLUNDERS, {
      method: 'POST',
      body: { metadata: { name: 'two' } },
      headers: {
        'impersonate-user': 'kate',
        'impersonate-group': 'system:masters',
        'impersonate-extra-some%2fkey': 'v',
        'impersonate-uid': 'u-1',
      },
    })
    t.equal(acted.status, 201)
    t.match(extension.headers(), {
      ...{ 'x-remote-user': 'kate', 'x-remote-uid': 'u-1' },
      'x-remote-extra-some%2fkey': 'v',
    })
  })

  await t.test('answers only whom the cluster lets', async t => {
    const stranger = { token: 'group|strangers|c1' }
    t.match(await ask(FLUNDERS, stranger), {
      status: 403,
      body: {
        message:
          /cannot list resource "flunders" in API group "wardle\.example\.com" in the namespace "default"/,
      },
    })
    t.equal((await ask(FLUNDERS, { token: 'nobody' })).status, 401)
    const before = extension.asked.length
    t.equal((await ask(`/apis/${EXTENSION_GROUP}/v1/namespaces/default//flunders`)).status, 400)
    t.equal((await ask(`/apis/${EXTENSION_GROUP}/v1/namespaces/default/flunders/a%2Fb`)).status, 400)
    t.equal((await ask(`/apis/${EXTENSION_GROUP}/v1/namespaces/../flunders`)).status, 400)
    t.equal(extension.asked.length, before, 'nobody was asked')
    const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default'
    await ask(`${rbac}/roles`, {
      method: 'POST',
      body: {
        metadata: { name: 'reader' },
        rules: [{ apiGroups: [EXTENSION_GROUP], resources: ['flunders'], verbs: ['list', 'watch'] }],
      },
    })
    await ask(`${rbac}/rolebindings`, {
      method: 'POST',
      body: {
        metadata: { name: 'strangers' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
        subjects: [{ kind: 'Group', name: 'strangers', apiGroup: 'rbac.authorization.k8s.io' }],
      },
    })
    t.equal((await ask(FLUNDERS, stranger)).status, 200)
    t.equal((await ask(`${FLUNDERS}/one`, stranger)).status, 403)

    const watch = await openWatch(master.port, `${FLUNDERS}?watch=true`, stranger)
    t.match(await watch.next(), { type: 'ADDED' })
    await ask(`${rbac}/rolebindings/strangers`, { method: 'DELETE' })
    await eventually(async () => (await watch.next()) === undefined, 'what may not be any more ends')
  })

  await t.test('tells of changes as they come', async t => {
    const watch = await openWatch(master.port, `${FLUNDERS}?watch=1`)
    let event = await watch.next()
    // One that ends would be asked for ever.
    while (event !== undefined && event.object.metadata.name !== 'two') event = await watch.next()
    t.ok(event)
    await ask(FLUNDERS, { method: 'POST', body: { metadata: { name: 'three' } } })
    t.match(await watch.next(), { type: 'ADDED', object: { metadata: { name: 'three' } } })
    await ask(`${FLUNDERS}/three`, { method: 'DELETE' })
    t.match(await watch.next(), { type: 'DELETED' })
    const counted = (await ask('/metrics')).text
    t.match(
      counted,
      /^apiserver_longrunning_requests\{verb="WATCH",[^}]*group="wardle\.example\.com"[^}]*\} 1$/m,
    )
    t.match(counted, /^apiserver_request_total\{verb="LIST",[^}]*group="wardle\.example\.com"/m)
    watch.close()
  })

  await t.test('is a part of discovery', async t => {
    const names = (body: { groups: { name: string }[] }) => body.groups.map(({ name }) => name)
    const groups = names((await ask('/apis')).body)
    t.equal(groups.at(-1), EXTENSION_GROUP)
    t.match((await ask(`/apis/${EXTENSION_GROUP}`)).body, {
      kind: 'APIGroup',
      preferredVersion: { groupVersion: `${EXTENSION_GROUP}/v1` },
    })
    t.match((await ask(`/apis/${EXTENSION_GROUP}/v1`)).body, { kind: 'APIResourceList' })
    const list = await ask('/apis', { headers: { accept: AGGREGATED } })
    t.match(list.body.items.at(-1), {
      metadata: { name: EXTENSION_GROUP },
      versions: [
        { version: 'v1', freshness: 'Current', resources: [{ resource: 'flunders', shortNames: ['fl'] }] },
      ],
    })
    t.match(list.headers['content-type'], /as=APIGroupDiscoveryList/)
    const known = await ask('/apis', {
      headers: { accept: AGGREGATED, 'if-none-match': String(list.headers.etag) },
    })
    t.equal(known.status, 304)
    const raised = { groupPriorityMinimum: 17_150 }
    await ask(`${SERVICES}/v1.${EXTENSION_GROUP}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { spec: raised },
    })
    const place = (all: string[]) =>
      all.slice(all.indexOf(EXTENSION_GROUP) - 1, all.indexOf(EXTENSION_GROUP) + 2)
    await eventually(
      async () => place(names((await ask('/apis')).body))[2] === 'policy',
      'it stands where its priority puts it',
    )
    t.equal(place(names((await ask('/apis')).body))[0], 'networking.k8s.io')
  })

  await t.test('and of OpenAPI', async t => {
    const index = await ask('/openapi/v3')
    const { serverRelativeURL } = index.body.paths[`apis/${EXTENSION_GROUP}/v1`]
    t.match(serverRelativeURL, /\?hash=[0-9a-f]+$/)
    t.match(index.body.paths['apis/apps/v1'], { serverRelativeURL: /hash=/ })
    t.match((await ask(serverRelativeURL)).body.components.schemas, { 'com.example.wardle.v1.Flunder': {} })
    const { paths, definitions } = (await ask('/openapi/v2')).body
    t.ok(paths[`/apis/${EXTENSION_GROUP}/v1/flunders`])
    t.ok(paths['/apis/apps/v1/deployments'])
    t.notOk(paths['/apis/other.example.com/v1/things'])
    t.ok(definitions['com.example.wardle.v1.Flunder'])
    t.notOk(definitions['com.example.unused'])
    const protobuf = await ask('/openapi/v2', {
      headers: { accept: 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf' },
    })
    t.match(protobuf.text, /com\.example\.wardle\.v1\.Flunder/)
  })

  await t.test('loses what it has of a namespace with it', async t => {
    const namespaces = '/api/v1/namespaces'
    const there = `/apis/${EXTENSION_GROUP}/v1/namespaces/doomed/flunders`
    const isGone = async () => (await ask(`${namespaces}/doomed`)).status === 404
    await ask(namespaces, { method: 'POST', body: { metadata: { name: 'doomed' } } })
    for (const name of ['a', 'b']) await ask(there, { method: 'POST', body: { metadata: { name } } })
    await ask(`${namespaces}/doomed`, { method: 'DELETE' })
    await eventually(isGone, 'the namespace', 20_000)
    t.strictSame((await ask(there)).body.items, [])
    t.ok((await ask(FLUNDERS)).body.items.length > 0, 'others stay')

    const change = (name: string) =>
      ask(`${SERVICES}/v1.${EXTENSION_GROUP}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/merge-patch+json' },
        body: { spec: { service: { name, namespace: 'default' } } },
      })
    await change('absent')
    await eventually(async () => (await ask(FLUNDERS)).status === 503, 'it is silent', 20_000)
    await ask(namespaces, { method: 'POST', body: { metadata: { name: 'doomed' } } })
    await ask(`${namespaces}/doomed`, { method: 'DELETE' })
    const waiting = await eventually(
      async () => (await ask(`${namespaces}/doomed`)).body.status?.conditions?.[0],
      'why it waits is told',
    )
    t.match(waiting, {
      type: 'NamespaceDeletionDiscoveryFailure',
      message: /1 failing: wardle\.example\.com\/v1: stale GroupVersion discovery/,
    })
    await change('wardle')
    await eventually(isGone, 'it need not wait any more', 20_000)
  })

  await t.test('another version beside it, whose server knows less', async t => {
    const older = extensionServer({
      certificate: pair.certificate,
      privateKey: pair.privateKey,
      proxyAuthority: await proxyAuthority(master),
      aggregated: false,
      version: 'v2beta1',
    })
    await master.listen(older)
    await ask(SERVICES, {
      method: 'POST',
      body: apiService('v2beta1', { versionPriority: 9, caBundle: '', insecureSkipTLSVerify: true }),
    })
    await available(master, `v2beta1.${EXTENSION_GROUP}`)
    const group = (await ask(`/apis/${EXTENSION_GROUP}`)).body
    t.strictSame(
      group.versions.map(({ version }: { version: string }) => version),
      ['v1', 'v2beta1'],
    )
    const list = await ask('/apis', { headers: { accept: AGGREGATED } })
    const found = list.body.items.find(
      ({ metadata }: { metadata: { name: string } }) => metadata.name === EXTENSION_GROUP,
    )
    t.match(found.versions[1], {
      version: 'v2beta1',
      resources: [{ resource: 'flunders', scope: 'Namespaced' }],
    })
    const index = (await ask('/openapi/v3')).body.paths
    const { serverRelativeURL } = index[`apis/${EXTENSION_GROUP}/v2beta1`]
    t.match(serverRelativeURL, /\?hash=[0-9A-F]{64}$/)
    const made = (await ask(serverRelativeURL)).body
    const reference = '#/components/schemas/com.example.wardle.v2beta1.Flunder'
    t.match(made, {
      openapi: '3.0.0',
      components: { schemas: { 'com.example.wardle.v2beta1.Flunder': { type: 'object' } } },
    })
    t.match(made.paths[`/apis/${EXTENSION_GROUP}/v2beta1/flunders`].get, {
      'x-kubernetes-group-version-kind': { kind: 'Flunder' },
      parameters: [],
      responses: { 200: { content: { 'application/json': { schema: { $ref: reference } } } } },
    })
    await ask(`${SERVICES}/v2beta1.${EXTENSION_GROUP}`, { method: 'DELETE' })
    await eventually(
      async () => (await ask(`/apis/${EXTENSION_GROUP}/v2beta1/flunders`)).status === 404,
      'it is not served any more',
    )
  })

  await t.test('whose certificate leads nowhere is not spoken to', async t => {
    await master.listen(extension)
    await available(master, `v1.${EXTENSION_GROUP}`)
    const other = await createCertificateAuthority('of somebody else', 1)
    await ask(`${SERVICES}/v1.${EXTENSION_GROUP}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { spec: { caBundle: Buffer.from(other.certificate).toString('base64') } },
    })
    const message = async () => (await ask(FLUNDERS)).body.message ?? ''
    await eventually(
      async () => /x509: certificate signed by unknown authority/.test(await message()),
      'nothing is said',
    )
    t.equal((await ask(FLUNDERS)).status, 503)
  })

  await t.test('what is built in stays here', async t => {
    await ask(SERVICES, {
      method: 'POST',
      body: {
        metadata: { name: 'v1.apps' },
        spec: { ...apiService('v1').spec, group: 'apps' },
      },
    })
    t.equal((await ask('/apis/apps/v1/deployments')).body.kind, 'DeploymentList')
  })
})

t.test('other protocols', async t => {
  const master = await world(t)
  const { ask } = master
  const extension = extensionServer({
    certificate: pair.certificate,
    privateKey: pair.privateKey,
    proxyAuthority: await proxyAuthority(master),
  })
  extension.server.on('upgrade', (request, socket, head) => {
    if (request.url?.includes('refuse')) {
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno')
      return
    }
    if (request.url?.includes('silent')) {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello')
      return
    }
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${request.headers.upgrade}\r\n\r\n`,
    )
    socket.write(`${request.headers['x-remote-user']}:${request.headers['sec-websocket-protocol']}:`)
    socket.write(head)
    socket.pipe(socket)
  })
  await master.listen(extension)
  await ask(SERVICES, { method: 'POST', body: apiService('v1') })
  await available(master, `v1.${EXTENSION_GROUP}`)
  const open = (name: string, token = 'admin|c1') => {
    const socket = connect({ host: '127.0.0.1', port: master.port })
    const secret = Buffer.from(token).toString('base64url')
    const own = [
      ...['Host: test', `Authorization: Bearer ${token}`, 'Connection: Upgrade', 'Upgrade: chat'],
      ...['X-Remote-User: mallory'],
      `Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.${secret}, chat`,
    ]
    socket.write(`GET /k8s/clusters/c1${FLUNDERS}/${name}/exec HTTP/1.1\r\n${own.join('\r\n')}\r\n\r\n`)
    return socket
  }
  const talk = open('one')
  talk.end('early words')
  t.match(await text(talk), /^HTTP\/1\.1 101 [\s\S]*\r\n\r\nadmin:chat:early words$/)
  t.match(await text(open('refuse')), /^HTTP\/1\.1 403 [\s\S]*no$/)
  const silent = open('silent')
  silent.write('GET /apis HTTP/1.1\r\n\r\n')
  t.match(await text(silent), /^HTTP\/1\.1 200 [\s\S]*hello$/, 'nothing passes without a 101')
  t.match(await text(open('one', 'group|strangers|c1')), /^HTTP\/1\.1 403 /)
})
