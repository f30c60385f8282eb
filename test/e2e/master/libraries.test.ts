/** Client libraries that others wrote, unmodified: Kubernetes' for JavaScript and for Python. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import {
  AppsV1Api,
  CoreV1Api,
  KubeConfig,
  KubernetesObjectApi,
  makeInformer,
  PatchStrategy,
  type V1ConfigMap,
} from '@kubernetes/client-node'
import t, { type Test } from 'tap'
import { BoundedQueue, runCommand } from '../../../kit/index.ts'
import { MasterUnderTest, missingKubectl } from './kubectl.ts'

const skip = await missingKubectl()
const PYTHON = '/usr/bin/python3'
const PYTHON_LIBRARY = '/usr/lib/python3/dist-packages/kubernetes'

const map = (name: string, data: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', labels: { from: 'javascript' } },
  data,
})

function observe(t: Test, config: KubeConfig, core: CoreV1Api) {
  const events = new BoundedQueue<string>('informer', 1000, 'reject')
  const informer = makeInformer<V1ConfigMap>(
    config,
    '/api/v1/namespaces/default/configmaps',
    () => core.listNamespacedConfigMap({ namespace: 'default', labelSelector: 'from=javascript' }),
    'from=javascript',
  )
  for (const verb of ['add', 'update', 'delete'] as const) {
    informer.on(verb, object => events.push(`${verb} ${object.metadata?.name} ${object.data?.a}`))
  }
  t.teardown(() => informer.stop())
  return { informer, next: async () => (await events.next()).value }
}

t.test('the library for JavaScript', { skip, timeout: 60_000 }, async t => {
  const master = await MasterUnderTest.start(t)
  const config = new KubeConfig()
  config.loadFromFile(master.file('admin.kubeconfig'))
  const core = config.makeApiClient(CoreV1Api)
  const objects = KubernetesObjectApi.makeApiClient(config)

  await t.test('an informer sees everything', async t => {
    await core.createNamespacedConfigMap({ namespace: 'default', body: map('before', { a: '0' }) })
    const { informer, next } = observe(t, config, core)
    await informer.start()
    t.equal(await next(), 'add before 0')
    await core.createNamespacedConfigMap({ namespace: 'default', body: map('one', { a: '1' }) })
    t.equal(await next(), 'add one 1')
    const seen = await core.readNamespacedConfigMap({ name: 'one', namespace: 'default' })
    await core.replaceNamespacedConfigMap({
      name: 'one',
      namespace: 'default',
      body: { ...seen, data: { a: '2' } },
    })
    t.equal(await next(), 'update one 2')
    await t.rejects(
      core.replaceNamespacedConfigMap({ name: 'one', namespace: 'default', body: seen }),
      { code: 409 },
      'who has not seen the newest version is refused: elections rely on it',
    )
    await core.deleteNamespacedConfigMap({ name: 'one', namespace: 'default' })
    t.equal(await next(), 'delete one 2')
  })

  await t.test('server-side apply', async t => {
    const wanted = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: { containers: [{ name: 'web', image: 'web:1' }] },
        },
      },
    }
    await objects.patch(wanted, undefined, undefined, 'javascript', true, PatchStrategy.ServerSideApply)
    const deployment = await config
      .makeApiClient(AppsV1Api)
      .readNamespacedDeployment({ name: 'web', namespace: 'default' })
    t.equal(deployment.spec?.replicas, 1)
    t.match(deployment.metadata?.managedFields?.[0], { manager: 'javascript', operation: 'Apply' })
    t.ok(deployment.metadata?.creationTimestamp instanceof Date)
  })
})

const noPython = existsSync(PYTHON_LIBRARY) ? skip : 'python3-kubernetes is not installed'

t.test('the library for Python', { skip: noPython, timeout: 90_000 }, async t => {
  const master = await MasterUnderTest.start(t)
  const { stdout } = await runCommand(
    PYTHON,
    [path.join(import.meta.dirname, 'library.py'), master.file('admin.kubeconfig')],
    { deadline: 60_000, environment: { HOME: master.directory, TMPDIR: master.directory } },
  )
  t.strictSame(stdout.trim().split('\n'), [
    'created, patched, read',
    'watched',
    'refused twice the same',
    'defined a kind and used it',
    'applied',
    'leads',
  ])
})
