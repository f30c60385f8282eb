/** Kinds beyond the core: what they are completed with, what they refuse, how they are scaled and shown. */
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { loadCatalog } from '../../../../server/master/apiserver/catalog/index.ts'
import { parseCronSchedule } from '../../../../server/master/apiserver/kinds/cron-schedule.ts'
import { eventually, temporaryMaster } from './temporary-master.ts'

const root = path.resolve(import.meta.dirname, '../../../..')
const reference = process.env.DROVER_KUBERNETES_REFERENCE ?? path.join(root, '../shared/kubernetes')
const skip = existsSync(path.join(reference, '1.36/discovery')) ? false : `no reference data at ${reference}`

/** The room's README says why. */
const NOT_SERVED = ['/api/v1 bindings', '/api/v1 componentstatuses']

const template = {
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'web', image: 'web:1' }] },
}
const selector = { matchLabels: { app: 'web' } }
const named = (name: string, rest: object) => ({ metadata: { name }, ...rest })

t.test('workloads', async t => {
  const { ask } = await temporaryMaster(t)
  const post = (kind: string, body: object) =>
    ask(`/apis/${kind.split('/').slice(0, 2).join('/')}/namespaces/default/${kind.split('/')[2]}`, {
      method: 'POST',
      body,
    })

  t.test('are completed as Kubernetes does', async t => {
    const deployment = await post('apps/v1/deployments', named('web', { spec: { selector, template } }))
    t.equal(deployment.status, 201)
    t.match(deployment.body, {
      metadata: { generation: 1 },
      spec: {
        replicas: 1,
        revisionHistoryLimit: 10,
        progressDeadlineSeconds: 600,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
        template: {
          spec: {
            restartPolicy: 'Always',
            dnsPolicy: 'ClusterFirst',
            containers: [{ imagePullPolicy: 'IfNotPresent', terminationMessagePath: '/dev/termination-log' }],
          },
        },
      },
      status: {},
    })
    t.notOk(
      'serviceAccountName' in deployment.body.spec.template.spec,
      'each pod has an account, not the template',
    )
    const stateful = await post(
      'apps/v1/statefulsets',
      named('db', { spec: { selector, template, serviceName: 'db' } }),
    )
    t.match(stateful.body.spec, {
      replicas: 1,
      podManagementPolicy: 'OrderedReady',
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
    })
    const daemon = await post('apps/v1/daemonsets', named('all', { spec: { selector, template } }))
    t.match(daemon.body.spec.updateStrategy, {
      type: 'RollingUpdate',
      rollingUpdate: { maxSurge: 0, maxUnavailable: 1 },
    })
    const spec = { template: { spec: { ...template.spec, restartPolicy: 'Never' } } }
    const job = await post('batch/v1/jobs', named('once', { spec }))
    t.match(job.body.spec, {
      completions: 1,
      parallelism: 1,
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      suspend: false,
      podReplacementPolicy: 'TerminatingOrFailed',
      selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': job.body.metadata.uid } },
      template: { metadata: { labels: { 'job-name': 'once', 'batch.kubernetes.io/job-name': 'once' } } },
    })
    const cron = await post(
      'batch/v1/cronjobs',
      named('nightly', { spec: { schedule: '@daily', jobTemplate: { spec } } }),
    )
    t.match(cron.body.spec, {
      concurrencyPolicy: 'Allow',
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
    })
  })

  t.test('refuse what cannot work', async t => {
    const cases: [kind: string, spec: object, message: RegExp][] = [
      [
        'apps/v1/deployments',
        { selector, template, replicas: -1 },
        /spec\.replicas.*greater than or equal to 0/,
      ],
      ['apps/v1/deployments', { template }, /spec\.selector: Required value/],
      ['apps/v1/deployments', { selector: {}, template }, /empty selector is invalid/],
      [
        'apps/v1/deployments',
        { selector: { matchLabels: { app: 'x' } }, template },
        /does not match template/,
      ],
      [
        'apps/v1/deployments',
        { selector, template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } },
        /spec\.template\.spec\.restartPolicy: Unsupported value: "Never"/,
      ],
      [
        'apps/v1/deployments',
        { selector, template, strategy: { type: 'Recreate', rollingUpdate: {} } },
        /may not be specified when strategy/,
      ],
      [
        'apps/v1/replicasets',
        { selector, template: { ...template, spec: { containers: [{ name: 'A' }] } } },
        /spec\.template\.spec\.containers\[0\]\.name/,
      ],
      ['batch/v1/jobs', { template }, /restartPolicy: Unsupported value: "Always"/],
      [
        'batch/v1/cronjobs',
        { schedule: '61 * * * *', jobTemplate: { spec: { template } } },
        /minute: expected 0 to 59/,
      ],
      [
        'autoscaling/v2/horizontalpodautoscalers',
        { scaleTargetRef: { kind: 'Deployment', name: 'web' }, minReplicas: 3, maxReplicas: 2 },
        /spec\.maxReplicas/,
      ],
      ['policy/v1/poddisruptionbudgets', { minAvailable: 1, maxUnavailable: 1 }, /cannot be both set/],
    ]
    for (const [kind, spec, message] of cases) {
      const { status, body } = await post(kind, named('bad', { spec }))
      t.equal(status, 422, `${kind} ${message}`)
      t.match(body.message, message)
    }
  })

  t.test('are scaled', async t => {
    const set = '/apis/apps/v1/namespaces/default/statefulsets/db'
    // Its first pod waits for a node, and the others for it.
    const shown = await eventually(async () => {
      const answer = await ask(`${set}/scale`)
      return answer.body.status.replicas === 1 && answer
    }, 'the first pod is made')
    t.match(shown.body, {
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      metadata: { name: 'db', namespace: 'default' },
      spec: { replicas: 1 },
      status: { replicas: 1, selector: 'app=web' },
    })
    const patched = await ask(`${set}/scale`, {
      method: 'PATCH',
      body: { spec: { replicas: 3 } },
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    t.equal(patched.body.spec.replicas, 3)
    const stale = await ask(`${set}/scale`, { method: 'PUT', body: shown.body })
    t.equal(stale.status, 409)
    const put = await ask(`${set}/scale`, {
      method: 'PUT',
      body: { ...patched.body, metadata: { name: 'db' }, spec: { replicas: 5 } },
    })
    t.equal(put.body.spec.replicas, 5)
    const whole = await ask(set)
    t.match(whole.body, { metadata: { generation: 3 }, spec: { replicas: 5 } })
    t.equal(
      (await ask(`${set}/scale`, { method: 'PUT', body: { metadata: {}, spec: { replicas: -1 } } })).status,
      422,
    )
    t.equal((await ask('/apis/batch/v1/namespaces/default/jobs/once/scale')).status, 404)
  })

  t.test('autoscalers have two faces', async t => {
    const spec = {
      scaleTargetRef: { kind: 'Deployment', name: 'web' },
      maxReplicas: 5,
      targetCPUUtilizationPercentage: 60,
    }
    const first = await post('autoscaling/v1/horizontalpodautoscalers', named('web', { spec }))
    t.match(first.body, {
      apiVersion: 'autoscaling/v1',
      spec: { minReplicas: 1, targetCPUUtilizationPercentage: 60 },
    })
    const second = await ask('/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/web')
    t.match(second.body, {
      apiVersion: 'autoscaling/v2',
      spec: {
        metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { averageUtilization: 60 } } }],
      },
    })
  })

  t.test('what may not change does not', async t => {
    const merge = { 'content-type': 'application/merge-patch+json' }
    const patch = (place: string, body: object) => ask(place, { method: 'PATCH', body, headers: merge })
    const set = '/apis/apps/v1/namespaces/default/statefulsets/db'
    t.equal((await patch(set, { spec: { minReadySeconds: 1 } })).status, 200)
    t.match((await patch(set, { spec: { serviceName: 'other' } })).body, {
      code: 422,
      message: /spec: Forbidden/,
    })
    const job = '/apis/batch/v1/namespaces/default/jobs/once'
    t.equal((await patch(job, { spec: { parallelism: 2 } })).status, 200)
    t.match((await patch(job, { spec: { completionMode: 'Indexed' } })).body, {
      code: 422,
      message: /completionMode/,
    })
    const web = '/apis/apps/v1/namespaces/default/deployments/web'
    t.match((await patch(web, { spec: { selector: { matchLabels: { more: 'x' } } } })).body, {
      code: 422,
      message: /spec\.selector/,
    })
    const storage = { resources: { requests: { storage: '1Gi' } }, accessModes: ['ReadWriteOnce'] }
    const claims = '/api/v1/namespaces/default/persistentvolumeclaims'
    const usual = '/apis/storage.k8s.io/v1/storageclasses/drover-local'
    const annotations = { 'storageclass.kubernetes.io/is-default-class': null }
    t.equal((await patch(usual, { metadata: { annotations } })).status, 200)
    t.equal((await ask(claims, { method: 'POST', body: named('data', { spec: storage }) })).status, 201)
    t.equal((await patch(`${claims}/data`, { spec: { storageClassName: 'fast' } })).status, 200)
    t.equal((await patch(`${claims}/data`, { spec: { storageClassName: 'slow' } })).status, 422)
    t.equal(
      (await patch(`${claims}/data`, { spec: { resources: { requests: { storage: '2Gi' } } } })).status,
      200,
    )
    const classes = '/apis/storage.k8s.io/v1/storageclasses'
    await ask(classes, { method: 'POST', body: named('fast', { provisioner: 'example.com/disk' }) })
    t.equal((await patch(`${classes}/fast`, { allowVolumeExpansion: true })).status, 200)
    t.match((await patch(`${classes}/fast`, { provisioner: 'x/y' })).body.message, /updates to provisioner/)
  })

  t.test('rows of tables', async t => {
    const table = async (place: string) => {
      const { body } = await ask(place, {
        headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
      })
      const names = body.columnDefinitions.map(({ name }: { name: string }) => name)
      return Object.fromEntries(names.map((name: string, index: number) => [name, body.rows[0].cells[index]]))
    }
    t.match(await table('/apis/apps/v1/deployments'), {
      Name: 'web',
      Ready: '0/1',
      Containers: 'web',
      Images: 'web:1',
      Selector: 'app=web',
    })
    t.match(await table('/apis/batch/v1/jobs'), { Name: 'once', Status: 'Running', Completions: '0/1' })
    t.match(await table('/apis/batch/v1/cronjobs'), { Schedule: '@daily', Suspend: 'False', Active: 0 })
    t.match(await table('/apis/autoscaling/v2/horizontalpodautoscalers'), {
      Reference: 'Deployment/web',
      Targets: 'cpu: <unknown>/60%',
    })
  })
})

