/** Load balancers from their metadata to the real HAProxy: every kind of rule, and what nobody may smuggle in. */
import { once } from 'node:events'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { connect, createServer, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import t from 'tap'
import type { MetadataObject } from '../../../protocol/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { container, service } from '../../unit/agent/metadata/objects.ts'
import { containers, PORT, shop, startBalancer } from './balancer-lab.ts'
import { get } from './web-server.ts'

const skip = inPrivateNetwork(import.meta.filename)

/** The first bytes that a server at `port` gets, and an answer to them. */
async function rawServer(
  port: number,
  host: string,
  answer: string,
): Promise<{ seen: () => string; close: () => void }> {
  let seen = ''
  const server = createServer(socket => {
    socket.on('error', () => undefined)
    socket.on('data', data => {
      seen += data.toString('latin1')
      socket.end(answer)
    })
  }).listen(port, host)
  await once(server, 'listening')
  return { seen: () => seen, close: () => server.close() }
}

/** Everything that comes back on a connection. */
async function exchange(socket: Socket | TLSSocket, text: string): Promise<string> {
  socket.setTimeout(5000, () => socket.destroy(new Error('no answer')))
  socket.write(text)
  let all = ''
  for await (const chunk of socket) all += chunk
  return all
}

async function tls(
  port: number,
  servername: string,
  text = '',
): Promise<{ subject: string; answer: string; protocol: string }> {
  const socket = connectTls({
    port,
    host: '127.0.0.1',
    servername,
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  })
  await once(socket, 'secureConnect')
  const subject = String(socket.getPeerCertificate().subject.CN)
  const protocol = socket.alpnProtocol || ''
  const answer = text === '' ? '' : await exchange(socket, text)
  socket.destroy()
  return { subject, answer, protocol }
}

const REQUEST = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'

t.test('a balancer', { skip, timeout: 120_000 }, async t => {
  const { haproxy, lines, servers, serve, answer, pem } = await startBalancer(t.teardown)

  await t.test('hosts and paths', async t => {
    await serve([
      { service: 'c' },
      { service: 'b', path: '/b' },
      { service: 'c', path: '/b/c' },
      { service: 'b', hostname: 'b.example' },
      { service: 'c', hostname: 'b.example', path: '/deep' },
      { service: 'b', hostname: '*.wild.example' },
      { service: 'b', hostname: 'left.*' },
      { service: 'c', hostname: 'b.left.example', path: '/', priority: 1 },
    ])
    const cases: [string, string, string][] = [
      ['/', 'nobody.example', 'c-1'],
      ['/b', 'nobody.example', 'b-1'],
      ['/B/x', 'nobody.example', 'b-1'],
      ['/b/c', 'nobody.example', 'c-1'],
      ['/', 'B.Example:8000', 'b-1'],
      ['/deep/er', 'b.example', 'c-1'],
      ['/', 'x.wild.example', 'b-1'],
      ['/', 'wild.example', 'c-1'],
      ['/', 'left.over', 'b-1'],
      ['/', 'b.left.example', 'c-1'],
    ]
    for (const [at, name, expected] of cases)
      t.equal(await answer(at, { host: name }), expected, `${name}${at}`)
    t.equal((await get(42, '/')).status, 200, 'its own health')
  })

  await t.test('a port without a rule for everything answers 503', async t => {
    await serve([{ service: 'b', hostname: 'b.example' }])
    t.equal((await get(8000, '/', { host: 'other' })).status, 503)
  })

  await t.test('who is on the way is told, unless somebody was before', async t => {
    await serve([{ service: 'b' }])
    await answer('/', { host: 'x' })
    t.match(servers[2]?.seen(), {
      'x-forwarded-proto': 'http',
      'x-forwarded-port': '8000',
      'x-forwarded-for': '127.0.0.1',
    })
    await answer('/', { host: 'x', 'x-forwarded-proto': 'https', 'x-forwarded-port': '1' })
    t.match(servers[2]?.seen(), { 'x-forwarded-proto': 'https', 'x-forwarded-port': '1' })
  })

  await t.test('containers come and go without a reload', async t => {
    await serve([{ service: 'a' }])
    const [first] = containers
    t.equal(
      (
        await serve(
          [{ service: 'a' }],
          {},
          { more: [{ ...(first as MetadataObject), state: 'stopped' } as MetadataObject] },
        )
      ).how,
      'commands',
    )
    t.strictSame(new Set(await Promise.all([1, 2, 3].map(() => answer('/')))), new Set(['a-2']))
    t.equal((await serve([{ service: 'a' }])).how, 'commands')
    t.equal(new Set([await answer('/'), await answer('/')]).size, 2)
  })

  await t.test('weights, unhealthy ones, and only what is near', async t => {
    await serve([
      { service: 'a', weight: 0 },
      { service: 'b', weight: 5 },
    ])
    t.strictSame(new Set([await answer('/'), await answer('/'), await answer('/')]), new Set(['b-1']))
    const sick = { ...(containers[0] as MetadataObject), healthState: 'unhealthy' } as MetadataObject
    await serve([{ service: 'a' }], {}, { more: [sick] })
    t.strictSame(new Set([await answer('/'), await answer('/')]), new Set(['a-2']))
    const far = { ...(containers[0] as MetadataObject), hostUuid: 'host-far' } as MetadataObject
    await serve(
      [{ service: 'a' }],
      {},
      { more: [far], labels: { 'io.rancher.lb_service.target': 'only-local' } },
    )
    t.strictSame(new Set([await answer('/'), await answer('/')]), new Set(['a-2']))
  })

  await t.test('a cookie leads back, also to one that gets nobody new', async t => {
    const sticky = { stickinessPolicy: { cookie: 'LB', mode: 'insert' as const } }
    await serve([{ service: 'a' }], sticky)
    const first = await get(8000, '/')
    const cookie = String(first.headers['set-cookie']).split(';')[0] ?? ''
    t.match(cookie, /^LB=/)
    const bound = containers.find(({ name }) => name === first.body) as MetadataObject
    await serve([{ service: 'a' }], sticky, { more: [{ ...bound, state: 'stopping' } as MetadataObject] })
    for (let index = 0; index < 3; index += 1) t.equal(await answer('/', { cookie }), first.body)
    t.not(await answer('/'), first.body)
    t.equal((await haproxy.runtime.statistics()).find(({ server }) => server === 's1')?.proxy, '8000')
  })

  await t.test('certificates are chosen by name and renewed without a reload', async t => {
    const rules = [{ service: 'b', protocol: 'https' as const, sourcePort: 8443 }]
    const config = { certificates: ['two'], defaultCertificate: 'one' }
    const certificates = { one: await pem('one.example'), two: await pem('two.example') }
    await serve(rules, config, { certificates })
    t.match(await tls(8443, 'one.example', REQUEST), {
      subject: 'one.example',
      answer: /b-1$/,
      protocol: 'http/1.1',
    })
    t.match(await tls(8443, 'two.example'), { subject: 'two.example' })
    t.match(await tls(8443, 'other.example'), { subject: 'one.example' }, 'the default one')
    t.match(servers[2]?.seen(), { 'x-forwarded-proto': 'https', 'x-forwarded-port': '8443' })
    const renewed = { ...certificates, two: await pem('renewed', 'two.example') }
    t.equal((await serve(rules, config, { certificates: renewed })).how, 'commands')
    t.match(await tls(8443, 'two.example'), { subject: 'renewed' })
    await serve(rules, { certificates: ['one', 'two'] }, { certificates })
    await t.rejects(tls(8443, 'other.example'), 'without a default one unknown names are refused')
  })

  await t.test('HTTP/2 to clients and to servers', async t => {
    const grpc = createHttp2Server((request, response) => response.end(`h2 ${request.httpVersion}`)).listen(
      PORT,
      '127.0.0.31',
    )
    await once(grpc, 'listening')
    t.teardown(() => grpc.close())
    const one = service('grpc', shop)
    const more = [one, container('grpc-1', one, { primaryIp: '127.0.0.31' })]
    const config = { certificates: [], defaultCertificate: 'one', config: 'backend\nserver $IP proto h2' }
    await serve([{ service: 'grpc', protocol: 'https', sourcePort: 8443 }, { service: 'grpc' }], config, {
      more,
      certificates: { one: await pem('one.example') },
    })
    for (const url of ['https://127.0.0.1:8443', 'http://127.0.0.1:8000']) {
      const session = connectHttp2(url, { rejectUnauthorized: false })
      const stream = session.request({ ':path': '/' })
      let body = ''
      for await (const chunk of stream) body += chunk
      t.equal(body, 'h2 2.0', url)
      session.close()
      await once(session, 'close')
    }
  })

  await t.test('TCP, TLS that ends here, and TLS that is passed on by name', async t => {
    const [first, second] = await Promise.all(
      ['first', 'second'].map(async (name, index) => {
        const [certificate = '', key = ''] = (await pem(`${name}.behind`)).split(/(?=-----BEGIN PRIVATE KEY)/)
        const server = createTlsServer({ cert: certificate, key }).listen(9443, `127.0.0.${41 + index}`)
        await once(server, 'listening')
        const one = service(name, shop)
        t.teardown(() => server.close())
        return [one, container(`${name}-1`, one, { primaryIp: `127.0.0.${41 + index}` })]
      }),
    )
    await serve(
      [
        { service: 'b', protocol: 'tcp', sourcePort: 8001 },
        { service: 'b', protocol: 'tls', sourcePort: 8444 },
        { service: 'first', protocol: 'sni', sourcePort: 8445, targetPort: 9443, hostname: 'one.example' },
        { service: 'second', protocol: 'sni', sourcePort: 8445, targetPort: 9443, hostname: '*.two.example' },
      ],
      { certificates: [], defaultCertificate: 'one' },
      { more: [...(first ?? []), ...(second ?? [])], certificates: { one: await pem('one.example') } },
    )
    t.match(await exchange(connect(8001, '127.0.0.1'), REQUEST), /b-1$/)
    t.match(await tls(8444, 'one.example', REQUEST), { subject: 'one.example', answer: /b-1$/ })
    t.match(await tls(8445, 'ONE.example'), { subject: 'first.behind' })
    t.match(await tls(8445, 'x.two.example'), { subject: 'second.behind' })
    await t.rejects(tls(8445, 'three.example'))
  })

  await t.test('PROXY protocol from clients and to servers', async t => {
    const raw = await rawServer(
      PORT,
      '127.0.0.51',
      'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok',
    )
    t.teardown(() => raw.close())
    const one = service('raw', shop)
    await serve(
      [{ service: 'raw' }],
      { config: 'frontend 8000\naccept-proxy\nbackend 8000\nserver $IP send-proxy' },
      {
        more: [one, container('raw-1', one, { primaryIp: '127.0.0.51' })],
      },
    )
    const said = `PROXY TCP4 198.51.100.7 198.51.100.8 1234 80\r\n${REQUEST}`
    t.match(await exchange(connect(8000, '127.0.0.1'), said), /ok$/)
    t.match(raw.seen(), /^PROXY TCP4 198\.51\.100\.7 198\.51\.100\.8 1234 80\r\n/)
    t.match(raw.seen(), /x-forwarded-for: 198\.51\.100\.7/i)
  })

  await t.test("an owner's mistake is shown with its line, and nothing changes", async t => {
    await serve([{ service: 'b' }])
    await t.rejects(serve([{ service: 'c' }], { config: 'defaults\n  timeout nonsense 5s' }), {
      code: 'ConfigurationRefused',
      object: /timeout nonsense 5s/,
    })
    t.equal(await answer('/'), 'b-1')
    await serve([{ service: 'c' }], { config: 'frontend 8000\nhttp-response set-header x-own yes' })
    t.equal((await get(8000, '/')).headers['x-own'], 'yes')
  })

  await t.test('requests are logged for those who want it', async t => {
    await serve([{ service: 'b' }], { config: 'defaults\noption httplog' })
    await answer('/logged')
    // Commands are answered by the thread that logs.
    while (!lines.some(line => line.includes('GET /logged'))) await haproxy.runtime.facts()
    t.pass()
  })

  await t.test('external addresses and names', async t => {
    const ips = service('outside', shop, { kind: 'externalService', externalIps: ['127.0.0.13'] })
    const name = service('named', shop, { kind: 'externalService', hostname: 'partner.example' })
    await serve([{ service: 'outside' }, { service: 'named', path: '/named' }], {}, { more: [ips, name] })
    t.equal(await answer('/'), 'b-1')
    t.equal((await get(8000, '/named')).status, 503, 'nobody knows the name here')
  })

  await t.test('nothing of a text becomes a directive', async t => {
    const hostile = [
      `x' } backend evil`,
      'x" #',
      'x\\ y',
      '%[env(PATH)]',
      '$PATH',
      ['"$', '{PATH}"'].join(''),
      '-f /etc/passwd',
      '{ always_true }',
      'x\nbind :6666',
      'x\r\nbind :6666',
      'x\u2028bind :6666',
      'x\u0000',
      '--',
      '||',
    ]
    const rules = hostile.flatMap(text => [
      { service: 'b', hostname: text },
      { service: 'b', path: `/${text}` },
      { service: 'b', hostname: `*.${text}`, path: text, backendName: text },
      { selector: `${text}=${text}` },
      { service: text },
      { container: text },
    ])
    const certificates = Object.fromEntries(
      await Promise.all(
        hostile
          .slice(0, 6)
          .map(async (text, index) => [`../${text}`, await pem(`c${index}.example`)] as const),
      ),
    )
    await serve(
      [{ service: 'c' }, ...rules, { service: 'c', protocol: 'https', sourcePort: 8443 }],
      { certificates: Object.keys(certificates) },
      { certificates },
    )
    t.equal(await answer('/', { host: 'x' }), 'c-1')
    t.equal(await answer('/x', { host: `%[env(PATH)]` }), 'b-1', 'it means what it says')
    t.match(await tls(8443, 'c0.example', REQUEST), { subject: 'c0.example', answer: /c-1$/ })
    t.strictSame(
      haproxy.model?.frontends.map(({ name }) => name),
      ['drover-health', '8000', '8443'],
    )
    await t.rejects(once(connect(6666, '127.0.0.1'), 'connect'))
  })
})
