/** Load balancers in compose files. */
import t from 'tap'
import { readStack } from '../../../../server/compose/index.ts'

const read = (lbConfig: string, image = 'rancher/lb-service-haproxy:v0.9') =>
  readStack(
    {
      'docker-compose.yml': `version: "2"\nservices:\n  web: {image: x}\n  lb: {image: "${image}"}\n`,
      'rancher-compose.yml': `version: "2"\nservices:\n  lb:\n    drain_timeout_ms: 5000\n    lb_config:\n${lbConfig
        .split('\n')
        .map(line => `      ${line}`)
        .join('\n')}\n`,
    },
    {},
  ).services.find(({ name }) => name === 'lb')

t.test('everything that a balancer may be told', async t => {
  const lb = read(`certs: [one, two]
default_cert: zero
config: |-
  global
    maxconn 5
stickiness_policy: {name: n, cookie: C, domain: d.example, indirect: true, nocache: false, postonly: "true", mode: insert}
port_rules:
  - {source_port: 80, service: web, target_port: 8080}
  - {source_port: "443", protocol: HTTPS, hostname: "*.example", path: /api, service: other/web, target_port: 80, priority: 0, weight: 7, backend_name: mine}
  - {source_port: 81, protocol: tcp, selector: "a=b", priority: 3}
  - {source_port: 82, protocol: sni, container: shop-web-1, target_port: 9, hostname: ""}`)
  t.equal(lb?.kind, 'loadBalancerService')
  t.equal(lb?.scale, 1)
  t.equal(lb?.drainTimeout, 5000)
  t.equal(lb?.launchConfig.image, 'drover/lb:1', 'whatever image was asked for')
  t.strictSame(lb?.lbConfig, {
    portRules: [
      { protocol: 'http', sourcePort: 80, service: 'web', targetPort: 8080 },
      {
        protocol: 'https',
        sourcePort: 443,
        hostname: '*.example',
        path: '/api',
        service: 'other/web',
        targetPort: 80,
        weight: 7,
        backendName: 'mine',
      },
      { protocol: 'tcp', sourcePort: 81, selector: 'a=b', priority: 3 },
      { protocol: 'sni', sourcePort: 82, container: 'shop-web-1', targetPort: 9 },
    ],
    certificates: ['one', 'two'],
    defaultCertificate: 'zero',
    config: 'global\n  maxconn 5',
    stickinessPolicy: {
      name: 'n',
      cookie: 'C',
      domain: 'd.example',
      indirect: true,
      nocache: false,
      postonly: true,
      mode: 'insert',
    },
  })
})

t.test('a service of another environment', async t => {
  const lb = read(
    'port_rules:\n- {source_port: 80, environment: Far, service: shop/web, target_port: 1}',
    'rancher/lb-service-haproxy',
  )
  t.equal(lb?.lbConfig?.portRules[0]?.service, 'Far/shop/web')
})

t.test('what a target may say', async t => {
  const target = read('port_rules:\n- {hostname: a, path: /b, target_port: 1, backend_name: c}', 'x')
  t.equal(target?.kind, 'service')
  t.equal(target?.lbConfig, undefined)
  t.strictSame(target?.lbTargetConfig, {
    portRules: [{ hostname: 'a', path: '/b', targetPort: 1, backendName: 'c' }],
  })
  t.throws(() => read('port_rules:\n- {source_port: 80}', 'x'), {
    message: /rancher-compose.yml:7:.* not known here/,
  })
})

t.test('what cannot be carried out is refused where it stands', async t => {
  const cases: [string, RegExp][] = [
    ['{source_port: 53, protocol: quic, service: web, target_port: 53}', /"quic"/],
    ['{source_port: 53, region: far, service: web, target_port: 53}', /names a region/],
    ['{source_port: 53, environment: far, service: web, target_port: 53}', /without a service of it/],
    ['{source_port: 53, environment: far, selector: a=b, target_port: 53}', /without a service of it/],
    ['{source_port: 42, service: web, target_port: 1}', /reserved/],
    ['{source_port: 80, service: web}', /names no target port/],
    ['{source_port: 80, target_port: 1}', /names 0 targets/],
    ['{source_port: 80, service: web, selector: a=b, target_port: 1}', /names 2 targets/],
    ['{service: web, target_port: 1}', /has no source_port/],
    ['{source_port: 443, protocol: tls, service: web, target_port: 1}', /without a certificate/],
    ['{source_port: 80, service: web, target_port: 1, backend_name: "a b"}', /backend name/],
    ['{source_port: 80, service: web, target_port: 1, weight: 257}', /does not fit/],
    ['{source_port: 80, service: web, target_port: 1, colour: red}', /not known here/],
  ]
  for (const [rule, message] of cases) {
    t.throws(() => read(`port_rules:\n- ${rule}`), { message }, rule)
  }
  const twice =
    'port_rules:\n- {source_port: 80, service: web, target_port: 1}\n- {source_port: 80, protocol: tcp, service: web, target_port: 1}'
  t.throws(() => read(twice), { message: /wants tcp at port 80, where another rule wants http/ })
})
