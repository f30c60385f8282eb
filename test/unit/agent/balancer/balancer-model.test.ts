/** Balancers as models of HAProxy: every row of what rules, labels and targets may say. */
import t from 'tap'
import { balancerModel } from '../../../../agent/balancer/index.ts'
import { MetadataModel } from '../../../../agent/metadata/index.ts'
import type { HaproxyModel } from '../../../../lb/index.ts'
import type { BalancerConfig, MetadataObject, PortRule, ServiceInfo } from '../../../../protocol/index.ts'
import { container, environment, host, service, stack } from '../metadata/objects.ts'

const production = environment('Production')
const shop = stack('shop', production)
const data = stack('data', production)
const node1 = host('node1')
const node2 = host('node2', { agentIp: '192.0.2.2' })

const check = {
  port: 81,
  requestLine: 'GET /ping HTTP/1.0',
  interval: 2000,
  responseTimeout: 1000,
  healthyThreshold: 2,
  unhealthyThreshold: 3,
  initializingTimeout: 60_000,
}

function lb(
  portRules: Partial<PortRule>[],
  more: Partial<BalancerConfig> = {},
  info: Partial<ServiceInfo> = {},
): ServiceInfo {
  return service('lb', shop, {
    kind: 'loadBalancerService',
    lbConfig: {
      portRules: portRules.map(rule => ({ sourcePort: 80, protocol: 'http', targetPort: 8080, ...rule })),
      certificates: [],
      ...more,
    },
    ...info,
  })
}

const web = service('web', shop)
const web1 = container('web-1', web, { primaryIp: '10.42.0.1', hostUuid: node1.uuid })
const web2 = container('web-2', web, { primaryIp: '10.42.0.2', hostUuid: node2.uuid })
const db = service('db', data)
const db1 = container('db-1', db, { primaryIp: '10.42.0.3', hostUuid: node1.uuid })
const basic: MetadataObject[] = [production, shop, data, node1, node2, web, web1, web2, db, db1]

function build(
  balancer: ServiceInfo,
  {
    more = [],
    previous,
    certificates = [],
  }: {
    more?: MetadataObject[]
    previous?: HaproxyModel
    certificates?: string[]
  } = {},
) {
  const reader = new MetadataModel()
  // What comes later takes the place of what has the same uuid.
  reader.apply([...basic, balancer, ...more], [])
  return balancerModel({
    service: balancer,
    reader,
    hostUuid: node1.uuid,
    certificates: new Map(certificates.map(name => [name, `pem of ${name}`])),
    previous,
  })
}

const addresses = ({ model }: { model: HaproxyModel }, backend = 0): string[] =>
  (model.backends[backend]?.slots ?? []).flatMap(slot =>
    slot === undefined ? [] : [`${slot.address}:${slot.port}`],
  )
const frontend = ({ model }: { model: HaproxyModel }, port: number) =>
  model.frontends.find(({ name }) => name === String(port))
const routes = (output: { model: HaproxyModel }, port: number) => {
  const found = frontend(output, port)
  return [
    ...(found?.rules ?? []).map(
      ({ host: on, path, backend }) => `${on?.value ?? ''}${path?.value ?? ''} ${backend.split('-')[0]}`,
    ),
    ...(found?.defaultBackend === undefined ? [] : [`* ${found.defaultBackend}`]),
  ]
}

t.test('a rule for everything', async t => {
  const output = build(lb([{ service: 'web' }]))
  t.strictSame(output.problems, [])
  t.strictSame(addresses(output), ['10.42.0.1:8080', '10.42.0.2:8080'])
  t.match(frontend(output, 80), { mode: 'http', forwarded: 'http', defaultBackend: '80', rules: [] })
  t.match(frontend(output, 80)?.binds, [{ address: '*', port: 80 }])
  t.ok(
    output.model.frontends.some(({ binds }) => binds[0]?.port === 42),
    'its own health is asked at port 42',
  )
})

