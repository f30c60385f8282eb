/** Stateful sets, daemon sets, cron jobs and a drain on real hosts with real containers. */
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

function workload(kind: string, name: string, spec: object = {}) {
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name },
    spec: { selector: { matchLabels: { app: name } }, template: template(name, 'first'), ...spec },
  }
}

t.test('workloads on hosts', { skip, timeout: 280_000 }, async t => {
  const fleet = await Fleet.start(t, 'workloads', 2)
  await fleet.join(2)
  const kubectl = async (...args: readonly string[]) =>
    (await fleet.kubectl(args, { deadline: 90_000 })).stdout
  const apply = (...items: readonly object[]) =>
    fleet.kubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) })
  const rolled = (what: string) => kubectl('rollout', 'status', what, '--timeout=60s')
  const nodesOf = async (app: string) =>
    (await kubectl('get', 'pods', '-l', `app=${app}`, '-o', 'jsonpath={.items[*].spec.nodeName}'))
      .split(' ')
      .toSorted()

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

  await t.test('a daemon set is on every host', async t => {
    await apply(workload('DaemonSet', 'agent'))
    await rolled('daemonset/agent')
    t.strictSame(await nodesOf('agent'), ['h1', 'h2'])
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
    t.strictSame(await nodesOf('web'), ['h1', 'h1', 'h1'])
    t.strictSame(await nodesOf('db'), ['h1', 'h1'])
    t.strictSame(await nodesOf('agent'), ['h1', 'h2'])
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
    for (const host of [fleet.host(1), fleet.host(2)]) {
      await until(
        `${host.name} has no container of them`,
        60_000,
        async () => (await fleet.docker(['io.kubernetes.pod.namespace=default'], host)).length === 0,
      )
    }
    t.pass()
  })
})
