/** What the metadata service answers, to whom. */
import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { textCases } from './http-cases.ts'
import { FROM, get, logger1, production, serveWorld, web, web1 } from './http-world.ts'
import { container } from './objects.ts'

t.test('as text', async t => {
  const { port } = await serveWorld(t)
  for (const { path, from, expect } of textCases) {
    const answer = await get(port, path, from === undefined ? {} : { from })
    t.same([answer.status, answer.body], [200, expect], `${path} ${from ?? ''}`)
    t.match(answer.headers, {
      'content-type': 'text/plain; charset=utf-8',
      'access-control-allow-origin': '*',
      'content-length': String(Buffer.byteLength(expect)),
    })
  }
})

t.test('as JSON', async t => {
  const { port } = await serveWorld(t)
  const json = async (path: string, from: string = FROM.web) => {
    const { headers, body } = await get(port, path, { accept: 'application/json', from })
    t.equal(headers['content-type'], 'application/json')
    return JSON.parse(body)
  }
  t.same(await json('/'), {
    '2015-07-25': '/2015-07-25',
    '2015-12-19': '/2015-12-19',
    '2016-07-29': '/2016-07-29',
    latest: '/latest',
  })
  t.equal(await json('/latest/self/container/primary_ip'), FROM.web)
  t.equal(await json('/latest/self/container/health_state'), null)
  const self = await json('/latest/self/container')
  t.matchOnly(self, {
    name: 'shop-web-1',
    uuid: web1.uuid,
    metadata_kind: 'container',
    hostname: 'Shop-Web-1',
    state: 'running',
    health_state: null,
    external_id: 'e'.repeat(64),
    labels: { tier: 'front', constructor: 'of houses' },
    create_index: 1,
    start_count: 1,
    service_index: '1',
    host_uuid: 'host-node1',
    network_uuid: 'network-managed',
    network_from_container_uuid: null,
    environment_uuid: production.uuid,
    environment_name: 'Production',
    health_check_hosts: [],
    dns: [],
    dns_search: [],
    memory_reservation: null,
    milli_cpu_reservation: null,
    system: false,
    primary_ip: FROM.web,
    ips: [FROM.web],
    primary_mac_address: '02:d0:0a:2a:00:0b',
    ports: ['0.0.0.0:80:8080/tcp', '198.51.100.1:53:53/udp'],
    service_name: 'web',
    service_uuid: web.uuid,
    stack_name: 'shop',
    stack_uuid: 'stack-production-shop',
    links: {},
  })
  const service = await json('/latest/services/web')
  t.same(Object.keys(service).toSorted(), [
    ...[
      'containers',
      'create_index',
      'environment_name',
      'environment_uuid',
      'expose',
      'external_ips',
      'fqdn',
    ],
    ...['global', 'health_state', 'hostname', 'kind', 'labels', 'links', 'metadata', 'metadata_kind', 'name'],
    ...[
      'ports',
      'primary_service_name',
      'scale',
      'selector',
      'sidekicks',
      'stack_name',
      'stack_uuid',
      'state',
    ],
    ...['system', 'token', 'uuid'],
  ])
  t.same(service.containers[0], self)
  t.same(service.metadata, web.metadata)
  t.same((await json('/2015-07-25/stacks'))[0].services, ['Web'])
  t.same((await json('/latest/stacks'))[0].services[0].containers.length, 2)
  const all = await json('/latest')
  t.same(all.self.service.token, 'token-of-Shop-Web')
  t.equal(JSON.stringify({ ...all, self: {} }).includes('token-of'), false, 'tokens are below self only')
  t.same(
    all.hosts.map(({ name }: { name: string }) => name),
    ['node1', 'node2'],
  )
  t.equal(JSON.stringify(await json('/latest', FROM.host)).includes('token-of'), false)
})

