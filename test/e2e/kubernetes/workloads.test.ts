/** Deployments, stateful sets, daemon sets, jobs, cron jobs and a drain on three hosts with real containers. */
import t from 'tap'
import { Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { missingKubectl } from '../master/kubectl.ts'

const skip = (await missingKubectl()) || inPrivateNetwork(import.meta.filename)

t.setTimeout(300_000)

function template(app: string, version: string) {
  return {
    metadata: { labels: { app } },
    spec: {
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      containers: [
        {
          name: 'main',
          image: 'drover/busybox:1',
          imagePullPolicy: 'Never',
          command: ['sh', '-c', `hostname; echo ${version}; sleep 100000`],
        },
      ],
    },
  }
}

/** What people write: an init container, a sidecar, probes, a service, and pods spread over the hosts. */
const WEB = `
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 3
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      terminationGracePeriodSeconds: 3
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: DoNotSchedule
        labelSelector: {matchLabels: {app: shop}}
        matchLabelKeys: [pod-template-hash]
      volumes: [{name: www, emptyDir: {}}]
      initContainers:
      - name: content
        image: drover/busybox:1
        command: [sh, -c, 'echo "$VERSION" > /www/index.html']
        env: [{name: VERSION, value: first}]
        volumeMounts: [{name: www, mountPath: /www}]
      - name: beat
        image: drover/busybox:1
        restartPolicy: Always
        command: [sh, -c, 'trap "exit 0" TERM; while true; do date > /www/beat; sleep 0.2; done']
        startupProbe: {exec: {command: [test, -e, /www/beat]}, periodSeconds: 1, failureThreshold: 30}
        volumeMounts: [{name: www, mountPath: /www}]
      containers:
      - name: web
        image: drover/busybox:1
        command: [httpd, -f, -p, '8080', -h, /www]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /beat, port: http}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 2}}}
        volumeMounts: [{name: www, mountPath: /www}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: asker}
spec:
  selector: {matchLabels: {app: asker}}
  template:
    metadata: {labels: {app: asker}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: drover/busybox:1
        command: [sh, -c, 'while true; do timeout 3 wget -q -O - http://shop.default.svc/ || echo failed; sleep 0.1; done']
`

/** Five parts of a job, of which the third fails for good. */
const INDEXED = `
apiVersion: batch/v1
kind: Job
metadata: {name: parts}
spec:
  completions: 5
  parallelism: 3
  completionMode: Indexed
  backoffLimitPerIndex: 1
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: drover/busybox:1
        command: [sh, -c, 'echo "part $JOB_COMPLETION_INDEX of $(hostname)"; test "$JOB_COMPLETION_INDEX" != 2']
`

function workload(kind: string, name: string, spec: object = {}) {
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name },
    spec: { selector: { matchLabels: { app: name } }, template: template(name, 'first'), ...spec },
  }
}

