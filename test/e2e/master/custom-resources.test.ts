/** Custom kinds, the way a user of kubectl defines and uses them. */
import t from 'tap'
import { MasterUnderTest, missingKubectl } from './kubectl.ts'

const skip = await missingKubectl()

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'crontabs.stable.example.com' },
  spec: {
    group: 'stable.example.com',
    scope: 'Namespaced',
    names: { plural: 'crontabs', kind: 'CronTab', shortNames: ['ct'], categories: ['all'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: {
          status: {},
          scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
        },
        additionalPrinterColumns: [
          { name: 'Spec', type: 'string', jsonPath: '.spec.cronSpec' },
          { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' },
        ],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            description: 'A time table.',
            properties: {
              spec: {
                type: 'object',
                description: 'What shall run when.',
                required: ['cronSpec'],
                properties: {
                  cronSpec: { type: 'string', description: 'When.', pattern: '^\\S+( \\S+){4}$' },
                  image: { type: 'string' },
                  replicas: { type: 'integer', default: 1, minimum: 0 },
                },
                'x-kubernetes-validations': [
                  {
                    rule: '!has(self.image) || self.image != "forbidden"',
                    message: 'that image is forbidden',
                  },
                ],
              },
              status: { type: 'object', properties: { replicas: { type: 'integer' } } },
            },
          },
        },
      },
    ],
  },
}

const crontab = (name: string, spec: object) => ({
  apiVersion: 'stable.example.com/v1',
  kind: 'CronTab',
  metadata: { name },
  spec,
})

t.test('custom resources', { skip, timeout: 240_000 }, async t => {
  const master = await MasterUnderTest.start(t)
  const file = await master.writeManifest('definition.yaml', definition)
  t.match(await master.ok('apply', '-f', file), /crontabs\.stable\.example\.com created/)
  t.match(
    await master.ok(
      'wait',
      '--for=condition=Established',
      '--timeout=20s',
      'crd/crontabs.stable.example.com',
    ),
    /condition met/,
  )
  t.match(await master.ok('apply', '-f', file), /unchanged/)

  await t.test('are known', async t => {
    t.match(
      await master.ok('api-resources', '--no-headers'),
      /^crontabs\s+ct\s+stable\.example\.com\/v1\s+true\s+CronTab$/m,
    )
    t.match(await master.ok('explain', 'crontab.spec'), /cronSpec\s+<string> -required-\n\s+When\./)
    t.match(await master.ok('explain', 'ct.spec.replicas'), /FIELD: replicas <integer>/)
    t.match(await master.ok('explain', 'crontab'), /metadata\s+<ObjectMeta>/)
  })

  await t.test('are made, shown and refused', async t => {
    const good = await master.writeManifest('good.yaml', crontab('nightly', { cronSpec: '0 0 * * *' }))
    t.match(await master.ok('apply', '-f', good), /crontab\.stable\.example\.com\/nightly created/)
    t.match(await master.ok('get', 'ct'), /^NAME\s+SPEC\s+REPLICAS\nnightly\s+0 0 \* \* \*\s+1$/m)
    t.match(await master.ok('get', 'all'), /crontab\.stable\.example\.com\/nightly/)
    t.match(await master.ok('describe', 'ct', 'nightly'), /Cron Spec:\s+0 0 \* \* \*/)
    const unknown = await master.writeManifest(
      'unknown.yaml',
      crontab('odd', { cronSpec: '0 0 * * *', wrong: 1 }),
    )
    t.match(await master.fails('apply', '-f', unknown), /unknown field "spec\.wrong"/)
    const misspelt = await master.writeManifest('misspelt.yaml', crontab('odd', { cronSpec: 'daily' }))
    t.match(await master.fails('apply', '-f', misspelt), /spec\.cronSpec in body should match/)
    const forbidden = await master.writeManifest(
      'forbidden.yaml',
      crontab('odd', { cronSpec: '0 0 * * *', image: 'forbidden' }),
    )
    t.match(await master.fails('create', '-f', forbidden), /that image is forbidden/)
  })

  await t.test('are changed', async t => {
    const applied = await master.writeManifest(
      'applied.yaml',
      crontab('nightly', { cronSpec: '0 1 * * *', image: 'a' }),
    )
    t.match(await master.ok('diff', '-f', applied).catch((error: Error) => error.message), /.*/)
    t.match(await master.ok('apply', '-f', applied), /configured/)
    t.match(
      await master.fails(
        'apply',
        '--server-side',
        '--field-manager=other',
        '-f',
        await master.writeManifest('taken.yaml', crontab('nightly', { cronSpec: '0 2 * * *' })),
      ),
      /conflict with "kubectl-client-side-apply"/,
    )
    t.match(
      await master.ok('apply', '--server-side', '--force-conflicts', '-f', master.file('taken.yaml')),
      /serverside-applied/,
    )
    t.match(
      await master.ok('patch', 'ct', 'nightly', '--type=merge', '-p', '{"spec":{"image":"b"}}'),
      /patched/,
    )
    t.match(
      await master.ok(
        'patch',
        'ct',
        'nightly',
        '--type=json',
        '-p',
        '[{"op":"remove","path":"/spec/image"}]',
      ),
      /patched/,
    )
    t.match(
      await master.fails('patch', 'ct', 'nightly', '-p', '{"spec":{"image":"b"}}'),
      /strategic-merge|unknown format|415/i,
    )
    t.match(await master.ok('scale', '--replicas=3', 'ct/nightly'), /scaled/)
    t.match(await master.ok('label', 'ct', 'nightly', 'a=b'), /labeled/)
    t.match(
      await master.ok(
        'patch',
        'ct',
        'nightly',
        '--subresource=status',
        '--type=merge',
        '-p',
        '{"status":{"replicas":2}}',
      ),
      /patched/,
    )
    t.match(await master.json('get', 'ct', 'nightly'), {
      metadata: { labels: { a: 'b' } },
      spec: { cronSpec: '0 2 * * *', replicas: 3 },
      status: { replicas: 2 },
    })
  })

  await t.test('in lists beside other kinds, checked by kubectl', async t => {
    const settings = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { a: 'b' } }
    const list = (...items: object[]) => ({ apiVersion: 'v1', kind: 'List', items })
    const good = list(settings, crontab('listed', { cronSpec: '0 0 * * *' }))
    t.match(
      await master.ok('apply', '-f', await master.writeManifest('list.yaml', good)),
      /configmap\/settings created\ncrontab\.stable\.example\.com\/listed created/,
    )
    const bad = list({ ...settings, dat: {} }, crontab('listed', { cronSpec: '0 0 * * *', wrong: 1 }))
    const refused = await master.fails('apply', '-f', await master.writeManifest('bad-list.yaml', bad))
    t.match(refused, /unknown field "dat"/)
    t.match(refused, /unknown field "wrong"/)
    await master.ok('delete', '-f', master.file('list.yaml'))
  })

  await t.test('go', async t => {
    t.match(await master.ok('delete', 'ct', 'nightly'), /deleted/)
    await master.ok('apply', '-f', master.file('good.yaml'))
    t.match(await master.ok('delete', 'crd', 'crontabs.stable.example.com'), /deleted/)
    t.match(await master.fails('get', 'ct'), /doesn't have a resource type|could not find/)
  })
})