t.test('targets', async t => {
  await t.test('of another stack, by case-insensitive name', async t => {
    t.strictSame(addresses(build(lb([{ service: 'Data/DB' }]))), ['10.42.0.3:8080'])
  })
  await t.test('a container', async t => {
    t.strictSame(addresses(build(lb([{ container: 'web-2' }]))), ['10.42.0.2:8080'])
    t.match(build(lb([{ container: 'nobody' }])).problems, [/no container nobody/])
  })
  await t.test('a service that is not there: its requests go nowhere, others as before', async t => {
    const output = build(lb([{ service: 'gone', path: '/gone' }, { service: 'web' }]))
    t.match(output.problems, [/no service gone/])
    t.equal(frontend(output, 80)?.rules.length, 1)
    t.strictSame(addresses(output, 0), [])
  })
  await t.test('a name for other services, also in a ring', async t => {
    const alias = service('alias', shop, {
      kind: 'dnsService',
      links: [
        { alias: 'a', name: 'web' },
        { alias: 'b', name: 'ring' },
      ],
    })
    const ring = service('ring', shop, {
      kind: 'dnsService',
      links: [
        { alias: 'a', name: 'alias' },
        { alias: 'd', name: 'data/db' },
      ],
    })
    t.strictSame(addresses(build(lb([{ service: 'alias' }]), { more: [alias, ring] })), [
      '10.42.0.1:8080',
      '10.42.0.2:8080',
      '10.42.0.3:8080',
    ])
  })
  await t.test('external addresses, and an external name', async t => {
    const ips = service('ips', shop, {
      kind: 'externalService',
      externalIps: ['198.51.100.1', '2001:db8::1'],
    })
    const name = service('name', shop, { kind: 'externalService', hostname: 'api.partner.example' })
    t.strictSame(addresses(build(lb([{ service: 'ips' }]), { more: [ips] })), [
      '198.51.100.1:8080',
      '2001:db8::1:8080',
    ])
    const output = build(lb([{ service: 'name' }]), { more: [name] })
    t.strictSame(output.model.backends[0]?.names, [{ host: 'api.partner.example', port: 8080 }])
  })
  await t.test('only what runs, has an address and does the work of its service', async t => {
    const more = [
      { ...web2, state: 'stopped' },
      container('web-3', web, { primaryIp: '10.42.0.9', state: 'starting' }),
      container('web-4', web, {}),
      container('helper-1', web, { primaryIp: '10.42.0.8', sidekick: 'helper' }),
    ]
    // One without an address of its own is reached at its host.
    const onHost = container('web-5', web, { hostUuid: node2.uuid })
    t.strictSame(addresses(build(lb([{ service: 'web' }]), { more: [...more, onHost] })), [
      '10.42.0.1:8080',
      '10.42.0.9:8080',
      '192.0.2.2:8080',
    ])
  })
  await t.test('services that are being removed get nothing', async t => {
    t.strictSame(addresses(build(lb([{ service: 'web' }]), { more: [{ ...web, state: 'removing' }] })), [])
  })
  await t.test('one address once, though several rules name it', async t => {
    const output = build(lb([{ service: 'web' }, { container: 'web-1' }]))
    t.strictSame(addresses(output), ['10.42.0.1:8080', '10.42.0.2:8080'])
  })
})