t.test('schedules', async t => {
  const minutes = (text: string) => [...parseCronSchedule(text).minutes]
  t.strictSame(minutes('*/20 * * * *'), [0, 20, 40])
  t.strictSame(minutes('5-8,30 * * * *'), [5, 6, 7, 8, 30])
  t.strictSame([...parseCronSchedule('0 0 * jan-mar sun').months], [1, 2, 3])
  t.strictSame([...parseCronSchedule('0 0 * * 7').weekdays], [0])
  for (const bad of [
    '',
    '* * * *',
    '* * * * * *',
    '60 * * * *',
    '*/0 * * * *',
    '5-1 * * * *',
    'a * * * *',
    '@never',
  ])
    t.throws(() => parseCronSchedule(bad), `${bad} is refused`)
})

t.test('one object of every kind is taken, with every field set', { skip }, async t => {
  const { ask } = await temporaryMaster(t)
  const catalog = await loadCatalog('1.36')
  const directory = path.join(reference, 'golden')
  const files = new Set(await readdir(directory))
  const strange: string[] = []
  for (const resource of catalog.groupVersions.flatMap(({ resources }) => resources)) {
    if (resource.review) continue
    const { group, version, kind, namespaced } = resource
    const file = `${group === '' ? 'core' : group}.${version}.${kind}.json`
    if (!files.has(file)) {
      strange.push(file)
      continue
    }
    const body = JSON.parse(await readFile(path.join(directory, file), 'utf8'))
    body.metadata = { name: 'golden' }
    const prefix = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
    const answer = await ask(`${prefix}${namespaced ? '/namespaces/default' : ''}/${resource.resource}`, {
      method: 'POST',
      body,
    })
    // The values are names of their fields, which most kinds rightly refuse; a server that fails is wrong.
    t.ok([201, 422, 400].includes(answer.status), `${file}: ${answer.status} ${answer.text.slice(0, 200)}`)
  }
  t.strictSame(
    strange,
    ['apiregistration.k8s.io.v1.APIService.json', 'apiextensions.k8s.io.v1.CustomResourceDefinition.json'],
    'other projects, without such files',
  )
})

