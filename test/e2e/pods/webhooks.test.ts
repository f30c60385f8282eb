/** Admission and conversion webhooks that run in a pod of the cluster, as operators bring them. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { createCertificateAuthority, issueCertificate } from '../../../kit/x509/index.ts'
import { until } from '../../lab/fleet.ts'
import { importNodeImage, NODE_IMAGE } from '../../lab/node-image.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { PodCluster, SOON } from './cluster.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const NAME = { name: 'webhook', namespace: 'webhooks' }
const LABELS = { app: 'webhook' }
const DENIED = /admission webhook "validate.webhooks.test" denied the request: /

function list(...items: object[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
}

function service(program: string, certificate: string, privateKey: string): string {
  const encoded = (text: string) => Buffer.from(text).toString('base64')
  const container = {
    name: 'webhook',
    image: NODE_IMAGE,
    args: ['/program/webhook.mjs'],
    ports: [{ name: 'https', containerPort: 8443 }],
    readinessProbe: { httpGet: { path: '/healthz', port: 'https', scheme: 'HTTPS' }, periodSeconds: 1 },
    volumeMounts: [
      { name: 'program', mountPath: '/program' },
      { name: 'tls', mountPath: '/tls' },
    ],
  }
  return list(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAME.namespace } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: NAME, data: { 'webhook.mjs': program } },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: NAME,
      data: { 'tls.crt': encoded(certificate), 'tls.key': encoded(privateKey) },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: NAME,
      spec: { selector: LABELS, ports: [{ port: 443, targetPort: 'https' }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: NAME,
      spec: {
        selector: { matchLabels: LABELS },
        template: {
          metadata: { labels: LABELS },
          spec: {
            terminationGracePeriodSeconds: 0,
            containers: [container],
            volumes: [
              { name: 'program', configMap: { name: NAME.name } },
              { name: 'tls', secret: { secretName: NAME.name } },
            ],
          },
        },
      },
    },
  )
}

function configuration(kind: 'Mutating' | 'Validating', caBundle: string, rules: object[]): object {
  const verb = kind === 'Mutating' ? 'mutate' : 'validate'
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: `${kind}WebhookConfiguration`,
    metadata: { name: verb },
    webhooks: [
      {
        name: `${verb}.webhooks.test`,
        clientConfig: { service: { ...NAME, path: `/${verb}` }, caBundle },
        rules,
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'default' } },
        matchConditions: [{ name: 'own', expression: "!request.name.startsWith('kube-')" }],
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
      },
    ],
  }
}

function version(name: string, storage: boolean, fields: readonly string[]): object {
  const properties = Object.fromEntries(fields.map(field => [field, { type: 'string' }]))
  return {
    name,
    served: true,
    storage,
    schema: {
      openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties } } },
    },
  }
}

t.test('webhooks', { skip }, async t => {
  const cluster = await PodCluster.start(t, 'webhooks')
  await importNodeImage(cluster.fleet.first)
  const authority = await createCertificateAuthority('webhooks', 1)
  const { certificate, privateKey } = await issueCertificate(authority, {
    commonName: 'webhook',
    dnsNames: ['webhook.webhooks.svc'],
    usage: 'server',
    validDays: 1,
  })
  const caBundle = Buffer.from(authority.certificate).toString('base64')
  const program = await readFile(path.join(import.meta.dirname, 'webhook.mjs'), 'utf8')
  await cluster.apply(service(program, certificate, privateKey))
  const rolled = ['-n', 'webhooks', 'rollout', 'status', 'deployment/webhook', '--timeout=50s']
  t.match(await cluster.kubectl(rolled), { exitCode: 0 })
  await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: idle}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: drover/busybox:1, command: [sleep, infinity]}]
`)
  await cluster.ready('idle')

  await t.test('admission', async t => {
    const written = { operations: ['CREATE', 'UPDATE'], apiGroups: [''], apiVersions: ['v1'] }
    const maps = { ...written, resources: ['configmaps'] }
    await cluster.apply(
      list(
        configuration('Mutating', caBundle, [maps]),
        configuration('Validating', caBundle, [
          { ...maps, operations: ['*'] },
          { ...maps, operations: ['CONNECT'], resources: ['pods/exec'] },
        ]),
      ),
    )
    const create = (name: string, key: string, ...args: string[]) =>
      cluster.kubectl(['create', 'configmap', name, `--from-literal=${key}=value`, ...args])
    await until(
      'the webhooks are in force',
      SOON,
      async () => (await create('no', 'forbidden')).exitCode === 1,
    )
    const refused = await create('no', 'forbidden')
    t.match(refused.stderr, DENIED)
    t.match(refused.stderr, /^error: failed to create configmap: .*: the webhook says no$/m)
    t.match(await create('dry', 'key', '--dry-run=server', '-o', 'jsonpath={.data.note}'), {
      stdout: 'by the webhook',
    })
    const made = await create('yes', 'key')
    t.match(made, { exitCode: 0, stderr: /Warning: the webhook was here/ })
    t.equal(await cluster.field('configmap yes', '.metadata.labels.mutated'), 'yes')
    const patch = ['patch', 'configmap', 'yes', '-p', '{"data":{"forbidden":"now"}}']
    t.match((await cluster.kubectl(patch)).stderr, DENIED)
    const manifest = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'applied' },
      data: { stays: 'here' },
    }
    for (const args of [[], ['--server-side']]) {
      t.match(await cluster.kubectl(['apply', '-f', '-', ...args], JSON.stringify(manifest)), { exitCode: 0 })
    }
    t.match((await cluster.kubectl(['delete', 'configmap', 'applied'])).stderr, DENIED)
    t.match((await cluster.kubectl(['delete', 'configmap', '--all'])).stderr, DENIED)
    const exec = await cluster.kubectl(['exec', 'idle', '--', 'true'])
    t.match(exec.stderr, /denied the request: nobody goes into idle/)
  })

  const place = (apiVersion: string, name: string, spec: object) =>
    JSON.stringify({ apiVersion: `webhooks.test/${apiVersion}`, kind: 'Place', metadata: { name }, spec })

  await t.test('conversion', async t => {
    await cluster.apply(
      JSON.stringify({
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: 'places.webhooks.test' },
        spec: {
          group: 'webhooks.test',
          scope: 'Namespaced',
          names: { plural: 'places', singular: 'place', kind: 'Place' },
          versions: [version('v1', true, ['address']), version('v2', false, ['host', 'port'])],
          conversion: {
            strategy: 'Webhook',
            webhook: {
              clientConfig: { service: { ...NAME, path: '/convert' }, caBundle },
              conversionReviewVersions: ['v1'],
            },
          },
        },
      }),
    )
    const established = ['wait', '--for=condition=Established', 'crd/places.webhooks.test', '--timeout=30s']
    t.match(await cluster.kubectl(established), { exitCode: 0 })
    await cluster.apply(place('v1', 'one', { address: 'a:1' }))
    await cluster.apply(place('v2', 'two', { host: 'b', port: '2' }))
    t.equal(await cluster.field('places.v2.webhooks.test', '.items[*].spec.host'), 'a b')
    t.equal(await cluster.field('places.v1.webhooks.test', '.items[*].spec.address'), 'a:1 b:2')
    await cluster.apply(place('v2', 'one', { host: 'c', port: '1' }))
    t.equal(await cluster.field('places.v1.webhooks.test one', '.spec.address'), 'c:1')
  })

  await t.test('without the webhook', async t => {
    const scale = (replicas: number) =>
      cluster.kubectl(['-n', 'webhooks', 'scale', 'deployment/webhook', `--replicas=${replicas}`])
    t.match(await scale(0), { exitCode: 0 })
    await until('the webhook is gone', SOON, async () => {
      const { stdout } = await cluster.kubectl(['-n', 'webhooks', 'get', 'pods', '-o', 'name'])
      return stdout.trim() === ''
    })
    const create = () => cluster.kubectl(['create', 'configmap', 'later', '--from-literal=key=value'])
    t.match(
      (await create()).stderr,
      /Internal error occurred: failed calling webhook "mutate.webhooks.test": failed to call webhook: Post "https:\/\/webhook.webhooks.svc:443\/mutate\?timeout=10s": no endpoints available for service "webhook"/,
    )
    // What was converted before is remembered.
    await cluster.apply(place('v1', 'three', { address: 'd:3' }))
    t.match(
      (await cluster.kubectl(['get', 'places.v2.webhooks.test'])).stderr,
      /conversion webhook for webhooks.test\/v1, Kind=Place failed: /,
    )
    t.match(await cluster.kubectl(['get', 'places.v1.webhooks.test', 'three']), { exitCode: 0 })
    t.match(await scale(1), { exitCode: 0 })
    await until('the webhook is back', SOON, async () => (await create()).exitCode === 0)
  })
})