t.test('selectors', async t => {
  const labelled = (name: string, more: Partial<ServiceInfo> = {}) => {
    const one = service(name, shop, { labels: { tier: 'front' }, ...more })
    return [one, container(`${name}-1`, one, { primaryIp: `10.42.1.${name.length}` })]
  }
  await t.test('choose services by labels', async t => {
    const output = build(lb([{ selector: 'tier in (front, back)' }]), {
      more: [...labelled('a'), ...labelled('bb')],
    })
    t.strictSame(addresses(output), ['10.42.1.1:8080', '10.42.1.2:8080'])
  })
  await t.test('let targets say what they want', async t => {
    const own = {
      lbTargetConfig: {
        portRules: [
          { hostname: 'a.example', path: '/x', targetPort: 9, backendName: 'mine' },
          { path: '/y' },
        ],
      },
    }
    const more = labelled('a', own)
    const output = build(lb([{ selector: 'tier=front', hostname: 'lb.example' }]), { more })
    t.strictSame(routes(output, 80), ['lb.example/y 80_lb.example_y', 'a.example/x mine'])
    t.equal(output.model.backends.find(({ name }) => name === 'mine')?.slots[0]?.port, 9)
    const skip = lb(
      [{ selector: 'tier=front' }],
      {},
      { labels: { 'io.rancher.lb_service.skip_target_lb_rules': 'true' } },
    )
    t.strictSame(routes(build(skip, { more }), 80), ['* 80'])
  })
  await t.test('need a target port from one of the two', async t => {
    const balancer = lb([{ selector: 'tier=front' }])
    const [rule] = balancer.lbConfig?.portRules ?? []
    delete rule?.targetPort
    t.match(build(balancer, { more: labelled('a') }).problems, [/neither it nor a says a target port/])
    const own = { lbTargetConfig: { portRules: [{ targetPort: 7 }] } }
    t.strictSame(addresses(build(balancer, { more: labelled('a', own) })), ['10.42.1.1:7'])
  })
  await t.test('that cannot be read are a problem, and only that', async t => {
    const output = build(lb([{ selector: '=(' }, { service: 'web' }]))
    t.match(output.problems, [/selector/])
    t.strictSame(addresses(output), ['10.42.0.1:8080', '10.42.0.2:8080'])
  })
})

t.test('hosts and paths', async t => {
  const output = build(
    lb([
      { service: 'web' },
      { service: 'web', path: '/' },
      { service: 'web', path: '/api' },
      { service: 'web', path: '/api/v2' },
      { service: 'web', hostname: '*.example' },
      { service: 'web', hostname: 'example' },
      { service: 'web', hostname: 'www.example', path: '/a' },
      { service: 'web', hostname: 'www.example', path: '/a/b' },
      { service: 'web', hostname: 'www.*' },
      { service: 'db', path: '/first', priority: 5 },
      { service: 'data/db', path: '/very-first', priority: 2 },
      { service: 'web', hostname: 'bad host' },
      { service: 'web', path: '/bad\npath' },
    ]),
  )
  t.strictSame(
    routes(output, 80).map(route => route.split(' ')[0]),
    [
      '/very-first',
      '/first',
      'www.example/a/b',
      'www.example/a',
      'example',
      '.example',
      'www.',
      '/api/v2',
      '/api',
      '*',
    ],
  )
  t.equal(output.problems.length, 3, 'db of this stack is not there, a host and a path are none')
  const names = output.model.backends.map(({ name }) => name)
  t.equal(new Set(names).size, names.length)
  t.ok(names.every(name => /^[A-Za-z0-9_.:-]+$/.test(name)))
  const pair = build(
    lb([
      { service: 'web', hostname: '*.x' },
      { service: 'db', hostname: '.x' },
      { service: 'web', hostname: '-x' },
    ]),
  )
  t.equal(new Set(pair.model.backends.map(({ name }) => name)).size, 3, 'no two keys have the same name')
})

