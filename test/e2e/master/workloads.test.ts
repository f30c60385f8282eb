/** Workloads as a user of kubectl rolls, scales, drains and undoes them; nobody runs their pods but a stand-in. */
import t from 'tap'
import { MasterUnderTest, missingKubectl } from './kubectl.ts'
import { standInHosts } from './stand-in-hosts.ts'

const skip = await missingKubectl()

function workload(kind: string, name: string, spec: object = {}) {
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name },
    spec: {
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'main', image: `${name}:1` }] },
      },
      ...spec,
    },
  }
}

t.test('workloads', { skip, timeout: 240_000 }, async t => {
  const master = await MasterUnderTest.start(t)
  await standInHosts(t, master)
  const rolled = (what: string) => master.ok('rollout', 'status', what, '--timeout=30s')
  const image = (what: string) =>
    master.ok('get', what, '-o', 'jsonpath={.spec.template.spec.containers[0].image}')

  for (const [kind, name, spec] of [
    ['Deployment', 'web', { replicas: 3 }],
    ['StatefulSet', 'db', { replicas: 3, serviceName: 'db' }],
    ['DaemonSet', 'agent', {}],
  ] as const) {
    await t.test(`${kind}: rolled, shown, undone`, async t => {
      const what = `${kind.toLowerCase()}/${name}`
      const file = await master.writeManifest(`${name}.yaml`, workload(kind, name, spec))
      await master.ok('apply', '-f', file)
      t.match(await rolled(what), /successfully rolled out|roll out complete|rolling update complete/)
      await master.ok('set', 'image', what, `main=${name}:2`)
      t.match(await rolled(what), /successfully rolled out|roll out complete|rolling update complete/)
      t.match(await master.ok('rollout', 'history', what), /^1\s.*\n2\s/m)
      t.match(await master.ok('rollout', 'history', what, '--revision=1'), new RegExp(`${name}:1`))
      await master.ok('rollout', 'undo', what)
      await rolled(what)
      t.equal(await image(what), `${name}:1`)
      t.match(await master.ok('rollout', 'history', what), /^2\s.*\n3\s/m)
      await master.ok('rollout', 'undo', what, '--to-revision=2')
      await rolled(what)
      t.equal(await image(what), `${name}:2`)
      await master.ok('rollout', 'restart', what)
      t.match(await rolled(what), /successfully rolled out|roll out complete|rolling update complete/)
    })
  }

  await t.test('a stateful set in its columns, scaled, and gone', async t => {
    t.match(await master.ok('get', 'statefulset', 'db'), /db\s+3\/3/)
    t.match(await master.ok('get', 'daemonset', 'agent'), /agent\s+2\s+2\s+2\s+2\s+2/)
    await master.ok('scale', 'statefulset/db', '--replicas=1')
    await master.ok('wait', '--for=delete', 'pod/db-1', '--timeout=20s')
    t.match(await master.ok('get', 'pods', '-l', 'app=db', '-o', 'name'), /^pod\/db-0\n$/)
    await master.ok('delete', 'statefulset', 'db', '--cascade=orphan')
    t.match(await master.ok('get', 'pod', 'db-0', '-o', 'name'), /db-0/)
    await master.ok('apply', '-f', master.file('db.yaml'))
    await rolled('statefulset/db')
    await master.ok('delete', 'statefulset', 'db')
    await master.ok('wait', '--for=delete', 'pod/db-0', '--timeout=20s')
    t.equal(await master.ok('get', 'pods', '-l', 'app=db', '-o', 'name'), '')
  })

  await t.test('a drain waits for the budget', async t => {
    const budget = {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'web' },
      spec: { maxUnavailable: 1, selector: { matchLabels: { app: 'web' } } },
    }
    await master.ok('apply', '-f', await master.writeManifest('budget.yaml', budget))
    await master.ok('wait', '--for=jsonpath={.status.disruptionsAllowed}=1', 'pdb/web', '--timeout=20s')
    t.match(await master.ok('get', 'pdb'), /web\s+N\/A\s+1\s+1/)
    t.match(
      await master.ok('drain', 'n1', '--ignore-daemonsets', '--force', '--timeout=60s'),
      /node\/n1 (drained|evicted)/,
    )
    t.equal(
      await master.ok('get', 'pods', '-l', 'app=web', '--field-selector=spec.nodeName=n1', '-o', 'name'),
      '',
    )
    await master.ok('patch', 'pdb', 'web', '--type=merge', '-p', '{"spec":{"maxUnavailable":0}}')
    await master.ok('wait', '--for=jsonpath={.status.disruptionsAllowed}=0', 'pdb/web', '--timeout=20s')
    t.match(
      await master.fails('drain', 'n2', '--ignore-daemonsets', '--timeout=2s'),
      /would violate the pod's disruption budget|global timeout/,
    )
    await master.ok('uncordon', 'n1')
    await master.ok('uncordon', 'n2')
  })

  await t.test('cron jobs', async t => {
    await master.ok('create', 'cronjob', 'tick', '--image=done', '--schedule=*/5 * * * *', '--', 'true')
    t.match(await master.ok('get', 'cronjob'), /tick\s+\*\/5 \* \* \* \*\s+<none>\s+False\s+0/)
    await master.ok('create', 'job', 'by-hand', '--from=cronjob/tick')
    t.match(
      await master.ok('wait', '--for=condition=Complete', 'job/by-hand', '--timeout=20s'),
      /condition met/,
    )
    await master.ok('delete', 'cronjob', 'tick')
    await master.ok('wait', '--for=delete', 'job/by-hand', '--timeout=20s')
  })
})
