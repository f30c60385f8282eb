/** kubectl's verbs about workloads and nodes, about rights, and about what happened. */
import t from 'tap'
import { withEachKubectl } from './each-kubectl.ts'
import { standInHosts } from './stand-in-hosts.ts'

await withEachKubectl(t, async (t, master) => {
  await standInHosts(t, master)
  const rolled = (what: string) => master.ok('rollout', 'status', what, '--timeout=30s')
  const container = async () => {
    const { spec } = await master.json('get', 'deployment', 'web')
    return spec.template.spec.containers[0]
  }

  await t.test('rolls out, pauses, goes back', async t => {
    await master.ok('create', 'deployment', 'web', '--image=web:1', '--replicas=2', '--port=80')
    await master.ok('annotate', 'deployment/web', 'kubernetes.io/change-cause=the first')
    t.match(await rolled('deployment/web'), /successfully rolled out/)
    t.match(await master.ok('rollout', 'pause', 'deployment/web'), /paused/)
    t.match(await master.fails('rollout', 'pause', 'deployment/web'), /is already paused/)
    t.match(await master.fails('rollout', 'restart', 'deployment/web'), /can't restart paused deployment/)
    await master.ok('set', 'image', 'deployment/web', 'web=web:2')
    await master.ok('annotate', 'deployment/web', 'kubernetes.io/change-cause=the second', '--overwrite')
    t.match(await master.ok('rollout', 'history', 'deployment/web'), /^1 +the first$/m)
    t.notMatch(await master.ok('rollout', 'history', 'deployment/web'), /^2/m)
    t.match(await master.ok('rollout', 'resume', 'deployment/web'), /resumed/)
    t.match(await rolled('deployment/web'), /successfully rolled out/)
    t.match(await master.ok('rollout', 'history', 'deployment/web'), /^1 +the first\n2 +the second$/m)
    t.match(await master.ok('rollout', 'history', 'deployment/web', '--revision=1'), /Image:\s+web:1/)
    t.match(
      await master.fails('rollout', 'undo', 'deployment/web', '--to-revision=9'),
      /unable to find specified revision/,
    )
    t.match(
      await master.ok('rollout', 'undo', 'deployment/web', '--dry-run=server'),
      /rolled back \(server dry run\)/,
    )
    t.match(await master.ok('rollout', 'undo', 'deployment/web'), /rolled back/)
    await rolled('deployment/web')
    t.equal((await container()).image, 'web:1')
    t.match(await master.ok('rollout', 'restart', 'deployment/web'), /restarted/)
    t.match(await rolled('deployment/web'), /successfully rolled out/)
  })

  await t.test('sets', async t => {
    await master.ok('set', 'env', 'deployment/web', 'A=b', 'C=d')
    t.match(await master.ok('set', 'env', 'deployment/web', '--list'), /^A=b\nC=d$/m)
    await master.ok('set', 'env', 'deployment/web', 'A-')
    await master.ok('create', 'configmap', 'settings', '--from-literal=KEY=value')
    await master.ok('set', 'env', 'deployment/web', '--from=configmap/settings')
    t.match((await container()).env, [
      { name: 'C', value: 'd' },
      { name: 'KEY', valueFrom: {} },
    ])
    await master.ok(
      'set',
      'resources',
      'deployment/web',
      '--limits=cpu=200m,memory=64Mi',
      '--requests=cpu=100m',
    )
    t.strictSame((await container()).resources, {
      limits: { cpu: '200m', memory: '64Mi' },
      requests: { cpu: '100m' },
    })
    t.match(
      await master.fails('set', 'resources', 'deployment/web', '--limits=cpu=1m'),
      /must be less than or equal to cpu limit/,
    )
    await master.ok('create', 'serviceaccount', 'robot')
    await master.ok('set', 'serviceaccount', 'deployment/web', 'robot')
    await master.ok('set', 'image', 'deployment', '--all', '*=web:3')
    t.equal((await container()).image, 'web:3')
    t.match(
      await master.fails('set', 'image', 'deployment/web', 'absent=x'),
      /unable to find container named "absent"/,
    )
    await rolled('deployment/web')
  })

  await t.test('scales, exposes, runs', async t => {
    t.match(await master.ok('scale', 'deployment/web', '--replicas=3', '--current-replicas=2'), /scaled/)
    t.match(
      await master.fails('scale', 'deployment/web', '--replicas=1', '--current-replicas=2'),
      /Expected replicas to be 2, was 3/,
    )
    await rolled('deployment/web')
    t.match(
      await master.ok('autoscale', 'deployment', 'web', '--min=2', '--max=5', '--cpu-percent=70'),
      /autoscaled/,
    )
    t.match(await master.ok('get', 'hpa', 'web'), /Deployment\/web +cpu: <unknown>\/70% +2 +5/)
    t.match(
      await master.fails('autoscale', 'deployment', 'web', '--name=odd', '--max=0'),
      /must be at least 1/,
    )
    t.match(
      await master.ok('expose', 'deployment', 'web', '--port=80', '--target-port=8080', '--name=front'),
      /exposed/,
    )
    t.match(
      await master.ok('get', 'service', 'front', '-o', 'wide'),
      /ClusterIP +10\.43\.\S+ +<none> +80\/TCP +\S+ +app=web/,
    )
    t.match(await master.ok('set', 'selector', 'service', 'front', 'app=other'), /selector updated/)
    t.match(await master.ok('create', 'service', 'nodeport', 'door', '--tcp=80'), /created/)
    t.match(await master.ok('get', 'service', 'door'), /NodePort +10\.43\.\S+ +<none> +80:3\d{4}\/TCP/)
    t.match(
      await master.ok('create', 'service', 'externalname', 'far', '--external-name=far.example'),
      /created/,
    )
    await master.ok(
      'run',
      'once',
      '--image=done',
      '--restart=Never',
      '--env=A=b',
      '--labels=a=b',
      '--command',
      '--',
      'true',
    )
    await master.ok('wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/once', '--timeout=30s')
    t.match(await master.ok('get', 'pod', 'once'), /once +0\/1 +Succeeded/)
    await master.ok('create', 'job', 'task', '--image=done')
    t.match(await master.ok('wait', '--for=condition=Complete', 'job/task', '--timeout=30s'), /condition met/)
    t.match(await master.ok('events', '--for=deployment/web'), /ScalingReplicaSet/)
    t.match(await master.ok('events', '--types=Normal', '-A'), /Scheduled/)
    t.match(await master.ok('get', 'events', '--field-selector=reason=Scheduled'), /Successfully assigned/)
  })

  await t.test('cordons, taints, drains', async t => {
    const overrides = JSON.stringify({ spec: { nodeName: 'n1' } })
    await master.ok('run', 'alone', '--image=web:1', `--overrides=${overrides}`)
    t.match(await master.ok('cordon', 'n1'), /node\/n1 cordoned/)
    t.match(await master.ok('cordon', 'n1'), /already cordoned/)
    t.match(await master.ok('taint', 'node', 'n2', 'k=v:NoSchedule'), /tainted/)
    t.match(await master.fails('taint', 'node', 'n2', 'k=w:NoSchedule'), /already has k taint/)
    t.match(await master.ok('taint', 'node', 'n2', 'k=w:NoSchedule', '--overwrite'), /modified/)
    t.match(await master.ok('taint', 'node', 'n2', 'k-'), /untainted/)
    t.match(await master.fails('drain', 'n1'), /cannot delete.*declare no controller/)
    t.match(await master.ok('drain', 'n1', '--force', '--dry-run=server'), /drained \(server dry run\)/)
    t.match(
      await master.ok(
        'drain',
        'n1',
        '--force',
        '--ignore-daemonsets',
        '--delete-emptydir-data',
        '--timeout=60s',
      ),
      /node\/n1 drained/,
    )
    t.equal(await master.ok('get', 'pods', '--field-selector=spec.nodeName=n1', '-o', 'name'), '')
    t.match(
      await master.ok('uncordon', '-l', 'kubernetes.io/hostname'),
      /node\/n1 uncordoned[\s\S]*n2 already uncordoned/,
    )
  })

  await t.test('asks about rights, and gives them', async t => {
    const may = async (...args: string[]) => (await master.run(['auth', 'can-i', ...args])).stdout.trim()
    const robot = '--as=system:serviceaccount:default:robot'
    t.equal(await may('get', 'pods', robot), 'no')
    await master.ok(
      'create',
      'role',
      'reader',
      '--verb=get,list',
      '--resource=pods,pods/log',
      '--resource-name=one',
    )
    await master.ok('create', 'rolebinding', 'reads', '--role=reader', '--serviceaccount=default:robot')
    await master.ok('create', 'clusterrole', 'metrics', '--verb=get', '--non-resource-url=/metrics')
    await master.ok(
      'create',
      'clusterrolebinding',
      'metrics',
      '--clusterrole=metrics',
      '--serviceaccount=default:robot',
    )
    t.equal(await may('get', 'pods/one', robot), 'yes')
    t.equal(await may('get', 'pods/two', robot), 'no')
    t.equal(await may('get', '/metrics', robot), 'yes')
    t.equal(await may('get', '/logs', robot), 'no')
    const list = await master.ok('auth', 'can-i', '--list', robot)
    t.match(list, /^pods +\[\] +\[one\] +\[get list\]$/m)
    t.match(list, /^ +\[\/metrics\] +\[\] +\[get\]$/m)
    const subject = (name: string) => ({ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name })
    const binding = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'reads', namespace: 'default' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
      subjects: [subject('ann')],
    }
    const file = await master.writeManifest('binding.yaml', binding)
    t.match(await master.ok('auth', 'reconcile', '-f', file), /reconciled/)
    t.equal((await master.json('get', 'rolebinding', 'reads')).subjects.length, 2)
    t.match(await master.ok('set', 'subject', 'rolebinding', 'reads', '--user=bob'), /subjects updated/)
    t.match(await master.ok('auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}'), /^admin$/)
  })

  await t.test('makes tokens', async t => {
    const claims = (token: string) =>
      JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
    const token = (await master.ok('create', 'token', 'robot', '--duration=20m')).trim()
    const { sub, exp, iat } = claims(token)
    t.equal(sub, 'system:serviceaccount:default:robot')
    t.equal(exp - iat, 1200)
    await master.writeConfig('robot', { token })
    const as = (...args: string[]) => master.run(args, { config: 'robot' })
    t.match((await as('auth', 'whoami')).stdout, /Username +system:serviceaccount:default:robot/)
    t.match(
      (await as('get', 'pods')).stderr,
      /pods is forbidden: User "system:serviceaccount:default:robot" cannot list/,
    )
    await master.ok('create', 'secret', 'generic', 'bond', '--from-literal=a=b')
    const bound = ['--bound-object-kind=Secret', '--bound-object-name=bond', '--audience=elsewhere']
    t.match(claims(await master.ok('create', 'token', 'robot', ...bound)), {
      aud: ['elsewhere'],
      'kubernetes.io': { secret: { name: 'bond' } },
    })
    t.match(await master.fails('create', 'token', 'absent'), /serviceaccounts "absent" not found/)
    t.match(
      await master.fails('create', 'token', 'robot', '--duration=1m'),
      /may not specify a duration less than 10 minutes/,
    )
  })
})
