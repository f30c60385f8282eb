/** kubectl waits for objects, and deletes them with and without what they own. */
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { withEachKubectl } from './each-kubectl.ts'
import { standInHosts } from './stand-in-hosts.ts'

const CASCADES = ['background', 'foreground', 'orphan'] as const

await withEachKubectl(t, async (t, master) => {
  await standInHosts(t, master)
  const names = (kind: string, label: string) => master.ok('get', kind, '-l', label, '-o', 'name')
  const gone = (what: string) => master.ok('wait', '--for=delete', what, '--timeout=30s')

  for (const cascade of CASCADES) {
    await t.test(`deletes in the ${cascade}`.replace('the orphan', 'leaving orphans'), async t => {
      const name = `web-${cascade}`
      await master.ok('create', 'deployment', name, '--image=web:1', '--replicas=2')
      await master.ok('rollout', 'status', `deployment/${name}`, '--timeout=30s')
      const [set = ''] = (await names('replicasets', `app=${name}`)).trim().split('\n')
      const { metadata } = await master.json('get', set)
      if (cascade === 'foreground') {
        // As long as somebody holds a pod, its owners are there and say so.
        const pods = (await names('pods', `app=${name}`)).trim().split('\n')
        for (const pod of pods) {
          await master.ok(
            'patch',
            pod,
            '--type=merge',
            '-p',
            '{"metadata":{"finalizers":["example.com/hold"]}}',
          )
        }
        await master.ok('delete', 'deployment', name, `--cascade=${cascade}`, '--wait=false')
        const { metadata: waiting } = await master.json('get', 'deployment', name)
        t.strictSame(waiting.finalizers, ['foregroundDeletion'])
        t.ok(waiting.deletionTimestamp)
        for (const pod of pods) {
          await master.ok('patch', pod, '--type=merge', '-p', '{"metadata":{"finalizers":null}}')
        }
        await gone(`deployment/${name}`)
        t.equal(await names('replicasets,pods', `app=${name}`), '', 'nothing outlives its owner')
        return
      }
      await master.ok('delete', 'deployment', name, `--cascade=${cascade}`)
      t.match(await master.fails('get', 'deployment', name), /NotFound/)
      if (cascade === 'background') {
        await gone(set)
        t.equal(await names('replicasets', `app=${name}`), '')
        return
      }
      await delay(500)
      const left = await master.json('get', set)
      t.equal(left.metadata.uid, metadata.uid)
      t.notOk(left.metadata.ownerReferences?.length)
      t.equal((await names('pods', `app=${name}`)).trim().split('\n').length, 2)
      await master.ok('create', 'deployment', name, '--image=web:1', '--replicas=2')
      await master.ok('rollout', 'status', `deployment/${name}`, '--timeout=30s')
      t.equal((await master.json('get', set)).metadata.ownerReferences[0].name, name, 'it is adopted')
      t.equal(await names('replicasets', `app=${name}`), `${set}\n`)
      await master.ok('delete', 'deployment', name)
      await gone(set)
    })
  }

  await t.test('deletes with grace, without, and many', async t => {
    const run = (name: string) => master.ok('run', name, '--image=web:1', '--labels=group=many')
    await run('held')
    await master.ok('wait', '--for=jsonpath={.status.phase}=Running', 'pod/held', '--timeout=30s')
    await master.ok(
      'patch',
      'pod',
      'held',
      '--type=merge',
      '-p',
      '{"metadata":{"finalizers":["example.com/hold"]}}',
    )
    t.match(await master.ok('delete', 'pod', 'held', '--grace-period=7', '--wait=false'), /"held" deleted/)
    const { metadata } = await master.json('get', 'pod', 'held')
    t.ok(metadata.deletionTimestamp)
    t.ok(metadata.deletionGracePeriodSeconds <= 7)
    t.match(await master.ok('get', 'pod', 'held'), /held +\d\/1 +Terminating/)
    await master.ok('patch', 'pod', 'held', '--type=merge', '-p', '{"metadata":{"finalizers":null}}')
    await gone('pod/held')
    for (const name of ['m1', 'm2', 'm3']) await run(name)
    t.match((await master.run(['delete', 'pod', 'm1', '--force'])).stdout, /"m1" force deleted/)
    t.match(await master.ok('delete', 'pod', 'm2', '--now'), /"m2" deleted/)
    t.match(
      await master.ok('delete', 'pods', '-l', 'group=many', '--dry-run=server'),
      /"m3" deleted.*\(server dry run\)/,
    )
    t.equal(await names('pods', 'group=many'), 'pod/m3\n')
    t.match(await master.ok('delete', 'pods', '--field-selector=metadata.name=m3'), /"m3" deleted/)
    t.match(await master.fails('delete', 'pod', 'm3'), /NotFound/)
    t.equal(await master.ok('delete', 'pod', 'm3', '--ignore-not-found'), '')
    t.match(await master.fails('delete', 'pod', 'm3', '--cascade=nonsense'), /invalid cascade value/)
    const [a, b] = ['one', 'two'].map(name => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }))
    const file = await master.writeManifest('both.yaml', a, b)
    await master.ok('create', '-f', file)
    t.match(await master.ok('delete', '-f', file, '-o', 'name'), /^configmap\/one\nconfigmap\/two\n$/)
  })

  await t.test('waits', async t => {
    const wait = (what: string, condition: string, timeout = '30s') =>
      master.run(['wait', what, `--for=${condition}`, `--timeout=${timeout}`])
    const late = wait('configmap/late', 'create')
    await delay(300)
    await master.ok('create', 'configmap', 'late', '--from-literal=state=new')
    t.match((await late).stdout, /configmap\/late condition met/)
    const value = wait('configmap/late', 'jsonpath={.data.state}=done')
    const present = wait('configmap/late', 'jsonpath={.data.more}')
    await master.ok('patch', 'cm', 'late', '-p', '{"data":{"state":"done","more":"x"}}')
    t.match((await value).stdout, /condition met/)
    t.match((await present).stdout, /condition met/)
    const removed = wait('configmap/late', 'delete')
    await master.ok('delete', 'configmap', 'late')
    t.equal((await removed).exitCode, 0)
    t.equal((await wait('configmap/late', 'delete')).exitCode, 0, 'what is not there is deleted')
    t.match((await wait('configmap/late', 'jsonpath={.data}')).stderr, /not found/)
    await master.ok('create', 'deployment', 'ready', '--image=web:1')
    t.match((await wait('deployment/ready', 'condition=Available')).stdout, /condition met/)
    await master.ok('set', 'image', 'deployment/ready', '*=bad')
    t.match((await wait('deployment/ready', 'condition=Available=False', '1s')).stderr, /timed out waiting/)
    t.match((await wait('node/n1', 'condition=Ready')).stdout, /node\/n1 condition met/)
    await master.ok('delete', 'deployment', 'ready')
  })
})
