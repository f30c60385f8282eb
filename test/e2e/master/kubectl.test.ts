/** The verbs of kubectl, the way a user types them. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { withEachKubectl } from './each-kubectl.ts'

const pod = (name: string, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: name } },
  spec: {
    containers: [{ name: 'main', image: 'registry.example/web:1', ports: [{ containerPort: 80 }] }],
    ...more,
  },
})
const map = (name: string, data: object) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
})
const node = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: {
    allocatable: { cpu: '2', memory: '4Gi', pods: '10' },
    capacity: { cpu: '2', memory: '4Gi', pods: '10' },
    conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'ready' }],
    addresses: [{ type: 'InternalIP', address: '192.0.2.10' }],
    nodeInfo: { kubeletVersion: 'v1.36.0', osImage: 'Test OS', containerRuntimeVersion: 'docker://1' },
  },
})

await withEachKubectl(t, async (t, master) => {
  await t.test('says what there is', async t => {
    t.match(await master.ok('version', '-o', 'json'), /"gitVersion": "v1\.36\./)
    const resources = await master.ok('api-resources', '--no-headers')
    for (const name of [
      'pods',
      'nodes',
      'namespaces',
      'services',
      'configmaps',
      'secrets',
      'serviceaccounts',
      'leases',
      'events',
    ]) {
      t.match(resources, new RegExp(`^${name} `, 'm'))
    }
    t.match(await master.ok('api-versions'), /^coordination\.k8s\.io\/v1$/m)
    t.match(await master.ok('cluster-info'), /is running at/)
    t.match(await master.ok('explain', 'pod.spec.containers.image'), /FIELD: image <string>/)
    t.match(await master.ok('explain', 'service.spec', '--recursive'), /clusterIP\s+<string>/)
    t.match(await master.ok('get', '--raw', '/readyz').catch(() => 'ok'), /ok/)
  })

  await t.test('creates', async t => {
    const file = await master.writeManifest('create.yaml', pod('one'), map('settings', { a: '1' }))
    t.match(await master.ok('create', '-f', file), /pod\/one created\nconfigmap\/settings created/)
    t.match(await master.fails('create', '-f', file), /pods "one" already exists/)
    t.match(await master.ok('create', 'namespace', 'made'), /namespace\/made created/)
    t.match(await master.ok('create', 'configmap', 'lit', '--from-literal=k=v', '-n', 'made'), /created/)
    t.match(await master.ok('create', 'secret', 'generic', 'hidden', '--from-literal=k=v'), /created/)
    t.match(await master.ok('create', 'serviceaccount', 'robot'), /created/)
    t.match(await master.ok('create', 'service', 'clusterip', 'svc', '--tcp=80:8080'), /created/)
    t.match(await master.ok('run', 'quick', '--image=registry.example/x'), /pod\/quick created/)
    t.match(await master.ok('expose', 'pod', 'one', '--port=80'), /service\/one exposed/)
    t.match(await master.ok('run', 'dry', '--image=x', '--dry-run=server'), /created \(server dry run\)/)
    t.match(await master.fails('get', 'pod', 'dry'), /NotFound/)
    const wrong = await master.writeManifest('wrong.yaml', {
      ...pod('wrong'),
      spec: { containers: [{ name: 'main', image: 'busybox', nonsense: 1 }] },
    })
    t.match(await master.fails('create', '-f', wrong), /unknown field "spec\.containers\[0\]\.nonsense"/)
    t.match(
      (await master.run(['create', '-f', wrong, '--validate=warn'])).stderr,
      /Warning: unknown field "spec\.containers\[0\]\.nonsense"/,
    )
    const odd = await master.writeManifest('odd.yaml', pod('odd', { restartPolicy: 'Maybe' }))
    t.match(
      await master.fails('create', '-f', odd),
      /spec\.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "Never", "OnFailure"/,
    )
  })

  await t.test('shows', async t => {
    t.match(
      await master.ok('get', 'pods'),
      /^NAME +READY +STATUS +RESTARTS +AGE\none +0\/1 +Pending +0 +\d+s$/m,
    )
    t.match(await master.ok('get', 'pods', '-o', 'wide'), /IP +NODE +NOMINATED NODE +READINESS GATES/)
    t.match(await master.ok('get', 'pod', 'one', '-o', 'yaml'), /^kind: Pod$/m)
    t.equal((await master.json('get', 'pod', 'one')).metadata.name, 'one')
    t.equal((await master.json('get', 'pods')).kind, 'List')
    t.match(await master.ok('get', 'pods', '-o', 'name', '-l', 'app=one'), /^pod\/one\n$/)
    t.equal(await master.ok('get', 'cm', 'settings', '-o', 'jsonpath={.data.a}'), '1')
    t.match(await master.ok('get', 'all', '-A', '--show-labels'), /pod\/one/)
    t.match(await master.ok('get', 'cm', '--all-namespaces', '--chunk-size=1'), /made +lit/)
    t.match(
      await master.ok('get', 'pods', '--field-selector=status.phase=Pending', '--sort-by=.metadata.name'),
      /one/,
    )
    t.match(await master.ok('get', 'po/one', 'svc/one', '-o', 'custom-columns=N:.metadata.name'), /one\none/)
    t.match(await master.ok('get', 'ns'), /made +Active/)
    t.match(await master.ok('get', 'svc'), /kubernetes +ClusterIP +10\.43\.0\.1 +<none> +443\/TCP/)
    t.match(await master.ok('get', 'secrets'), /hidden +Opaque +1/)
    t.match(await master.ok('get', 'sa'), /robot +0/)
    t.match(await master.fails('get', 'pod', 'absent'), /pods "absent" not found/)
    t.match(await master.fails('get', 'widgets'), /doesn't have a resource type "widgets"/)
    for (const [kind, name, text] of [
      ['pod', 'one', /Service Account:\s+default/],
      ['service', 'one', /Type:\s+ClusterIP/],
      ['secret', 'hidden', /k:\s+1 bytes/],
      ['configmap', 'settings', /Data\n====/],
      ['namespace', 'made', /Status:\s+Active/],
      ['serviceaccount', 'robot', /Name:\s+robot/],
    ] as const) {
      t.match(await master.ok('describe', kind, name), text, `describe ${kind}`)
    }
  })

  await t.test('applies', async t => {
    const file = await master.writeManifest('apply.yaml', map('applied', { a: '1', b: '2' }), pod('applied'))
    t.match(await master.ok('apply', '-f', file), /configmap\/applied created\npod\/applied created/)
    t.match(await master.ok('apply', '-f', file), /configmap\/applied unchanged\npod\/applied unchanged/)
    const next = await master.writeManifest('apply2.yaml', map('applied', { a: '3' }))
    const diff = await master.run(['diff', '-f', next])
    t.match(diff.stdout, /^-\s+b: "2"$/m)
    t.match(await master.ok('apply', '-f', next), /configmap\/applied configured/)
    t.same((await master.json('get', 'cm', 'applied')).data, { a: '3' }, 'what was left out is gone')
    t.match(
      (await master.run(['apply', '-f', '-'], { input: JSON.stringify(map('stdin', {})) })).stdout,
      /created/,
    )
    const changed = await master.writeManifest('apply3.yaml', pod('applied', { restartPolicy: 'Never' }))
    t.match(await master.fails('apply', '-f', changed), /pod updates may not change fields other than/)
    const image = pod('applied')
    Object.assign(image.spec.containers[0] ?? {}, { image: 'registry.example/web:2' })
    t.match(
      await master.ok('apply', '-f', await master.writeManifest('apply4.yaml', image)),
      /pod\/applied configured/,
    )
    const kustomization = path.join(master.directory, 'kustomize')
    await mkdir(kustomization)
    await writeFile(
      path.join(kustomization, 'kustomization.yaml'),
      'configMapGenerator: [{name: kust, literals: [a=b]}]\n',
    )
    t.match(await master.ok('apply', '-k', kustomization), /configmap\/kust-\w+ created/)
  })

  await t.test('changes', async t => {
    t.match(await master.ok('label', 'pod', 'one', 'color=red'), /labeled/)
    t.match(await master.fails('label', 'pod', 'one', 'color=blue'), /already has a value/)
    t.match(await master.ok('label', 'pod', 'one', 'color=blue', '--overwrite'), /labeled/)
    t.match(await master.ok('label', 'pod', 'one', 'color-'), /unlabeled/)
    t.match(await master.ok('annotate', 'pods', '--all', 'note=x'), /annotated/)
    t.match(await master.ok('patch', 'cm', 'settings', '-p', '{"data":{"z":"1"}}'), /patched/)
    t.match(
      await master.ok('patch', 'cm', 'settings', '--type=json', '-p', '[{"op":"remove","path":"/data/z"}]'),
      /patched/,
    )
    t.match(await master.ok('patch', 'cm', 'settings', '--type=merge', '-p', '{"data":{"q":"2"}}'), /patched/)
    t.match(
      await master.ok('patch', 'cm', 'settings', '--type=merge', '-p', '{"data":{"q":"2"}}'),
      /no change/,
    )
    t.match(
      await master.fails(
        'patch',
        'cm',
        'settings',
        '--type=json',
        '-p',
        '[{"op":"test","path":"/data/q","value":"9"}]',
      ),
      /testing path/,
    )
    t.match(await master.ok('set', 'image', 'pod/one', 'main=registry.example/web:3'), /image updated/)
    t.match(
      await master.ok(
        'replace',
        '-f',
        await master.writeManifest('r.yaml', map('settings', { only: 'this' })),
      ),
      /replaced/,
    )
    t.same((await master.json('get', 'cm', 'settings')).data, { only: 'this' })
    t.match(
      await master.ok('replace', '--force', '-f', await master.writeManifest('rf.yaml', pod('quick'))),
      /pod\/quick replaced/,
    )
    const editor = path.join(master.directory, 'editor.sh')
    await writeFile(editor, '#!/bin/sh\nsed -i "s/only: this/only: that/" "$1"\n', { mode: 0o755 })
    const edited = await master.run(['edit', 'configmap', 'settings'], {
      environment: { KUBE_EDITOR: editor },
    })
    t.match(edited.stdout, /configmap\/settings edited/)
    t.equal(await master.ok('get', 'cm', 'settings', '-o', 'jsonpath={.data.only}'), 'that')
  })

  await t.test('applies on the server', async t => {
    const manifest = async (data: object) =>
      await master.writeManifest('served.yaml', map('served', data as Record<string, string>))
    const file = await manifest({ a: '1', b: '2' })
    t.match(await master.ok('apply', '--server-side', '-f', file), /served serverside-applied/)
    await master.ok('patch', 'cm', 'served', '--type=merge', '-p', '{"data":{"a":"9"}}')
    t.match(
      await master.fails('apply', '--server-side', '-f', file),
      /Apply failed with 1 conflict: conflict with "kubectl-patch" using v1: \.data\.a/,
    )
    t.match(await master.ok('apply', '--server-side', '--force-conflicts', '-f', file), /serverside-applied/)
    t.match(await master.ok('diff', '--server-side', '-f', file), /^$/)
    await master.ok('apply', '--server-side', '-f', await manifest({ a: '1' }))
    t.strictSame((await master.json('get', 'cm', 'served')).data, { a: '1' })
    t.match(await master.ok('get', 'cm', 'served', '-o', 'yaml', '--show-managed-fields'), /f:a: \{\}/)
  })

  await t.test('gives rights', async t => {
    const may = async (...args: string[]) => (await master.run(['auth', 'can-i', ...args])).stdout.trim()
    t.equal(await may('delete', 'nodes'), 'yes')
    t.equal(await may('list', 'pods', '--as=ann'), 'no')
    await master.ok('create', 'rolebinding', 'ann-views', '--clusterrole=view', '--user=ann')
    t.equal(await may('list', 'pods', '--as=ann'), 'yes')
    t.equal(await may('create', 'pods', '--as=ann'), 'no')
    t.match(
      await master.fails('delete', 'pod', 'one', '--as=ann'),
      /User "ann" cannot delete resource "pods"/,
    )
    t.match(
      await master.ok('auth', 'can-i', '--list', '--as=ann'),
      /pods\/log +\[\] +\[\] +\[get list watch\]/,
    )
    t.match(await master.ok('auth', 'whoami', '--as=ann'), /Username +ann/)
    t.match(await master.ok('describe', 'rolebinding', 'ann-views'), /User +ann/)
  })

  await t.test('keeps workloads', async t => {
    await master.ok('create', 'deployment', 'web', '--image=web:1', '--replicas=2')
    t.match(await master.ok('get', 'deployments'), /web +0\/2 +\d +0/)
    await master.ok('scale', 'deployment', 'web', '--replicas=3')
    await master.ok('set', 'image', 'deployment/web', '*=web:2')
    t.match(await master.ok('describe', 'deployment', 'web'), /Replicas:\s+3 desired[\s\S]*Image:\s+web:2/)
    await master.ok('create', 'job', 'once', '--image=web:1')
    await master.ok('create', 'cronjob', 'nightly', '--image=web:1', '--schedule=@daily')
    await master.ok('autoscale', 'deployment', 'web', '--max=5', '--cpu-percent=70')
    await master.ok('create', 'ingress', 'web', '--rule=web.example/*=web:80')
    await master.ok('create', 'quota', 'small', '--hard=pods=5')
    await master.ok('create', 'pdb', 'web', '--selector=app=web', '--min-available=1')
    for (const kind of ['job', 'cronjob', 'hpa', 'ingress', 'quota', 'pdb']) {
      t.match(await master.ok('describe', kind), /Name:/, kind)
    }
    await master.ok('delete', 'deploy,job,cronjob,hpa,ingress,quota,pdb', '--all')
    await master.ok('wait', 'pod', '-l', 'app=web', '--for=delete', '--timeout=30s')
  })

  await t.test('watches and waits', async t => {
    const watch = master.follow(t, [
      'get',
      'configmaps',
      '-w',
      '--no-headers',
      '--output-watch-events',
      '--field-selector=metadata.name=seen',
    ])
    await master.ok('create', 'configmap', 'seen')
    t.match(await watch.nextLine(), /^ADDED +seen +0/)
    await master.ok('patch', 'cm', 'seen', '-p', '{"data":{"a":"1"}}')
    t.match(await watch.nextLine(), /^MODIFIED +seen +1/)
    const gone = master.ok('wait', 'configmap/seen', '--for=delete', '--timeout=30s')
    await master.ok('delete', 'cm', 'seen')
    t.match(await watch.nextLine(), /^DELETED +seen +1/)
    await gone
    await watch.stop()
    t.match(
      await master.ok('wait', 'ns/made', '--for=jsonpath={.status.phase}=Active', '--timeout=30s'),
      /condition met/,
    )
    t.match(await master.fails('wait', 'pod/one', '--for=condition=Ready', '--timeout=1s'), /timed out/)
  })

  await t.test('schedules, shows events, cordons, drains', async t => {
    await master.ok('create', '-f', await master.writeManifest('nodes.yaml', node('n1'), node('n2')))
    await master.ok('wait', 'pod/one', '--for=condition=PodScheduled', '--timeout=30s')
    t.match(await master.ok('get', 'pod', 'one', '-o', 'wide'), /one .* n[12] /)
    t.match(
      await master.ok('get', 'nodes', '-o', 'wide'),
      /n1 +Ready +<none> +\d+s +v1\.36\.0 +192\.0\.2\.10 +<none> +Test OS/,
    )
    t.match(
      await master.ok('describe', 'pod', 'one'),
      /Scheduled .*Successfully assigned default\/one to n[12]/,
    )
    t.match(await master.ok('describe', 'node', 'n1'), /Allocatable:\n\s+cpu:\s+2/)
    t.match(
      await master.ok('get', 'events', '--field-selector=involvedObject.name=one'),
      /Scheduled +pod\/one/,
    )
    t.match(await master.ok('events', '--for=pod/one'), /Scheduled/)
    t.match(await master.ok('logs', 'one', '--tail=7'), /^n[12] one main tail=7\n$/)
    t.match(await master.ok('logs', '-f', '-l', 'app=one'), /one main/)
    t.match(await master.ok('cordon', 'n1'), /cordoned/)
    t.match(await master.ok('get', 'node', 'n1'), /Ready,SchedulingDisabled/)
    t.match(await master.ok('taint', 'nodes', 'n2', 'k=v:NoSchedule'), /tainted/)
    await master.ok('create', '-f', await master.writeManifest('late.yaml', pod('late')))
    await master.ok(
      'wait',
      'pod/late',
      '--for=jsonpath={.status.conditions[0].reason}=Unschedulable',
      '--timeout=30s',
    )
    t.match(
      await master.ok('get', 'pod', 'late', '-o', 'jsonpath={.status.conditions[0].message}'),
      /^0\/2 nodes are available: 1 node\(s\) had untolerated taint \{k: v\}, 1 node\(s\) were unschedulable\.$/,
    )
    t.match(await master.ok('uncordon', 'n1'), /uncordoned/)
    await master.ok('wait', 'pod/late', '--for=condition=PodScheduled', '--timeout=30s')
    t.match(
      await master.ok('drain', 'n1', '--force', '--grace-period=0', '--timeout=30s'),
      /node\/n1 drained/,
    )
    t.equal(await master.ok('get', 'pods', '--field-selector=spec.nodeName=n1', '-o', 'name'), '')
  })

  await t.test('deletes', async t => {
    await master.ok('run', 'last', '--image=registry.example/x')
    t.match(await master.ok('delete', 'pods', '--all', '--grace-period=0', '--force'), /force deleted/)
    t.equal(await master.ok('get', 'pods', '-o', 'name'), '')
    t.match(await master.ok('delete', 'cm', '-l', 'nothing=here'), /No resources found|^$/)
    t.match(await master.ok('delete', 'svc/one', 'cm/applied', '--cascade=orphan'), /deleted[\s\S]*deleted/)
    t.match(await master.ok('delete', 'namespace', 'made'), /"made" deleted/)
    t.match(await master.fails('get', 'namespace', 'made'), /not found/)
    t.match(await master.fails('delete', 'namespace', 'default'), /may not be deleted/)
    t.match(await master.fails('delete', 'cm', 'absent'), /not found/)
    t.equal(await master.ok('delete', 'cm', 'absent', '--ignore-not-found'), '')
  })
})