t.test('workloads on hosts', { skip, timeout: 280_000 }, async t => {
  const fleet = await Fleet.start(t, 'workloads', 3)
  await Promise.all([fleet.join(2), fleet.join(3)])
  const kubectl = async (...args: readonly string[]) =>
    (await fleet.kubectl(args, { deadline: 90_000 })).stdout
  const apply = (...items: readonly object[]) =>
    fleet.kubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) })
  const rolled = (what: string) => kubectl('rollout', 'status', what, '--timeout=60s')
  const nodesOf = async (app: string) =>
    (await kubectl('get', 'pods', '-l', `app=${app}`, '-o', 'jsonpath={.items[*].spec.nodeName}'))
      .split(' ')
      .toSorted()

  await t.test('a deployment rolls, and back, and nobody on any host notices', async t => {
    await fleet.kubectl(['apply', '-f', '-'], { input: WEB })
    await rolled('deployment/shop')
    await rolled('daemonset/asker')
    t.strictSame(await nodesOf('shop'), ['h1', 'h2', 'h3'])
    t.match(await kubectl('get', 'pods', '-l', 'app=shop'), /(shop-\S+\s+2\/2\s+Running\s+0[^\n]*\n){3}/)
    const askers = (await kubectl('get', 'pods', '-l', 'app=asker', '-o', 'name')).trim().split('\n')
    const answered = async (version: string) => {
      for (const asker of askers)
        await until(`${asker} sees the ${version}`, 20_000, async () =>
          (await kubectl('logs', '--tail=20', asker))
            .split('\n')
            .slice(0, -1)
            .every(line => line === version),
        )
    }
    await answered('first')
    await kubectl('set', 'env', 'deployment/shop', '-c', 'content', 'VERSION=second')
    await rolled('deployment/shop')
    await answered('second')
    t.strictSame(await nodesOf('shop').then(nodes => [...new Set(nodes)]), ['h1', 'h2', 'h3'])
    await kubectl('rollout', 'undo', 'deployment/shop')
    await rolled('deployment/shop')
    await answered('first')
    t.match(await kubectl('rollout', 'history', 'deployment/shop'), /^2\s.*\n3\s/m)
    for (const asker of askers) {
      const log = await kubectl('logs', asker)
      t.match(log, /first[\s\S]*second[\s\S]*first/)
      t.notMatch(log.slice(log.indexOf('first')), 'failed', `${asker} was always answered`)
    }
    await kubectl('delete', 'deployment,service', 'shop')
    await kubectl('delete', 'daemonset', 'asker')
    await kubectl('wait', '--for=delete', 'pod', '-l', 'app=shop', '--timeout=60s')
  })

  await t.test('a job by number', async t => {
    await fleet.kubectl(['apply', '-f', '-'], { input: INDEXED })
    await kubectl('wait', '--for=condition=Failed', 'job/parts', '--timeout=60s')
    const status = async (field: string) =>
      kubectl('get', 'job', 'parts', '-o', `jsonpath={.status.${field}}`)
    t.equal(await status('completedIndexes'), '0,1,3,4')
    t.equal(await status('failedIndexes'), '2')
    t.equal(await status('failed'), '2', 'the third was tried twice')
    for (const index of ['0', '1', '3', '4']) {
      const label = `batch.kubernetes.io/job-name=parts,batch.kubernetes.io/job-completion-index=${index}`
      t.equal(await kubectl('logs', '-l', label), `part ${index} of parts-${index}\n`)
    }
    t.ok(
      (
        await kubectl('get', 'pods', '-l', 'job-name=parts', '-o', 'jsonpath={.items[*].spec.nodeName}')
      ).split(' ').length >= 6,
    )
    await kubectl('delete', 'job', 'parts')
  })

  await t.test('jobs that say what failures and successes mean', async t => {
    const job = (name: string, command: string, spec: object) => ({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name },
      spec: {
        ...{ completions: 3, parallelism: 3, completionMode: 'Indexed', ...spec },
        template: {
          spec: {
            restartPolicy: 'Never',
            terminationGracePeriodSeconds: 0,
            containers: [{ name: 'main', image: 'drover/busybox:1', command: ['sh', '-c', command] }],
          },
        },
      },
    })
    const onExitCodes = { operator: 'In', values: [42] }
    await apply(
      job('hopeless', 'exit 42', { podFailurePolicy: { rules: [{ action: 'FailJob', onExitCodes }] } }),
      job('led', 'test "$JOB_COMPLETION_INDEX" = 0 || sleep 1000', {
        successPolicy: { rules: [{ succeededIndexes: '0' }] },
      }),
    )
    await kubectl('wait', '--for=condition=Failed', 'job/hopeless', '--timeout=40s')
    await kubectl('wait', '--for=condition=Complete', 'job/led', '--timeout=40s')
    const reason = (name: string) =>
      kubectl('get', 'job', name, '-o', 'jsonpath={.status.conditions[*].reason}')
    t.match(await reason('hopeless'), 'PodFailurePolicy')
    t.match(await reason('led'), 'SuccessPolicy')
    await kubectl('delete', 'job', 'hopeless', 'led')
  })

  await t.test('a stateful set: names, order, rolled and back', async t => {
    await apply(workload('StatefulSet', 'db', { replicas: 2, serviceName: 'db' }))
    await rolled('statefulset/db')
    t.match(await kubectl('logs', 'db-0'), /^db-0\nfirst/)
    t.match(await kubectl('logs', 'db-1'), /^db-1\nfirst/)
    await apply(
      workload('StatefulSet', 'db', { replicas: 2, serviceName: 'db', template: template('db', 'second') }),
    )
    await rolled('statefulset/db')
    t.match(await kubectl('logs', 'db-0'), /^db-0\nsecond/)
    await kubectl('rollout', 'undo', 'statefulset/db')
    await rolled('statefulset/db')
    t.match(await kubectl('logs', 'db-0'), /^db-0\nfirst/)
  })

  await t.test('nodes tell which images they have', async t => {
    for (const name of ['h1', 'h2', 'h3']) {
      await until(`${name} tells`, 20_000, async () => {
        const path = 'jsonpath={.status.images[*].names}'
        return (await kubectl('get', 'node', name, '-o', path)).includes('drover/busybox:1')
      })
    }
    t.pass()
  })

  await t.test('a daemon set is on every host', async t => {
    await apply(workload('DaemonSet', 'agent'))
    await rolled('daemonset/agent')
    t.strictSame(await nodesOf('agent'), ['h1', 'h2', 'h3'])
  })

  await t.test('a drained host is empty, as fast as the budget allows', async t => {
    await apply(workload('Deployment', 'web', { replicas: 3 }), {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'web' },
      spec: { minAvailable: 2, selector: { matchLabels: { app: 'web' } } },
    })
    await rolled('deployment/web')
    await kubectl('wait', '--for=jsonpath={.status.disruptionsAllowed}=1', 'pdb/web', '--timeout=20s')
    t.match(await kubectl('drain', 'h2', '--ignore-daemonsets', '--timeout=80s'), /drained/)
    await rolled('deployment/web')
    for (const app of ['web', 'db']) t.notOk((await nodesOf(app)).includes('h2'), app)
    t.strictSame(await nodesOf('agent'), ['h1', 'h2', 'h3'])
    await kubectl('uncordon', 'h2')
  })

  await t.test('a cron job runs', async t => {
    await apply({
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name: 'tick' },
      spec: {
        schedule: '* * * * *',
        jobTemplate: {
          spec: {
            template: {
              spec: {
                restartPolicy: 'Never',
                containers: [
                  { name: 'main', image: 'drover/busybox:1', imagePullPolicy: 'Never', command: ['true'] },
                ],
              },
            },
          },
        },
      },
    })
    await until(
      'it has run',
      90_000,
      async () =>
        (await kubectl('get', 'cronjob', 'tick', '-o', 'jsonpath={.status.lastSuccessfulTime}')) !== '',
    )
    t.match(await kubectl('get', 'jobs'), /tick-\d+\s+Complete\s+1\/1/)
  })

  await t.test('all of it goes', async t => {
    await kubectl('delete', 'statefulset,daemonset,deployment,cronjob,pdb', '--all')
    await until('no pod is left', 60_000, async () => (await kubectl('get', 'pods', '-o', 'name')) === '')
    for (const host of [fleet.host(1), fleet.host(2), fleet.host(3)]) {
      await until(
        `${host.name} has no container of them`,
        60_000,
        async () => (await fleet.docker(['io.kubernetes.pod.namespace=default'], host)).length === 0,
      )
    }
    t.pass()
  })
})
