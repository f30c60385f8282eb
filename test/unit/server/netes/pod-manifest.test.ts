import t from 'tap'
import { POD_LABEL } from '../../../../protocol/index.ts'
import { emptyLaunchConfig } from '../../../../server/compose/index.ts'
import type { UnitBundle } from '../../../../server/controller/index.ts'
import type { Container, LaunchConfig } from '../../../../server/model/index.ts'
import { podContainerName, podManifest, searchDomains } from '../../../../server/netes/index.ts'

const UUID = '11111111-2222-3333-4444-555555555555'
const common = { uuid: UUID, created: '', clusterId: '1c1', accountId: '1a1', stackId: '1st1' }

function bundle(config: Partial<LaunchConfig>, sidekick?: Partial<LaunchConfig>): UnitBundle {
  const launchConfig: LaunchConfig = { ...emptyLaunchConfig, name: 'web', image: 'nginx', ...config }
  const secondary =
    sidekick === undefined ? [] : [{ ...emptyLaunchConfig, name: 'log', image: 'log', ...sidekick }]
  const container = (name: string, launchConfigName: string): Container => ({
    ...common,
    id: name,
    name,
    state: 'creating',
    identity: UUID,
    image: 'i',
    command: [],
    labels: { l: name },
    networkMode: 'managed',
    ports: [],
    startCount: 0,
    createIndex: 1,
    nativeContainer: false,
    hidden: false,
    system: false,
    launchConfigName,
  })
  return {
    unit: {
      ...common,
      id: '1du1',
      name: 'shop-web-1',
      state: 'active',
      serviceId: '1s1',
      serviceIndex: 1,
      launchVersion: 'v',
      externalId: 'shop-web-1-11111111',
    },
    stack: {
      ...common,
      id: '1st1',
      name: 'Shop',
      state: 'active',
      templates: {},
      answers: {},
      system: false,
    },
    project: {
      ...common,
      id: '1a1',
      name: 'Default',
      state: 'active',
      clusterOwner: false,
      externalId: 'default',
    },
    service: {
      ...common,
      id: '1s1',
      uuid: 'service-uuid',
      name: 'web',
      state: 'active',
      kind: 'service',
      externalIps: [],
      scale: 1,
      launchConfig,
      secondaryLaunchConfigs: secondary,
      serviceLinks: [],
      dependsOn: [],
      metadata: {},
      launchVersion: 'v',
      batchSize: 1,
      startFirst: false,
      createIndex: 1,
    },
    containers: [
      container('shop-web-1', 'web'),
      ...(sidekick === undefined ? [] : [container('shop-web-log-1', 'log')]),
    ],
  }
}

t.test('a unit is a pod', async t => {
  const pod = podManifest(
    bundle({
      command: ['run'],
      entryPoint: ['/init'],
      environment: { A: '1' },
      labels: { good: 'label', 'bad label': 'x', long: 'x'.repeat(64) },
      ports: [{ publicPort: 80, privatePort: 8080, protocol: 'udp', address: '127.0.0.1' }],
      memory: 1000,
      milliCpu: 500,
      user: '5:6',
      extraHosts: ['a:10.0.0.1', 'b:10.0.0.1'],
      binds: [{ hostPath: '/data', containerPath: '/x', readOnly: true }],
      stopTimeout: 7,
      restart: 'on-failure',
    }),
  )
  t.match(pod, {
    metadata: {
      name: 'shop-web-1-11111111',
      namespace: 'default',
      labels: { good: 'label', [POD_LABEL.deploymentUnit]: UUID, [POD_LABEL.spreadGroup]: 'service-uuid' },
    },
    spec: {
      restartPolicy: 'OnFailure',
      terminationGracePeriodSeconds: 7,
      hostname: 'shop-web-1',
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['169.254.169.250'] },
      hostAliases: [{ ip: '10.0.0.1', hostnames: ['a', 'b'] }],
      volumes: [{ hostPath: { path: '/data' } }],
      containers: [
        {
          image: 'nginx',
          command: ['/init'],
          args: ['run'],
          env: [{ name: 'A', value: '1' }],
          ports: [{ hostPort: 80, containerPort: 8080, protocol: 'UDP', hostIP: '127.0.0.1' }],
          resources: { limits: { memory: '1000', cpu: '500m' }, requests: { memory: '0', cpu: '0' } },
          securityContext: { runAsUser: 5, runAsGroup: 6 },
          volumeMounts: [{ mountPath: '/x', readOnly: true }],
        },
      ],
    },
  })
  t.notOk(
    Object.keys(pod.metadata.labels ?? {}).some(name => name === 'bad label' || name === 'long'),
    'Kubernetes takes no such labels',
  )
})

t.test('sidekicks are containers of the same pod, each with its own labels', async t => {
  const pod = podManifest(bundle({ stopTimeout: 1 }, { stopTimeout: 30 }))
  t.strictSame(
    pod.spec.containers.map(({ image }) => image),
    ['nginx', 'log'],
  )
  t.equal(pod.spec.terminationGracePeriodSeconds, 30)
  const labels = JSON.parse(pod.metadata.annotations?.['drover.io/container-labels'] ?? '') as Record<
    string,
    { l: string }
  >
  t.strictSame(
    Object.values(labels).map(({ l }) => l),
    ['shop-web-1', 'shop-web-log-1'],
  )
})

t.test('names stay inside what Kubernetes and DNS take', async t => {
  const name = podContainerName({ name: `A_very.long name ${'x'.repeat(80)}`, uuid: UUID })
  t.ok(name.length <= 63)
  t.match(name, /^[a-z0-9][a-z0-9-]*[a-z0-9]$/)
  t.ok(name.endsWith(UUID))
  const { stack, project } = bundle({})
  t.strictSame(searchDomains(stack, project, ['extra']), [
    'extra',
    'shop.default.discover.internal',
    'default.discover.internal',
    'discover.internal',
    'rancher.internal',
  ])
})

t.test('on the host network, names are looked up as on the host', async t => {
  t.match(podManifest(bundle({ networkMode: 'host' })).spec, { hostNetwork: true, dnsPolicy: 'Default' })
  t.match(podManifest(bundle({ networkMode: 'host', labels: { 'io.rancher.container.dns': 'true' } })).spec, {
    dnsPolicy: 'None',
  })
  t.match(podManifest(bundle({ labels: { 'io.rancher.container.dns': 'false' } })).spec, {
    dnsPolicy: 'Default',
  })
})
