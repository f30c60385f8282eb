import t from 'tap'
import type { DroverError } from '../../../../kit/index.ts'
import { readStack, type ServiceDefinition } from '../../../../server/compose/index.ts'

function read(text: string, variables: Record<string, string> = {}): readonly ServiceDefinition[] {
  return readStack({ 'docker-compose.yml': text }, variables).services
}

function refusal(text: string): DroverError {
  try {
    read(text)
  } catch (error) {
    return error as DroverError
  }
  throw new Error('was not refused')
}

t.test('a service becomes a launch config', async t => {
  const [web] = read(`
version: "2"
services:
  web:
    image: nginx:1.27
    command: sh -c "echo 'a b'; sleep 1"
    entrypoint: [/init]
    environment: {A: 1, B: "x=y"}
    labels: ["one=1", "flag"]
    ports: ["8080:80", "127.0.0.1:53:5353/udp", "9000-9001:90-91"]
    expose: ["81", "82/udp"]
    mem_limit: 64m
    cpus: "0.5"
    scale: 3
    restart: on-failure
    stop_grace_period: 1m30s
    volumes: ["/data:/var/data:ro"]
    user: "1000:100"
`)
  t.match(web, {
    name: 'web',
    scale: 3,
    launchConfig: {
      image: 'nginx:1.27',
      command: ['sh', '-c', "echo 'a b'; sleep 1"],
      entryPoint: ['/init'],
      environment: { A: '1', B: 'x=y' },
      labels: { one: '1', flag: '' },
      ports: [
        { publicPort: 8080, privatePort: 80, protocol: 'tcp' },
        { address: '127.0.0.1', publicPort: 53, privatePort: 5353, protocol: 'udp' },
        { publicPort: 9000, privatePort: 90 },
        { publicPort: 9001, privatePort: 91 },
      ],
      expose: ['81/tcp', '82/udp'],
      memory: 64 * 2 ** 20,
      milliCpu: 500,
      restart: 'on-failure',
      stopTimeout: 90,
      binds: [{ hostPath: '/data', containerPath: '/var/data', readOnly: true }],
      user: '1000:100',
    },
  })
})

t.test('links, sidekicks and dependencies', async t => {
  const services = read(`
services:
  app:
    image: app
    labels: {io.rancher.sidekicks: "log, data"}
    links: ["db:database", "other/cache"]
    depends_on: [db]
  log: {image: log}
  data: {image: data}
  db: {image: db}
`)
  t.strictSame(
    services.map(({ name }) => name),
    ['app', 'db'],
  )
  t.strictSame(
    services[0]?.secondaryLaunchConfigs.map(({ name, image }) => [name, image]),
    [
      ['log', 'log'],
      ['data', 'data'],
    ],
  )
  t.strictSame(services[0]?.serviceLinks, [
    { name: 'db', alias: 'database' },
    { name: 'other/cache', alias: 'cache' },
  ])
  t.strictSame(services[0]?.dependsOn, ['db'])
})

t.test('later files are merged over earlier ones, by service', async t => {
  const { services } = readStack(
    {
      'docker-compose.yml': 'services:\n  web: {image: a, environment: {A: "1"}}\n',
      'rancher-compose.yml':
        'version: "2"\nservices:\n  web: {scale: 2, metadata: {k: v}, upgrade_strategy: {batch_size: 2, start_first: true}}\n',
    },
    {},
  )
  t.match(services, [
    {
      name: 'web',
      scale: 2,
      batchSize: 2,
      startFirst: true,
      metadata: { k: 'v' },
      launchConfig: { image: 'a', environment: { A: '1' } },
    },
  ])
})

t.test('variables', async t => {
  const variables = { TAG: '7', EMPTY: '' }
  const [web] = read(
    `services:\n  web:\n    image: "a:\${TAG}"\n    command: ["$TAG", "\${NONE:-x}", "\${EMPTY-y}", "\${EMPTY:-z}", "$$HOME", "\${NONE}"]\n    environment: [TAG, OTHER]\n`,
    variables,
  )
  t.equal(web?.launchConfig.image, 'a:7')
  t.strictSame(web?.launchConfig.command, ['7', 'x', '', 'z', '$HOME', ''])
  t.strictSame(web?.launchConfig.environment, { TAG: '7', OTHER: '' })
})