t.test('protocols', async t => {
  const certificates = ['one', 'two']
  const https = build(
    lb([{ service: 'web', protocol: 'https', sourcePort: 443, hostname: 'a' }], {
      certificates: ['two'],
      defaultCertificate: 'one',
    }),
    { certificates },
  )
  t.match(frontend(https, 443), {
    mode: 'http',
    forwarded: 'https',
    binds: [{ tls: { certificates: ['one', 'two'], strictSni: false, alpn: ['h2', 'http/1.1'] } }],
  })
  const strict = build(lb([{ service: 'web', protocol: 'https', sourcePort: 443 }], { certificates }), {
    certificates,
  })
  t.equal(frontend(strict, 443)?.binds[0]?.tls?.strictSni, true, 'without a default certificate')
  const none = build(
    lb([{ service: 'web', protocol: 'https', sourcePort: 443 }, { service: 'web' }], { certificates }),
  )
  t.equal(frontend(none, 443), undefined)
  t.ok(frontend(none, 80), 'a port without certificates takes nothing from the others')
  t.match(none.problems, [/certificate one is not there/, /certificate two/, /port 443: none/])

  const tls = build(
    lb([{ service: 'web', protocol: 'tls', sourcePort: 443, hostname: 'a', path: '/b' }], { certificates }),
    { certificates },
  )
  t.match(frontend(tls, 443), { mode: 'tcp', defaultBackend: '443', rules: [] })
  t.equal(frontend(tls, 443)?.binds[0]?.tls?.alpn, undefined)
  t.equal(frontend(tls, 443)?.forwarded, undefined)

  const tcp = build(
    lb([
      { service: 'web', protocol: 'tcp', sourcePort: 99, hostname: 'a', path: '/b' },
      { service: 'data/db', protocol: 'tcp', sourcePort: 99 },
    ]),
  )
  t.match(frontend(tcp, 99), { mode: 'tcp', defaultBackend: '99', rules: [] })
  t.equal(addresses(tcp).length, 3, 'all rules of the port together')

  const sni = build(
    lb([
      { service: 'web', protocol: 'sni', sourcePort: 443, hostname: '*.a', path: '/b' },
      { service: 'data/db', protocol: 'sni', sourcePort: 443 },
    ]),
  )
  t.match(frontend(sni, 443), {
    mode: 'tcp',
    sni: true,
    rules: [{ host: { kind: 'suffix', value: '.a' } }],
    defaultBackend: '443',
  })
  t.equal(frontend(sni, 443)?.rules[0]?.path, undefined)
})

t.test('health', async t => {
  const checked = { ...web, healthCheck: check }
  const of = (states: [string | undefined, string | undefined], more: MetadataObject[] = [checked]) =>
    build(lb([{ service: 'web' }]), {
      more: [
        ...more,
        { ...web1, healthState: states[0] as string },
        { ...web2, healthState: states[1] as string },
      ].map(each => JSON.parse(JSON.stringify(each)) as MetadataObject),
    }).model.backends[0]
  t.match(of(['healthy', 'healthy'])?.check, {
    port: 81,
    interval: 2000,
    timeout: 1000,
    rise: 2,
    fall: 3,
    request: { uri: '/ping' },
  })
  t.match(of(['healthy', 'unhealthy'])?.slots, [{ weight: 1 }, { draining: true }])
  t.notOk(
    of(['unhealthy', 'unhealthy'])?.slots.some(slot => slot?.draining),
    'when all are called unhealthy, all are tried',
  )
  t.match(
    of(['healthy', 'initializing'])?.slots,
    [{}, { initially: 'down' }],
    'not ready until a check says so',
  )
  t.equal(
    of(['healthy', 'initializing'], [])?.slots.filter(slot => slot !== undefined).length,
    1,
    'where nobody checks, the server says',
  )
  const other = { ...db, healthCheck: { ...check, port: 5 } }
  const mixed = build(lb([{ service: 'web' }, { service: 'data/db' }]), { more: [checked, other] })
  t.equal(mixed.model.backends[0]?.check, undefined, 'different checks are not one')
  const wrong = build(lb([{ service: 'web' }]), {
    more: [{ ...web, healthCheck: { ...check, requestLine: 'GET / x y\r\n\r\n' } }],
  })
  t.equal(wrong.model.backends[0]?.check, undefined)
  t.match(wrong.problems, [/health check/])
})

t.test('those that are to end keep their clients', async t => {
  const { model } = build(lb([{ service: 'web' }]), { more: [{ ...web1, state: 'stopping' }] })
  t.match(model.backends[0]?.slots, [{ draining: true }, { address: '10.42.0.2' }])
})