t.test('an environment sees nothing of another', async t => {
  const { port } = await serveWorld(t)
  for (const accept of ['text/plain', 'application/json']) {
    const { body } = await get(port, '/latest', { from: FROM.testing, accept: 'application/json' })
    t.notMatch(body, /[Pp]roduction|by-hand|data-db/)
    t.equal((await get(port, '/latest/containers/by-hand', { from: FROM.testing, accept })).status, 404)
    t.equal((await get(port, `/latest/services/${web.uuid}`, { from: FROM.testing, accept })).status, 404)
  }
})

t.test('errors in both forms', async t => {
  const { port } = await serveWorld(t)
  const cases: readonly [string, number, string][] = [
    ['/latest/nope', 404, 'Not found'],
    ['/2014-01-01', 404, 'Not found'],
    ['/latest/containers/99', 404, 'Not found'],
    ['/latest/containers/-1', 404, 'Not found'],
    ['/latest/self/container/name/deeper', 404, 'Not found'],
    ['/latest/self/container/__proto__', 404, 'Not found'],
    ['/favicon.ico', 404, 'Not found'],
    ['/latest/%zz', 400, 'Invalid path'],
    [`/latest/${'x'.repeat(5000)}`, 400, 'Invalid path'],
    [`/latest${'/x'.repeat(40)}`, 400, 'Invalid path'],
  ]
  for (const [path, status, message] of cases) {
    const plain = await get(port, path)
    t.same([plain.status, plain.body], [status, message], path.slice(0, 40))
    const json = await get(port, path, { accept: 'application/json' })
    t.same([json.status, JSON.parse(json.body)], [status, { code: status, message, type: 'error' }])
  }
  const post = await get(port, '/latest', { method: 'POST' })
  t.same([post.status, post.headers.allow], [405, 'GET, HEAD'])
})

t.test('HEAD is GET without a body', async t => {
  const { port } = await serveWorld(t)
  const answer = await get(port, '/latest/self/container/name', { method: 'HEAD' })
  t.same([answer.status, answer.body, answer.headers['content-length']], [200, '', '10'])
  t.equal((await get(port, '/latest/nope', { method: 'HEAD' })).status, 404)
})

t.test('what clients accept', async t => {
  const { port } = await serveWorld(t)
  const type = async (accept: string) => (await get(port, '/latest/name', { accept })).headers['content-type']
  for (const accept of [
    '*/*',
    'text/html,*/*;q=0.8',
    'text/plain',
    'image/png',
    'application/json;q=0',
    'application/json;q=0.5, text/plain',
    '*/*, application/json',
  ]) {
    t.equal(await type(accept), 'text/plain; charset=utf-8', accept)
  }
  for (const accept of [
    'application/json',
    'Application/JSON; charset=utf-8',
    'application/*',
    'text/plain;q=0.1, application/json',
    'text/*;q=0.5, application/json;q=0.6',
  ]) {
    t.equal(await type(accept), 'application/json', accept)
  }
})

t.test('who may not ask', async t => {
  const { port } = await serveWorld(t)
  const status = async (headers: Record<string, string>, from: string = FROM.web) =>
    (await get(port, '/latest/name', { headers, from })).status
  t.equal(await status({}, FROM.outside), 403, 'somebody from outside')
  t.equal(await status({ 'x-forwarded-for': FROM.web }, FROM.outside), 403)
  t.equal(await status({ 'X-Forwarded-For': FROM.testing }), 403, 'a proxy that forwards')
  t.equal(await status({ forwarded: 'for=192.0.2.1' }), 403)
  t.equal(await status({ host: 'evil.example' }), 403, 'a page that made its name mean this address')
  t.equal(await status({ host: 'rancher-metadata.evil.example' }), 403)
  for (const name of [
    'rancher-metadata',
    'Rancher-Metadata:80',
    'rancher-metadata.rancher.internal',
    'rancher-metadata.shop.prod.discover.internal',
    '169.254.169.250',
    'localhost:8080',
  ]) {
    t.equal(await status({ host: name }), 200, name)
  }
})

