import t from 'tap'
import { fieldValue, resourceValue } from '../../../../agent/runtime/downward.ts'
import { containerEnvironment, expand } from '../../../../agent/runtime/environment.ts'
import { inputKey, PodInputs } from '../../../../agent/runtime/pod-inputs.ts'
import { serviceEnvironment } from '../../../../agent/runtime/service-environment.ts'
import { type Container, type Pod, podReferences } from '../../../../protocol/kubernetes/index.ts'

const container: Container = {
  name: 'a',
  image: 'i',
  resources: { limits: { memory: '64Mi' }, requests: { cpu: '250m' } },
}
const pod: Pod = {
  metadata: { name: 'p', namespace: 'n', uid: 'u', labels: { b: 'x"y', a: '1' } },
  spec: { containers: [container] },
}
const facts = {
  nodeName: 'host',
  hostIp: '192.0.2.1',
  podIps: ['10.42.0.5', 'fd42::a2a:5'],
  allocatable: { milliCpu: 2000, memory: 1024, storage: 10 },
}
const inputs = new PodInputs(
  pod,
  new Map([
    [inputKey('configmaps', 'c'), { metadata: { name: 'c' }, data: { one: '1', 'two.x': '2', 'a=b': '3' } }],
    [
      inputKey('secrets', 's'),
      { metadata: { name: 's' }, data: { key: Buffer.from('hidden').toString('base64') } },
    ],
  ]),
)
const environment = (fields: Partial<Container>) =>
  Object.fromEntries(
    containerEnvironment(
      { ...container, ...fields },
      { pod, facts, inputs, services: new Map([['SERVICE', 'here']]) },
    ),
  )

t.test('expansion', async t => {
  const variables = new Map([
    ['A', '1'],
    ['x.y', '2'],
  ])
  t.equal(expand('$(A) $(x.y) $$(A) $(B) $A $', variables), '1 2 $(A) $(B) $A $')
})

t.test('variables, in the order in which they count', async t => {
  t.strictSame(
    environment({
      envFrom: [
        { prefix: 'P_', configMapRef: { name: 'c' } },
        { secretRef: { name: 's' } },
        { secretRef: { name: 'x', optional: true } },
      ],
      env: [
        { name: 'P_one', value: 'own' },
        { name: 'BOTH', value: '$(P_one) $(SERVICE) $(LATER)' },
        { name: 'LATER', value: 'x' },
        { name: 'SECRET', valueFrom: { secretKeyRef: { name: 's', key: 'key' } } },
        { name: 'GONE', valueFrom: { configMapKeyRef: { name: 'c', key: 'no', optional: true } } },
      ],
    }),
    {
      SERVICE: 'here',
      P_one: 'own',
      'P_two.x': '2',
      key: 'hidden',
      BOTH: 'own here $(LATER)',
      LATER: 'x',
      SECRET: 'hidden',
    },
  )
  const from = (valueFrom: NonNullable<Container['env']>[number]['valueFrom'] & object) =>
    environment({ env: [{ name: 'A', valueFrom }] })
  t.throws(() => from({ secretKeyRef: { name: 's', key: 'no' } }), {
    code: 'MissingInput',
    message: /couldn't find key no in Secret n\/s/,
  })
  t.throws(() => from({ configMapKeyRef: { name: 'x', key: 'no' } }), { message: /configmap "x" not found/ })
  t.throws(() => environment({ envFrom: [{ configMapRef: { name: 'x' } }] }), { code: 'MissingInput' })
})

t.test('the downward API', async t => {
  t.equal(fieldValue('metadata.labels', pod, facts), 'a="1"\nb="x\\"y"')
  t.equal(fieldValue("metadata.labels['a']", pod, facts), '1')
  t.equal(fieldValue("metadata.annotations['no']", pod, facts), '')
  t.equal(fieldValue('spec.serviceAccountName', pod, facts), 'default')
  t.equal(fieldValue('status.podIP', pod, facts), '10.42.0.5')
  t.equal(fieldValue('status.podIPs', pod, facts), '10.42.0.5,fd42::a2a:5')
  t.equal(fieldValue('status.podIP', pod, { ...facts, podIps: [] }), '')
  t.throws(() => fieldValue('spec.containers', pod, facts), { code: 'InvalidPod' })
  const value = (resource: string, divisor?: string, containerName?: string) =>
    resourceValue(
      { resource, ...(divisor && { divisor }), ...(containerName && { containerName }) },
      pod,
      container,
      facts,
    )
  t.equal(value('limits.memory', '1Mi'), '64')
  t.equal(value('limits.memory', '1M'), '68', 'rounded up')
  t.equal(value('requests.cpu'), '1')
  t.equal(value('requests.cpu', '1m', 'a'), '250')
  t.equal(value('limits.cpu', '1m'), '2000', 'all that the host has')
  t.equal(value('requests.memory'), String(64 * 2 ** 20), 'a limit is a request')
  t.throws(() => value('limits.cpu', '1', 'stranger'))
})

t.test('services as variables', async t => {
  const port = { name: 'web-port', protocol: 'tcp' as const, port: 80 }
  const services = [
    { namespace: 'n', name: 'my-web', addresses: ['10.43.0.9'], ports: [port] },
    { namespace: 'n', name: 'headless', addresses: [], ports: [port] },
    { namespace: 'other', name: 'far', addresses: ['10.43.0.8'], ports: [port] },
    {
      namespace: 'default',
      name: 'kubernetes',
      addresses: ['10.43.0.1'],
      ports: [{ name: 'https', protocol: 'tcp' as const, port: 443 }],
    },
  ]
  const found = serviceEnvironment(pod, services)
  t.match(Object.fromEntries(found), {
    MY_WEB_SERVICE_HOST: '10.43.0.9',
    MY_WEB_SERVICE_PORT_WEB_PORT: '80',
    MY_WEB_PORT_80_TCP: 'tcp://10.43.0.9:80',
    KUBERNETES_SERVICE_HOST: '10.43.0.1',
    KUBERNETES_SERVICE_PORT_HTTPS: '443',
  })
  t.notOk([...found.keys()].some(name => /FAR|HEADLESS/.test(name)))
  const without = serviceEnvironment({ ...pod, spec: { ...pod.spec, enableServiceLinks: false } }, services)
  t.ok([...without.keys()].every(name => name.startsWith('KUBERNETES_')))
})

t.test('what a pod refers to', async t => {
  const references = podReferences({
    initContainers: [{ name: 'i', image: 'i', envFrom: [{ configMapRef: { name: 'c', optional: true } }] }],
    containers: [
      { ...container, env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }] },
    ],
    volumes: [
      {
        name: 'v',
        projected: { sources: [{ secret: { name: 's' } }, { serviceAccountToken: { path: 't' } }] },
      },
      { name: 'w', persistentVolumeClaim: { claimName: 'd' } },
      { name: 'x', hostPath: { path: '/x' } },
    ],
    imagePullSecrets: [{ name: 'r' }],
  })
  t.strictSame(
    references.map(({ kind, name, optional }) => `${kind}/${name}${optional ? '?' : ''}`),
    ['configmaps/c', 'secrets/s', 'persistentvolumeclaims/d', 'secrets/r?'],
  )
})