t.test('locality', async t => {
  const near = (value: string, more: MetadataObject[] = []) =>
    addresses(
      build(lb([{ service: 'web' }], {}, { labels: { 'io.rancher.lb_service.target': value } }), { more }),
    )
  t.strictSame(near('any'), ['10.42.0.1:8080', '10.42.0.2:8080'])
  t.strictSame(near('only-local'), ['10.42.0.1:8080'])
  t.strictSame(near('prefer-local'), ['10.42.0.1:8080'])
  const gone = [{ ...web1, state: 'stopped' }]
  t.strictSame(near('only-local', gone), [])
  t.strictSame(near('prefer-local', gone), ['10.42.0.2:8080'])
  t.strictSame(near('prefer-local', [{ ...web1, healthState: 'unhealthy' }]), [
    '10.42.0.1:8080',
    '10.42.0.2:8080',
  ])
})

t.test('weights and names of backends', async t => {
  const output = build(
    lb([
      { service: 'web', weight: 200, backendName: 'mine' },
      { service: 'data/db', weight: 0, backendName: 'other' },
    ]),
  )
  t.strictSame(
    output.model.backends.map(({ name }) => name),
    ['mine'],
  )
  t.strictSame(
    output.model.backends[0]?.slots.flatMap(slot => (slot === undefined ? [] : [slot.weight])),
    [200, 200, 0],
  )
})

t.test('stickiness', async t => {
  const sticky = build(
    lb(
      [
        { service: 'web', path: '/a' },
        { service: 'web', protocol: 'tcp', sourcePort: 9 },
      ],
      { stickinessPolicy: { mode: 'insert', indirect: true, domain: 'x.example' } },
    ),
  )
  t.match(sticky.model.backends.find(({ mode }) => mode === 'http')?.stickiness, {
    cookie: /^80_/,
    mode: 'insert',
    indirect: true,
    domain: 'x.example',
  })
  t.equal(sticky.model.backends.find(({ mode }) => mode === 'tcp')?.stickiness, undefined)
  const named = build(lb([{ service: 'web' }], { stickinessPolicy: { cookie: 'SESSION', mode: 'prefix' } }))
  t.match(named.model.backends[0]?.stickiness, { cookie: 'SESSION', mode: 'prefix' })
})

t.test('lines of the owner', async t => {
  const output = build(
    lb([{ service: 'web' }, { service: 'web', hostname: 'a.b', path: '/c' }], {
      config: `global
  maxconn 77
defaults
  option httplog
  timeout client 1s
frontend 80
  accept-proxy
  http-request deny if { path /no }
backend
  http-response set-header x y
backend 80_a_b__c
  server $IP send-proxy
listen more
  bind :9`,
    }),
  )
  t.ok(output.model.global.includes('maxconn 77'))
  t.notOk(output.model.global.includes('maxconn 4096'))
  t.ok(output.model.defaults.includes('log global'), 'who wants requests logged gets them logged')
  t.equal(output.model.accessLog, true)
  t.notOk(output.model.defaults.includes('timeout client 50s'))
  t.equal(frontend(output, 80)?.binds[0]?.acceptProxy, true)
  t.strictSame(frontend(output, 80)?.custom, ['http-request deny if { path /no }'])
  t.ok(output.model.backends.every(({ custom }) => custom?.includes('http-response set-header x y')))
  t.strictSame(
    output.model.backends.map(({ serverParameters }) => serverParameters),
    ['send-proxy', undefined],
    'a backend is also known by the name that older systems gave it',
  )
  t.strictSame(output.model.sections, ['listen more', 'bind :9'])
})

t.test('endpoints keep their slots', async t => {
  const before = build(lb([{ service: 'web' }])).model
  const after = build(lb([{ service: 'web' }]), {
    previous: before,
    more: [{ ...web1, state: 'stopped' }, container('web-3', web, { primaryIp: '10.42.0.7' })],
  }).model
  t.equal(after.backends[0]?.slots[1]?.address, '10.42.0.2')
  t.equal(after.backends[0]?.slots.length, before.backends[0]?.slots.length)
})