t.test('a container that is not known yet', async t => {
  const { port, model } = await serveWorld(t)
  const early = get(port, '/latest/self/container/name', { from: FROM.unknown })
  // Its question is there when that of another container, asked later, has been answered.
  await get(port, '/latest/name')
  model.apply([container('newcomer', production, { hostUuid: 'host-node1', primaryIp: FROM.unknown })], [])
  t.same([(await early).status, (await early).body], [200, 'newcomer'])
})

t.test('a container that never becomes known', async t => {
  const waits: (() => void)[] = []
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    after: (_milliseconds: number, callback: () => void) => {
      waits.push(callback)
      return () => undefined
    },
  }
  const { port } = await serveWorld(t, clock)
  const early = get(port, '/latest/name', { from: FROM.unknown })
  while (waits.length === 0) await new Promise(resolve => setImmediate(resolve))
  for (const callback of waits) callback()
  const answer = await early
  t.same([answer.status, answer.headers['retry-after']], [503, '1'])
})

t.test('answers follow the model', async t => {
  const { port, model } = await serveWorld(t)
  const read = async (path: string) => (await get(port, path)).body
  const all = async () =>
    JSON.parse((await get(port, '/latest/containers', { accept: 'application/json' })).body)
  t.equal(await read('/latest/self/container/start_count'), '1')
  t.equal((await all()).length, 7)
  const version = await read('/latest/version')
  t.equal(await read('/latest/version'), version)
  model.apply([{ ...web1, startCount: 2 }], [])
  t.equal(await read('/latest/self/container/start_count'), '2')
  t.equal((await all())[0].start_count, 2)
  t.ok(Number(await read('/latest/version')) > Number(version))
  model.apply([{ ...web, name: 'Renamed' }], [])
  t.equal(await read('/latest/self/container/service_name'), 'renamed')
  t.equal((await all())[0].service_name, 'renamed')
  t.equal((await get(port, '/latest/services/web')).status, 404)
  model.apply([container('another', production)], ['container-by-hand'])
  t.match(await read('/latest/containers'), /0=shop-web-1\n.*6=another\n$/s)
  t.notMatch(await read('/latest/containers'), /by-hand/)
  t.equal(await read('/latest/containers/sharing/primary_ip'), '', 'its parent is gone')
  const before = await read('/latest/version')
  model.apply([container('theirs', { ...production, environmentUuid: 'environment-testing' })], [])
  t.equal(await read('/latest/version'), before, 'what others do changes nothing here')
  model.apply([{ ...web1, state: 'stopped' }], [])
  t.equal(await read('/latest/self/container/name'), 'shop-web-logger-1', 'who runs speaks for the address')
  model.apply([], [web1.uuid, logger1.uuid])
  t.equal((await get(port, '/latest/name')).status, 403, 'who is gone has nothing to ask')
})

t.test('a large answer is sent in pieces', async t => {
  const { port, model } = await serveWorld(t)
  const labels = { text: 'é'.repeat(1000) }
  model.apply(
    Array.from({ length: 2000 }, (_, index) => container(`many-${index}`, production, { labels })),
    [],
  )
  const { headers, body } = await get(port, '/latest/containers', { accept: 'application/json' })
  t.equal(headers['content-length'], undefined)
  const list = JSON.parse(body)
  t.equal(list.length, 2007)
  t.equal(list.at(-1).labels.text, labels.text)
})

t.test('clients that go away in the middle', async t => {
  const { port, model } = await serveWorld(t)
  const labels = { text: 'x'.repeat(10_000) }
  model.apply(
    Array.from({ length: 1000 }, (_, index) => container(`many-${index}`, production, { labels })),
    [],
  )
  for (const lines of [1, 3, 0]) {
    const socket = connect({ host: '127.0.0.1', port, localAddress: FROM.web })
    socket.on('error', () => socket.destroy())
    socket.write('GET /latest/containers HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n')
    for (let count = 0; count < lines; count += 1) await once(socket, 'data')
    socket.destroy()
    t.equal((await get(port, '/latest/name')).body, 'Production')
  }
})
