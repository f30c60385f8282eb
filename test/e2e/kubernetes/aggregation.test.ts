/** A part of the API that a pod serves: registered, used and gone again by kubectl, through a real agent. */
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createCertificateAuthority, issueCertificate } from '../../../kit/x509/index.ts'
import { EXTENSION_GROUP } from '../../lab/extension-server.ts'
import { DATA, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { missingKubectl } from '../master/kubectl.ts'
import { PodCluster, SOON } from '../pods/cluster.ts'

const skip = (await missingKubectl()) || inPrivateNetwork(import.meta.filename)

t.setTimeout(240_000)

const PROGRAM = fileURLToPath(new URL('../../lab/extension-server.ts', import.meta.url))
const NAME = `v1.${EXTENSION_GROUP}`

t.test('API aggregation', { skip, timeout: 220_000 }, async t => {
  const cluster = await PodCluster.start(t, 'aggregation')
  const { fleet } = cluster
  const ok = async (...args: readonly string[]) => {
    const { stdout, stderr, exitCode } = await cluster.kubectl(args)
    if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`)
    return stdout
  }
  const condition = (field: string) =>
    cluster.field(`apiservice ${NAME}`, `.status.conditions[?(@.type=="Available")].${field}`)

  const authority = await createCertificateAuthority('of the extension', 1)
  const pair = await issueCertificate(authority, {
    commonName: 'wardle',
    dnsNames: ['wardle.extensions.svc'],
    usage: 'server',
    validDays: 1,
  })
  const map = ['-n', 'kube-system', 'get', 'configmap', 'extension-apiserver-authentication']
  const proxyAuthority = await ok(...map, '-o', "jsonpath={.data['requestheader-client-ca-file']}")
  const variable = (name: string) => ({ name, valueFrom: { secretKeyRef: { name: 'wardle', key: name } } })
  const metadata = (name: string) => ({ name, namespace: 'extensions' })
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'extensions' } },
    {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: metadata('wardle') },
      stringData: { TLS_CERT: pair.certificate, TLS_KEY: pair.privateKey, PROXY_CA: proxyAuthority },
    },
    {
      ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: metadata('wardle') },
      spec: {
        selector: { matchLabels: { app: 'wardle' } },
        template: {
          metadata: { labels: { app: 'wardle' } },
          spec: {
            terminationGracePeriodSeconds: 0,
            // The host's own program: there is no registry to get an image with one from.
            volumes: [{ name: 'host', hostPath: { path: '/' } }],
            containers: [
              {
                ...{ name: 'main', image: 'drover/busybox:1', imagePullPolicy: 'Never' },
                command: ['chroot', '/host', process.execPath, PROGRAM],
                env: ['TLS_CERT', 'TLS_KEY', 'PROXY_CA'].map(variable),
                ports: [{ containerPort: 8443 }],
                readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 },
                volumeMounts: [{ name: 'host', mountPath: '/host', readOnly: true }],
              },
            ],
          },
        },
      },
    },
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata: metadata('wardle') },
      spec: { selector: { app: 'wardle' }, ports: [{ port: 443, targetPort: 8443 }] },
    },
    {
      ...{ apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name: NAME } },
      spec: {
        ...{ group: EXTENSION_GROUP, version: 'v1', groupPriorityMinimum: 2000, versionPriority: 10 },
        service: { name: 'wardle', namespace: 'extensions' },
        caBundle: Buffer.from(authority.certificate).toString('base64'),
      },
    },
  ]
  await cluster.apply(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))

  await t.test('is available when its pod is', async t => {
    await until('it is available', SOON * 2, async () => (await condition('status')) === 'True')
    const table = await ok('get', 'apiservices')
    t.match(table, /^v1\.wardle\.example\.com\s+extensions\/wardle\s+True\s/m)
    t.match(table, /^v1\.apps\s+Local\s+True\s/m)
    t.match(await ok('describe', 'apiservice', NAME), /all checks passed/)
    await ok('wait', '--for=condition=Available', `apiservice/${NAME}`, '--timeout=20s')
  })

  await t.test('is a part of the API for kubectl', async t => {
    t.match(
      await ok('api-resources', `--api-group=${EXTENSION_GROUP}`),
      /^flunders\s+fl\s+wardle\.example\.com\/v1/m,
    )
    t.match(await ok('api-versions'), /^wardle\.example\.com\/v1$/m)
    const flunder = {
      ...{ apiVersion: `${EXTENSION_GROUP}/v1`, kind: 'Flunder', metadata: { name: 'one' } },
      spec: { reference: 'somewhere' },
    }
    const { exitCode, stderr } = await cluster.kubectl(['create', '-f', '-'], JSON.stringify(flunder))
    t.equal(exitCode, 0, stderr)
    t.match(await ok('get', 'fl'), /^one\s/m)
    t.match(
      await ok('get', 'flunders.wardle.example.com', 'one', '-o', 'jsonpath={.spec.reference}'),
      'somewhere',
    )
    t.match(await ok('explain', 'flunders.spec'), /What it refers to/)
    const groups = await cluster.field('flunder one', '.metadata.annotations.wardle\\.example\\.com/groups')
    t.match(groups, /system:masters.*system:authenticated/)
  })

  await t.test('serves whom the cluster lets, as who they are', async t => {
    const asAnn = (...args: readonly string[]) => cluster.kubectl([...args, '--as=ann'])
    t.match(await asAnn('get', 'flunders'), { exitCode: 1, stderr: /ann.*cannot list resource "flunders"/ })
    await ok('create', 'role', 'wardle', '--verb=get,list,create', `--resource=flunders.${EXTENSION_GROUP}`)
    await ok('create', 'rolebinding', 'wardle', '--role=wardle', '--user=ann')
    t.match(await asAnn('get', 'flunders'), { exitCode: 0, stdout: /^one\s/m })
    t.match(await asAnn('auth', 'can-i', 'create', `flunders.${EXTENSION_GROUP}`), { stdout: /yes/ })
    const made = { apiVersion: `${EXTENSION_GROUP}/v1`, kind: 'Flunder', metadata: { name: 'two' } }
    await cluster.kubectl(['create', '--as=ann', '--validate=false', '-f', '-'], JSON.stringify(made))
    t.equal(await cluster.field('flunder two', '.metadata.annotations.wardle\\.example\\.com/user'), 'ann')
  })

  await t.test('tells of changes', async t => {
    const watch = fleet.first.start(
      'sh',
      [
        ...['-c', 'exec kubectl --kubeconfig "$1" get flunders --watch --output-watch-events > /run/watched'],
        ...['sh', `${DATA}/kubeconfig`],
      ],
      'watch',
    )
    const seen = async (line: RegExp) =>
      await until(`${line} is told`, SOON, async () =>
        line.test((await fleet.first.run('cat', ['/run/watched'], { acceptedExitCodes: [0, 1] })).stdout),
      )
    await seen(/^ADDED\s+two/m)
    await ok('delete', 'flunder', 'two')
    await seen(/^DELETED\s+two/m)
    watch.kill()
    t.pass()
  })

  await t.test('is told when it is silent, and back', async t => {
    await ok('-n', 'extensions', 'scale', 'deployment', 'wardle', '--replicas=0')
    await until('it is not available', SOON, async () => (await condition('status')) === 'False')
    t.match(await condition('reason'), /MissingEndpoints|EndpointsNotFound|FailedDiscoveryCheck/)
    t.match(await cluster.kubectl(['get', 'flunders']), {
      exitCode: 1,
      stderr: /unable to handle the request|stale GroupVersion discovery/,
    })
    t.match(await ok('get', 'apiservice', NAME), /False \(/)
    t.match(await ok('get', 'pods', '-n', 'kube-system'), '', 'everything else goes on')
    await ok('-n', 'extensions', 'scale', 'deployment', 'wardle', '--replicas=1')
    await until('it is available again', SOON * 2, async () => (await condition('status')) === 'True')
    t.match(await cluster.kubectl(['get', 'flunders']), { exitCode: 0 })
  })

  await t.test('is gone with its registration', async t => {
    await ok('delete', 'apiservice', NAME)
    await until('it is gone', SOON, async () => {
      const { stderr } = await cluster.kubectl(['get', 'flunders'])
      return /the server doesn't have a resource type|could not find/.test(stderr)
    })
    t.pass()
  })
})
