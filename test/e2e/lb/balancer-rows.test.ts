/** What rules, targets, labels and own lines may say, row by row, as the real HAProxy does it. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import dns2 from 'dns2'
import t from 'tap'
import type { MetadataObject, StickinessPolicy } from '../../../protocol/index.ts'
import { until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { container, service } from '../../unit/agent/metadata/objects.ts'
import { containers, node, PORT, services, shop, startBalancer } from './balancer-lab.ts'
import { get, webServer } from './web-server.ts'

const skip = inPrivateNetwork(import.meta.filename)

const LABELS = { skip: 'io.rancher.lb_service.skip_target_lb_rules', target: 'io.rancher.lb_service.target' }

const named = <T extends { readonly name: string }>(all: readonly T[], name: string): T => {
  const found = all.find(each => each.name === name)
  if (found === undefined) throw new Error(`there is no ${name}`)
  return found
}

t.test('a balancer, row by row', { skip, timeout: 120_000 }, async t => {
  const { haproxy, servers, serve, answer } = await startBalancer(t.teardown)
  const [a, b, c] = ['a', 'b', 'c'].map(name => named(services, name))
  if (a === undefined || b === undefined || c === undefined) throw new Error('services are missing')
  /** Who answers so many requests. */
  const answering = async (at = '/', headers: Record<string, string> = {}, count = 8) => {
    const found = new Set<string>()
    for (let index = 0; index < count; index += 1) found.add(await answer(at, headers))
    return [...found].toSorted()
  }

  await t.test('one container', async t => {
    await serve([{ container: 'a-2' }])
    t.strictSame(await answering(), ['a-2'])
    const { problems } = await serve([{ container: 'nobody' }])
    t.match(problems, [/no container nobody/])
    t.equal((await get(8000, '/')).status, 503)
  })

  await t.test('services by their labels, and what these want', async t => {
    const front = { ...b, labels: { role: 'front' } }
    const asking = {
      ...c,
      labels: { role: 'front' },
      lbTargetConfig: { portRules: [{ hostname: 'own.example', path: '/own', targetPort: PORT }] },
    }
    const rule = { selector: 'role=front', hostname: 'shared.example' }
    await serve([rule], {}, { more: [front, asking] })
    t.strictSame(await answering('/', { host: 'shared.example' }), ['b-1'])
    t.strictSame(await answering('/own/x', { host: 'own.example' }), ['c-1'])
    t.equal((await get(8000, '/', { host: 'own.example' })).status, 503)
    await serve([rule], {}, { more: [front, asking], labels: { [LABELS.skip]: 'true' } })
    t.strictSame(await answering('/', { host: 'shared.example' }), ['b-1', 'c-1'])
    t.equal((await get(8000, '/own', { host: 'own.example' })).status, 503)
    const { problems } = await serve(
      [{ selector: 'role=front', targetPort: undefined }] as never,
      {},
      { more: [front] },
    )
    t.match(problems, [/neither it nor b says a target port/])
  })

  await t.test(
    'order: priority, then exact before wildcard before any host, longer before shorter',
    async t => {
      await serve([
        { service: 'c', path: '/a' },
        { service: 'b', path: '/a/long' },
        { service: 'c', hostname: '*.example' },
        { service: 'b', hostname: '*.deep.example' },
        { service: 'c', hostname: 'x.deep.example' },
        { service: 'b', hostname: 'first.deep.example', priority: 2 },
        { service: 'c', hostname: 'first.*', priority: 1 },
      ])
      const cases: [string, string, string][] = [
        ['/a/long/er', 'any', 'b-1'],
        ['/a/short', 'any', 'c-1'],
        ['/', 'y.deep.example', 'b-1'],
        ['/', 'x.deep.example', 'c-1'],
        ['/', 'x.deep.example:8000', 'c-1'],
        ['/', 'y.example', 'c-1'],
        ['/', 'first.deep.example', 'c-1'],
      ]
      for (const [at, name, expected] of cases) t.equal(await answer(at, { host: name }), expected, name + at)
    },
  )

  await t.test('rules for the same port, host and path are one, each address once', async t => {
    await serve([
      { service: 'a', hostname: 'h.example', path: '/p' },
      { service: 'b', hostname: 'H.example', path: '/p' },
      { container: 'a-1', hostname: 'h.example', path: '/p' },
    ])
    t.strictSame(await answering('/p', { host: 'h.example' }), ['a-1', 'a-2', 'b-1'])
    t.equal(haproxy.model?.backends.length, 1)
    t.equal(haproxy.model?.backends[0]?.slots.filter(slot => slot !== undefined).length, 3)
  })

  await t.test('TCP looks at no host and no path', async t => {
    await serve([{ service: 'b', protocol: 'tcp', hostname: 'x.example', path: '/x' }])
    t.strictSame(await answering('/y', { host: 'y.example' }), ['b-1'])
  })

  await t.test('containers and services that do not run', async t => {
    const with_ = async (...more: MetadataObject[]) => {
      await serve([{ service: 'a' }], {}, { more })
      return (await get(8000, '/')).status === 503 ? [] : await answering()
    }
    const [one, two] = [named(containers, 'a-1'), named(containers, 'a-2')]
    t.strictSame(await with_({ ...one, state: 'starting' }), ['a-1', 'a-2'])
    for (const state of ['stopped', 'removed', 'error'] as const) {
      t.strictSame(await with_({ ...one, state }), ['a-2'], state)
    }
    t.strictSame(await with_({ ...one, state: 'stopped' }, { ...two, state: 'stopped' }), [])
    for (const state of ['inactive', 'deactivating', 'removing', 'removed'] as const) {
      t.strictSame(await with_({ ...a, state }), [], state)
    }
  })

  await t.test('targets of this host first', async t => {
    const far = { ...named(containers, 'a-1'), hostUuid: 'far' }
    const labels = { [LABELS.target]: 'prefer-local' }
    await serve([{ service: 'a' }], {}, { more: [far], labels })
    t.strictSame(await answering(), ['a-2'])
    const ended = { ...named(containers, 'a-2'), state: 'stopped' as const }
    await serve([{ service: 'a' }], {}, { more: [far, ended], labels })
    t.strictSame(await answering(), ['a-1'], 'the others when there is none here')
    await serve([{ service: 'a' }], {}, { more: [far, ended], labels: { [LABELS.target]: 'only-local' } })
    t.equal((await get(8000, '/')).status, 503)
  })

  await t.test('cookies', async t => {
    const cookieOf = async (policy: StickinessPolicy) => {
      await serve([{ service: 'a' }], { stickinessPolicy: policy })
      const { headers: told } = await get(8000, '/')
      return String(told['set-cookie'] ?? '')
    }
    const plain = await cookieOf({ cookie: 'C', mode: 'insert', domain: '.example' })
    t.match(plain, /^C=[0-9a-f]+; .*domain=\.example/i)
    t.match(await cookieOf({ mode: 'insert' }), /^8000=/, 'called after the backend')
    t.match(await cookieOf({ cookie: 'C', mode: 'insert', nocache: true }), /^C=/)
    t.equal(await cookieOf({ cookie: 'C', mode: 'insert', postonly: true }), '', 'not for GET')
    t.equal(await cookieOf({ cookie: 'C', mode: 'rewrite' }), '', 'none to rewrite')
    const told = await cookieOf({ cookie: 'C', mode: 'insert', indirect: true })
    const cookie = told.split(';')[0] ?? ''
    const first = await answer('/', { cookie })
    t.strictSame(await answering('/', { cookie }), [first])
    const server = servers[containers.findIndex(({ name }) => name === first)]
    t.equal(server?.seen().cookie, undefined, 'the container does not see it')
    t.equal((await get(8000, '/', { cookie })).headers['set-cookie'], undefined)
    const tcp = [{ service: 'b', protocol: 'tcp' as const, sourcePort: 8001 }]
    await serve(tcp, { stickinessPolicy: { cookie: 'C', mode: 'insert' } })
    t.equal((await get(8001, '/')).headers['set-cookie'], undefined)
  })

  await t.test('cookies that containers set themselves', async t => {
    const own = createServer(socket => {
      socket.on('error', () => undefined)
      socket.once('data', () =>
        socket.end(
          'HTTP/1.1 200 OK\r\nset-cookie: SID=mine\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok',
        ),
      )
    }).listen(PORT, '127.0.0.61')
    await once(own, 'listening')
    t.teardown(() => own.close())
    const setting = service('setting', shop)
    const more = [setting, container('setting-1', setting, { primaryIp: '127.0.0.61', hostUuid: node.uuid })]
    const told = async (mode: 'prefix' | 'rewrite') => {
      await serve([{ service: 'setting' }], { stickinessPolicy: { cookie: 'SID', mode } }, { more })
      return String((await get(8000, '/')).headers['set-cookie'])
    }
    t.match(await told('prefix'), /^SID=[0-9a-f]+~mine/)
    t.match(await told('rewrite'), /^SID=[0-9a-f]{8,}/)
  })

  await t.test('health checks are those of the service', async t => {
    let status = 200
    const sick = await webServer('sick', () => status, { host: '127.0.0.71', port: PORT })
    const well = await webServer('well', () => 200, { host: '127.0.0.72', port: PORT })
    t.teardown(async () => await Promise.all([sick.close(), well.close()]))
    const checked = service('checked', shop, {
      healthCheck: {
        ...{ port: PORT, requestLine: 'GET "/ping" "HTTP/1.0"', interval: 100, responseTimeout: 500 },
        ...{ healthyThreshold: 2, unhealthyThreshold: 2, initializingTimeout: 60_000 },
      },
    })
    const make = (name: string, primaryIp: string) =>
      container(name, checked, { primaryIp, hostUuid: node.uuid, healthState: 'healthy' })
    await serve(
      [{ service: 'checked' }],
      {},
      { more: [checked, make('sick', '127.0.0.71'), make('well', '127.0.0.72')] },
    )
    await until('both answer', 10_000, async () => (await answering()).length === 2)
    status = 500
    await until('one answers', 10_000, async () => (await answering()).join() === 'well')
    status = 200
    await until('both answer again', 10_000, async () => (await answering()).length === 2)
  })

  await t.test('names of others are looked up, again and again', async t => {
    let address = '127.0.0.13'
    const server = dns2.createServer({
      udp: true,
      handle: (request, send) => {
        const response = dns2.Packet.createResponseFromRequest(request)
        const [question] = request.questions
        if (question?.name === 'partner.example' && question.type === dns2.Packet.TYPE.A) {
          const { name } = question
          response.answers.push({ name, type: dns2.Packet.TYPE.A, class: 1, ttl: 1, address } as never)
        }
        send(response)
      },
    })
    await server.listen({ udp: { port: 53, address: '127.0.0.1' } })
    const file = '/run/resolv.conf'
    await writeFile(file, 'nameserver 127.0.0.1\n')
    execFileSync('mount', ['--bind', file, '/etc/resolv.conf'])
    t.teardown(async () => {
      execFileSync('umount', ['/etc/resolv.conf'])
      await server.close()
      await rm(file)
    })
    const partner = service('partner', shop, { kind: 'externalService', hostname: 'partner.example' })
    await serve([{ service: 'partner' }], {}, { more: [partner] })
    await until('the name is known', 10_000, async () => (await get(8000, '/')).body === 'b-1')
    address = '127.0.0.14'
    await until('it has moved', 30_000, async () => (await get(8000, '/')).body === 'c-1')
  })

  await t.test('own lines, by the names of backends and of older systems', async t => {
    const header = (value: string) => `http-response set-header x-own ${value}`
    const own = async (config: string, rule = {}, headers = {}) => {
      await serve([{ service: 'b', ...rule }], { config })
      return (await get(8000, '/p', headers)).headers['x-own']
    }
    t.equal(await own(`backend mine\n${header('mine')}`, { backendName: 'mine' }), 'mine')
    t.equal(
      await own(
        `backend 8000_h_example__p\n${header('old')}`,
        { hostname: 'h.example', path: '/p' },
        { host: 'h.example' },
      ),
      'old',
    )
    t.equal(await own(`backend\n${header('all')}`), 'all')
    t.equal(await own(`frontend 8000\n${header('front')}`), 'front')
    t.equal(await own(`frontend 9\n${header('front')}`), undefined)
  })

  await t.test(
    'own lines replace those about the same, and whole sections are taken as they are',
    async t => {
      const config = [
        ...['global', 'maxconn 77', 'defaults', 'timeout client 33s', 'retries 9'],
        ...['userlist people', 'user x insecure-password y', 'listen extra', 'bind *:8090', 'mode http'],
        'http-request return status 418',
      ].join('\n')
      await serve([{ service: 'b' }], { config })
      t.equal((await haproxy.runtime.facts()).Maxconn, '77')
      t.equal((await get(8090, '/')).status, 418)
      t.ok(haproxy.model?.defaults.includes('timeout client 33s'))
      t.equal(haproxy.model?.defaults.filter(each => each.startsWith('timeout client ')).length, 1)
      await serve([{ service: 'b' }])
      await t.rejects(get(8090, '/'))
    },
  )
})