t.test('what is wrong is named, with line and column', async t => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['services:\n  web:\n    image: a\n     command: x\n', 'InvalidYaml', 'docker-compose.yml:3:12'],
    ['services:\n  web:\n    imag: a\n', 'UnknownKey', 'docker-compose.yml:3:5'],
    ['servics: {}\nservices: {}\n', 'UnknownKey', 'docker-compose.yml:1:1'],
    ['services:\n  web:\n    image: a\n    networks: [x]\n', 'UnsupportedKey', 'docker-compose.yml:4:5'],
    ['networks: {a: {}}\nservices: {}\n', 'UnsupportedKey', 'docker-compose.yml:1:1'],
    [
      'services:\n  web:\n    image: a\n    labels: {io.rancher.scheduler.global: "true"}\n',
      'UnsupportedKey',
      'docker-compose.yml:4:14',
    ],
    ['services:\n  web:\n    image: a\n    ports: ["70000:80"]\n', 'InvalidValue', 'docker-compose.yml:4:13'],
    ['services:\n  web:\n    image: a\n    ports: ["80"]\n', 'InvalidValue', 'docker-compose.yml:4:13'],
    [
      'services:\n  web:\n    image: a\n    ports: ["300.0.0.1:80:80"]\n',
      'InvalidValue',
      'docker-compose.yml:4:13',
    ],
    ['services:\n  web:\n    image: a\n    scale: many\n', 'InvalidValue', 'docker-compose.yml:4:12'],
    ['services:\n  web:\n    image: a\n    scale: -1\n', 'InvalidValue', 'docker-compose.yml:4:12'],
    ['services:\n  web:\n    image: "a b"\n', 'InvalidValue', 'docker-compose.yml:3:12'],
    ['services:\n  web:\n    image: a\n    command: "echo \'x"\n', 'InvalidValue', 'docker-compose.yml:4:14'],
    ['services:\n  web:\n    image: a\n    command: "$(x)"\n', 'InvalidValue', 'docker-compose.yml:4:14'],
    ['services:\n  web:\n    image: a\n    links: [nope]\n', 'UnknownService', 'docker-compose.yml:2:3'],
    ['services:\n  web:\n    image: a\n    mem_limit: lots\n', 'InvalidValue', 'docker-compose.yml:4:16'],
    ['services:\n  -web-: {image: a}\n', 'InvalidValue', 'docker-compose.yml:2:3'],
    ['services:\n  web: {scale: 2}\n', 'MissingKey', 'docker-compose.yml:2:3'],
    ['services:\n  web:\n', 'InvalidValue', 'docker-compose.yml:2:3'],
    ['web: {image: a}\n', 'MissingKey', 'docker-compose.yml'],
    ['version: "1"\nservices: {}\n', 'InvalidValue', 'docker-compose.yml:1:10'],
    ['- a\n', 'InvalidValue', 'docker-compose.yml:1:1'],
  ]
  for (const [text, code, place] of cases) {
    const error = refusal(text)
    t.equal(error.code, code, JSON.stringify(text))
    t.equal(error.object, place, JSON.stringify(text))
    t.ok(error.mend ?? error.expected ?? error.message, 'says something about it')
  }
})

t.test('a file that would unfold without end is refused', async t => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefghi'.split('').map((name, index) => `${name}: &${name} [${`*${'abcdefgh'[index]},`.repeat(9)}]`),
  ].join('\n')
  t.equal(refusal(`${bomb}\nservices: {}\n`).code, 'InvalidYaml')
  t.equal(refusal('#'.repeat(2 ** 20 + 1)).code, 'InvalidYaml')
})

t.test('services without containers', async t => {
  const { services } = readStack(
    {
      'docker-compose.yml': `version: "2"
services:
  web:
    image: nginx
    links: [alias, outside]
  alias:
    image: rancher/dns-service
    links: [web, outside]
  outside:
    image: rancher/external-service:v1
  named:
    image: rancher/external-service
    hostname: api.example.com
`,
      'rancher-compose.yml':
        'version: "2"\nservices:\n  outside:\n    external_ips: [198.51.100.7, "2001:db8::7"]\n',
    },
    {},
  )
  t.same(
    services.map(({ name, kind, scale, externalIps, externalHostname }) => [
      name,
      kind,
      scale,
      externalIps,
      externalHostname,
    ]),
    [
      ['web', 'service', 1, [], undefined],
      ['alias', 'dnsService', 0, [], undefined],
      ['outside', 'externalService', 0, ['198.51.100.7', '2001:db8::7'], undefined],
      ['named', 'externalService', 0, [], 'api.example.com'],
    ],
  )
  const refused = (more: string) =>
    t.throws(() =>
      readStack(
        {
          'docker-compose.yml': `version: "2"\nservices:\n  x:\n    image: rancher/external-service\n${more}`,
        },
        {},
      ),
    )
  refused('')
  refused('    external_ips: [nowhere]\n')
  refused('    hostname: "not a name"\n')
})