t.test('discovery lists what a real server lists', { skip }, async t => {
  const { ask } = await temporaryMaster(t)
  const files = (await readdir(path.join(reference, '1.36/discovery'))).filter(file =>
    /^(?:api__v1|apis__[^_]+__v\d+)\.json$/.test(file),
  )
  const missing: string[] = []
  const different: string[] = []
  for (const file of files) {
    const place = `/${file.replace('.json', '').replaceAll('__', '/')}`
    const { resources } = JSON.parse(await readFile(path.join(reference, '1.36/discovery', file), 'utf8'))
    const { status, body } = await ask(place)
    if (status !== 200) {
      missing.push(place)
      continue
    }
    const ours = new Map(body.resources.map((resource: { name: string }) => [resource.name, resource]))
    for (const { storageVersionHash: _, ...resource } of resources) {
      const own = ours.get(resource.name) as Record<string, unknown> | undefined
      if (own === undefined) missing.push(`${place} ${resource.name}`)
      else {
        const { storageVersionHash: __, ...shown } = own
        const sorted = ({ verbs, ...rest }: Record<string, unknown>) => ({
          ...rest,
          verbs: (verbs as string[]).toSorted(),
        })
        if (
          JSON.stringify(Object.entries(sorted(shown)).toSorted()) !==
          JSON.stringify(Object.entries(sorted(resource)).toSorted())
        )
          different.push(`${place} ${resource.name}: ${JSON.stringify(shown)} ${JSON.stringify(resource)}`)
      }
    }
  }
  t.strictSame(different, [])
  t.strictSame(missing, NOT_SERVED)
})
