/** The library against the real HAProxy: what is served, what needs no reload, and what stays when something is wrong. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { connect } from 'node:tls'
import t from 'tap'
import { createLogger, readLines } from '../../../kit/index.ts'
import { createCertificateAuthority, issueCertificate } from '../../../kit/x509/index.ts'
import { assignSlots, Haproxy, type HaproxyModel } from '../../../lb/index.ts'
import { untilReloadable } from '../../../lb/reload-signal.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { backend, endpoint, frontend, model } from '../../unit/lb/models.ts'
import { get, webServer } from './web-server.ts'

const skip = inPrivateNetwork(import.meta.filename)
const log = createLogger('test', 'silent')

t.test('HAProxy', { skip }, async t => {
  const directory = await mkdtemp('/tmp/drover-lb-')
  const lines: string[] = []
  const waiting = new Set<() => void>()
  const haproxy = new Haproxy({
    name: 'balancer',
    directory,
    log,
    onLine: line => {
      lines.push(line)
      for (const wake of waiting) wake()
    },
  })
  const line = async (pattern: RegExp, from = 0) => {
    while (!lines.slice(from).some(text => pattern.test(text))) {
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting.add(resolve)
      await promise
      waiting.delete(resolve)
    }
  }
  await haproxy.start()
  const [a, b, c] = await Promise.all(['a', 'b', 'c'].map(name => webServer(name)))
  t.teardown(async () => {
    await haproxy.stop()
    await Promise.all([a, b, c].map(server => server?.close()))
    await rm(directory, { recursive: true, force: true })
  })
  if (a === undefined || b === undefined || c === undefined) throw new Error('no servers')

  const authority = await createCertificateAuthority('test', 2)
  const certificate = async (name: string) => {
    const { certificate, privateKey } = await issueCertificate(authority, {
      commonName: name,
      dnsNames: [name],
      usage: 'server',
      validDays: 2,
    })
    return `${certificate}\n${privateKey}`
  }
  const hostile = `evil'"\\ $HOME %[env(PATH)] #\tend`.replace('\t', ' ')
  const first: HaproxyModel = model({
    frontends: [
      frontend('http', 8080, {
        forwarded: 'http',
        rules: [
          {
            host: { kind: 'exact', value: 'a.example' },
            path: { kind: 'prefix', value: '/api' },
            backend: 'c',
          },
          { host: { kind: 'exact', value: 'a.example' }, backend: 'a' },
          { host: { kind: 'suffix', value: '.b.example' }, backend: 'b' },
          { host: { kind: 'prefix', value: 'c.' }, backend: 'c' },
          { path: { kind: 'exact', value: '/exact' }, backend: 'b' },
          {
            host: { kind: 'exact', value: hostile },
            path: { kind: 'prefix', value: `/${hostile}` },
            backend: 'a',
          },
          {
            host: { kind: 'exact', value: '-i' },
            path: { kind: 'prefix', value: '-f /etc/passwd' },
            backend: 'a',
          },
        ],
        hostMap: 'hosts',
      }),
      frontend('tls', 8443, {
        binds: [
          {
            address: '127.0.0.1',
            port: 8443,
            tls: { certificates: ['../one\n'], strictSni: false, alpn: ['h2', 'http/1.1'] },
          },
        ],
        defaultBackend: 'a',
      }),
    ],
    backends: [
      backend('a', assignSlots(undefined, [endpoint('a', a.port)])),
      backend('b', assignSlots(undefined, [endpoint('b', b.port)])),
      backend('c', assignSlots(undefined, [endpoint('c', c.port)]), {
        check: {
          interval: 50,
          timeout: 500,
          rise: 1,
          fall: 1,
          request: { method: 'GET', uri: '/', version: 'HTTP/1.0', headers: [['X-Check', hostile]] },
        },
        logChecks: true,
      }),
    ],
    certificates: [{ name: '../one\n', pem: await certificate('one.example') }],
    maps: [{ name: 'hosts', entries: [['m.example', 'b']] }],
  })
  let present = first
  const workers = async () => (await haproxy.runtime.facts()).Pid
  const apply = async (change: Partial<HaproxyModel>) => {
    const next = { ...present, ...change }
    const applied = await haproxy.apply(next)
    present = next
    return applied.how
  }
  const bodyOf = async (host: string, place = '/') => (await get(8080, place, { host })).body
  const statusOf = async (host: string, place = '/') => (await get(8080, place, { host })).status

  await t.test('serves what the model says', async t => {
    t.equal(await apply({}), 'start')
    t.equal(await bodyOf('A.example:8080'), 'a')
    t.equal(await bodyOf('a.example', '/API/x'), 'c')
    t.equal(await bodyOf('x.b.example'), 'b')
    t.equal(await bodyOf('c.anything'), 'c')
    t.equal(await bodyOf('other', '/exact'), 'b')
    t.equal(await bodyOf('m.example'), 'b')
    t.equal(await statusOf('nobody.example'), 503)
    await get(8080, '/', { host: 'a.example' })
    t.match(a.seen(), { 'x-forwarded-proto': 'http', 'x-forwarded-port': '8080' })
    await line(/Health check for server c\/s1 succeeded/)
  })

  await t.test('changes without a reload', async t => {
    const worker = await workers()
    const [backendA, backendB, backendC] = present.backends
    if (!backendA || !backendB || !backendC) throw new Error('no backends')
    const withA = (...ports: [string, number, object?][]) => ({
      backends: [
        {
          ...backendA,
          slots: assignSlots(
            present.backends[0]?.slots,
            ports.map(([id, port, more]) => endpoint(id, port, more)),
          ),
        },
        backendB,
        backendC,
      ],
    })
    t.equal(await apply(withA(['b', b.port])), 'commands')
    t.equal(await bodyOf('a.example'), 'b')
    t.equal(await apply(withA(['b', b.port], ['c', c.port])), 'commands')
    t.strictSame(new Set(await Promise.all([1, 2, 3, 4].map(() => bodyOf('a.example')))), new Set(['b', 'c']))
    t.equal(await apply(withA(['b', b.port, { draining: true }], ['c', c.port])), 'commands')
    t.strictSame(new Set(await Promise.all([1, 2, 3, 4].map(() => bodyOf('a.example')))), new Set(['c']))
    t.equal(await apply(withA()), 'commands')
    t.equal(await statusOf('a.example'), 503)
    t.equal(await apply(withA(['a', a.port])), 'commands')
    t.equal(await apply({ maps: [{ name: 'hosts', entries: [['n.example', 'a']] }] }), 'commands')
    t.equal(await bodyOf('n.example'), 'a')
    t.equal(await statusOf('m.example'), 503)
    const subject = async () => {
      const socket = connect({
        host: '127.0.0.1',
        port: 8443,
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
      })
      await once(socket, 'secureConnect')
      const { subject } = socket.getPeerCertificate()
      const protocol = socket.alpnProtocol
      socket.destroy()
      return [subject.CN, protocol]
    }
    t.strictSame(await subject(), ['one.example', 'h2'])
    t.equal(
      await apply({ certificates: [{ name: '../one\n', pem: await certificate('two.example') }] }),
      'commands',
    )
    t.strictSame(await subject(), ['two.example', 'h2'])
    t.equal(await workers(), worker, 'it is still the same process')
    t.ok(
      (await haproxy.runtime.statistics('a')).find(({ server }) => server === 's1'),
      'statistics',
    )
  })

  await t.test('what is wrong changes nothing, and is named', async t => {
    const worker = await workers()
    await t.rejects(
      apply({
        frontends: [frontend('http', 8080, { custom: ['option httplog', 'no-such-directive here'] })],
      }),
      {
        code: 'ConfigurationRefused',
        message: /^line \d+: no-such-directive here: unknown keyword/,
      },
    )
    await t.rejects(
      apply({ frontends: [{ ...frontend('http', 8080), binds: [{ address: '192.0.2.77', port: 80 }] }] }),
      {
        code: 'ReloadFailed',
        message: /cannot bind socket/,
      },
    )
    await t.rejects(
      apply({
        certificates: [
          { name: '../one\n', pem: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' },
        ],
      }),
      {
        code: 'ConfigurationRefused',
      },
    )
    await t.rejects(apply({ defaults: ['timeout client 5s\nlisten evil'] }), { code: 'InvalidModel' })
    await t.rejects(apply({ backends: [] }), { code: 'InvalidModel', message: /backend \w+: is not there/ })
    t.equal(await bodyOf('a.example'), 'a')
    t.equal(await workers(), worker)
    t.equal(
      (await readdir(directory)).filter(name => name.startsWith('generation')).length,
      1,
      'no files are left',
    )
  })

  await t.test('no request is lost while much changes', async t => {
    let failed = 0
    let done = 0
    let running = true
    const client = async () => {
      while (running) {
        const answer = await get(8080, '/', { host: 'busy.example' }).catch(error => ({
          status: 0,
          body: String(error),
        }))
        if (answer.status === 200) done += 1
        else failed += 1
      }
    }
    const rules = [{ host: { kind: 'exact', value: 'busy.example' } as const, backend: 'busy' }]
    const busy = (index: number) =>
      backend(
        'busy',
        assignSlots(undefined, [endpoint('a', a.port), endpoint('b', index % 2 === 0 ? b.port : c.port)]),
      )
    await apply({
      frontends: [frontend('http', 8080, { rules })],
      backends: [busy(0)],
      certificates: [],
    })
    const clients = [client(), client(), client(), client()]
    try {
      for (let index = 1; index <= 60; index += 1) {
        const how = await apply({
          backends: [busy(index)],
          ...(index % 10 === 0
            ? { frontends: [frontend('http', 8080, { rules, custom: [`maxconn ${1000 + index}`] })] }
            : {}),
        })
        t.equal(how, index % 10 === 0 ? 'reload' : 'commands')
      }
    } finally {
      running = false
    }
    await Promise.all(clients)
    t.equal(failed, 0, `none of ${done} failed`)
    t.ok(done > 0)
  })

  await t.test('starts again when it is killed, with the newest endpoints', async t => {
    const { pid } = haproxy
    process.kill(pid ?? 0, 'SIGKILL')
    let body = ''
    while (body !== 'a' && body !== 'b' && body !== 'c') {
      body = await get(8080, '/', { host: 'busy.example' }).then(
        answer => answer.body,
        () => '',
      )
      await new Promise(done => setImmediate(done))
    }
    while (haproxy.pid === undefined || haproxy.pid === pid) await new Promise(done => setImmediate(done))
    t.not(haproxy.pid, pid)
  })

  await t.test('ends what an earlier process left', async t => {
    await haproxy.stop()
    const file = path.join(directory, 'current', 'haproxy.cfg')
    await mkdir(path.dirname(file))
    await writeFile(
      file,
      'defaults\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nlisten x\n  bind 127.0.0.1:8080\n',
    )
    const left = spawn('haproxy', ['-W', '-db', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] })
    const exit = once(left, 'exit')
    await writeFile(path.join(directory, 'master.pid'), String(left.pid))
    for await (const text of readLines(left.stderr, 4096)) if (text.includes('Loading success')) break
    // Until then it hears no signal.
    await untilReloadable(left.pid ?? 0, AbortSignal.timeout(10_000))
    const next = new Haproxy({ name: 'next', directory, log })
    await next.start()
    await exit
    t.equal((await next.apply(present)).how, 'start')
    t.match(await bodyOf('busy.example'), /^[abc]$/)
    await next.stop()
    t.strictSame(await readdir(directory), [], 'nothing is left')
    await t.rejects(get(8080, '/'))
  })
})

t.test('a directory must suit sockets', { skip }, async t => {
  t.throws(() => new Haproxy({ name: 'x', directory: path.join('/tmp', 'x'.repeat(80)), log }), {
    code: 'PathTooLong',
  })
  t.throws(() => new Haproxy({ name: 'x', directory: "/tmp/a'b", log }), { code: 'InvalidModel' })
})
