/** kubectl applies, compares, replaces, patches and edits. */
import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { withEachKubectl } from './each-kubectl.ts'

const map = (name: string, data: Readonly<Record<string, string>>, labels: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, labels },
  data,
})
const deployment = (image: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        containers: [
          { name: 'main', image },
          { name: 'side', image: 'side:1' },
        ],
      },
    },
  },
})

await withEachKubectl(t, async (t, master) => {
  const manifest = (name: string, ...objects: object[]) => master.writeManifest(`${name}.yaml`, ...objects)
  const data = async (name: string, ...args: string[]) =>
    (await master.json('get', 'configmap', name, ...args)).data

  await t.test('prunes by label', async t => {
    const set = { set: 'one' }
    await master.ok('create', 'namespace', 'other')
    await master.ok('create', 'configmap', 'aside')
    await master.ok('label', 'configmap', 'aside', 'set=one')
    const both = await manifest('both', map('a', { k: '1' }, set), map('b', { k: '1' }, set))
    await master.ok('apply', '-f', both)
    const one = await manifest('one', map('a', { k: '1' }, set))
    const prune = ['apply', '-f', one, '--prune', '-l', 'set=one', '--prune-allowlist=core/v1/ConfigMap']
    t.match(await master.ok(...prune, '--dry-run=server'), /configmap\/b pruned \(server dry run\)/)
    t.strictSame(await data('b'), { k: '1' }, 'a dry run removes nothing')
    t.match(await master.ok(...prune), /configmap\/a unchanged\nconfigmap\/b pruned/)
    t.match(await master.fails('get', 'configmap', 'b'), /NotFound/)
    t.ok(await master.ok('get', 'configmap', 'aside'), 'what was never applied stays')
  })

  await t.test('prunes a set of its own', async t => {
    const environment = { KUBECTL_APPLYSET: 'true' }
    const apply = async (file: string, ...args: string[]) => {
      const { exitCode, stdout, stderr } = await master.run(
        ['apply', '-n', 'other', '-f', file, '--prune', ...args],
        { environment },
      )
      t.equal(exitCode, 0, stderr)
      return stdout
    }
    const one = await manifest('one', map('a', { k: '1' }))
    const both = await manifest('both', map('a', { k: '1' }), map('b', { k: '1' }))
    for (const [parent, kind, ...args] of [
      ['secrets/mine', 'secret'],
      ['configmaps/mine', 'configmap', '--server-side', '--force-conflicts'],
    ] as const) {
      const member = await apply(both, `--applyset=${parent}`, ...args)
      t.match(member, /configmap\/a [\s\S]*configmap\/b /)
      t.match(await apply(one, `--applyset=${parent}`, ...args), /configmap\/b pruned/)
      const { metadata } = await master.json('get', kind, 'mine', '-n', 'other')
      t.match(metadata.annotations, {
        'applyset.kubernetes.io/contains-group-kinds': 'ConfigMap',
        'applyset.kubernetes.io/tooling': /^kubectl\/v1\./,
      })
      const id = metadata.labels['applyset.kubernetes.io/id']
      t.equal(
        await master.ok(
          'get',
          'cm',
          '-n',
          'other',
          '-o',
          'name',
          '-l',
          `applyset.kubernetes.io/part-of=${id}`,
        ),
        'configmap/a\n',
      )
      await master.ok('delete', 'configmap', 'a', '-n', 'other')
    }
  })

  await t.test('shows what would change', async t => {
    const file = await manifest('seen', map('seen', { a: '1', b: '2' }))
    await master.ok('apply', '-f', file)
    t.strictSame(await master.run(['diff', '-f', file]), { exitCode: 0, stdout: '', stderr: '' })
    const changed = await manifest('changed', map('seen', { a: '3' }), map('fresh', { n: '1' }))
    for (const args of [[], ['--server-side', '--force-conflicts']]) {
      const { exitCode, stdout } = await master.run(['diff', '-f', changed, ...args])
      t.equal(exitCode, 1)
      t.match(stdout, /^-\s+a: "1"$/m)
      t.match(stdout, /^\+\s+a: "3"$/m)
      t.match(stdout, /^\+kind: ConfigMap$/m, 'what is not there yet')
    }
    t.strictSame(await data('seen'), { a: '1', b: '2' }, 'nothing has changed')
  })

  await t.test('applies beside others', async t => {
    const file = await manifest('shared', map('shared', { a: '1' }))
    await master.ok('apply', '--server-side', '--field-manager=ann', '-f', file)
    const other = await manifest('shared2', map('shared', { a: '2', b: '1' }))
    const bob = ['apply', '--server-side', '--field-manager=bob', '-f', other]
    t.match(await master.fails(...bob), /Apply failed with 1 conflict: conflict with "ann": \.data\.a/)
    t.strictSame(await data('shared'), { a: '1' })
    t.match(await master.ok(...bob, '--force-conflicts'), /serverside-applied/)
    await master.ok(
      'apply',
      '--server-side',
      '--field-manager=bob',
      '-f',
      await manifest('s3', map('shared', {})),
    )
    t.notOk((await data('shared'))?.b, 'what only bob had is gone')
    const managers = (await master.json('get', 'cm', 'shared', '--show-managed-fields')).metadata
      .managedFields
    t.match(
      managers.map(({ manager, operation }: Record<string, string>) => `${manager} ${operation}`).toSorted(),
      ['ann Apply', 'bob Apply'],
    )
    t.match(await master.ok('apply', 'view-last-applied', 'configmap/seen'), /a: "1"/)
    t.match(await master.ok('apply', 'set-last-applied', '-f', file, '--create-annotation'), /configured/)
    t.match(await master.ok('apply', '-f', file), /configmap\/shared/, 'from the server to the client')
    t.match(
      await master.fails(
        'apply',
        '--server-side',
        '-f',
        await manifest('bad', { ...map('bad', {}), data: { a: 1 } }),
      ),
      /\.data\.a|cannot unmarshal|expected string/,
    )
  })

  await t.test('replaces', async t => {
    await master.ok('create', '-f', await manifest('r1', map('r', { a: '1' })))
    const { uid, resourceVersion } = (await master.json('get', 'cm', 'r')).metadata
    t.match(await master.ok('replace', '-f', await manifest('r2', map('r', { a: '2' }))), /replaced/)
    t.equal((await master.json('get', 'cm', 'r')).metadata.uid, uid)
    const stale = map('r', { a: '3' })
    Object.assign(stale.metadata, { resourceVersion })
    t.match(
      await master.fails('replace', '-f', await manifest('r3', stale)),
      /the object has been modified; please apply your changes to the latest version/,
    )
    t.match(await master.fails('replace', '-f', await manifest('r4', map('absent', {}))), /not found/)
    t.match(
      await master.ok('replace', '--force', '-f', await manifest('r5', map('r', { a: '5' }))),
      /replaced/,
    )
    t.not((await master.json('get', 'cm', 'r')).metadata.uid, uid)
    t.match(await master.ok('replace', '--force', '-f', await manifest('r6', map('absent', {}))), /replaced/)
  })

  await t.test('patches', async t => {
    await master.ok('create', '-f', await manifest('web', deployment('web:1')))
    const patch = (type: string, body: unknown, ...args: string[]) =>
      master.run(['patch', 'deployment', 'web', `--type=${type}`, '-p', JSON.stringify(body), ...args])
    const images = () =>
      master.ok('get', 'deployment', 'web', '-o', 'jsonpath={.spec.template.spec.containers[*].image}')
    const containers = [{ name: 'main', image: 'web:2' }]
    t.match((await patch('strategic', { spec: { template: { spec: { containers } } } })).stdout, /patched/)
    t.equal(await images(), 'web:2 side:1', 'merged by name')
    const gone = [{ name: 'side', $patch: 'delete' }]
    t.match(
      (await patch('strategic', { spec: { template: { spec: { containers: gone } } } })).stdout,
      /patched/,
    )
    t.equal(await images(), 'web:2')
    const whole = [{ name: 'other', image: 'other:1' }]
    t.match((await patch('merge', { spec: { template: { spec: { containers: whole } } } })).stdout, /patched/)
    t.equal(await images(), 'other:1', 'lists are replaced')
    const path = '/spec/template/spec/containers/0/image'
    t.match(
      (
        await patch('json', [
          { op: 'test', path, value: 'other:1' },
          { op: 'replace', path, value: 'other:2' },
        ])
      ).stdout,
      /patched/,
    )
    t.equal(await images(), 'other:2')
    t.match((await patch('json', [{ op: 'remove', path: '/spec/nonsense' }])).stderr, /request is invalid/)
    t.match((await patch('merge', { spec: { replicas: 'x' } })).stderr, /cannot unmarshal string/)
    t.match((await patch('strategic', { spec: { odd: 1 } })).stderr, /unknown field "spec\.odd"/)
    t.match((await patch('merge', { spec: { replicas: 3 } }, '--subresource=scale')).stdout, /patched/)
    t.equal((await master.json('get', 'deployment', 'web')).spec.replicas, 3)
    const status = { status: { observedGeneration: 77 }, spec: { replicas: 9 } }
    t.match(
      (await patch('merge', status, '--subresource=status', '--dry-run=server', '-o', 'yaml')).stdout,
      /observedGeneration: 77/,
    )
    t.equal((await master.json('get', 'deployment', 'web')).spec.replicas, 3)
    t.match(await master.ok('get', 'deployment', 'web', '--subresource=scale', '-o', 'yaml'), /kind: Scale/)
  })

  await t.test('edits', async t => {
    const editor = master.file('editor.sh')
    const edit = async (script: string, ...args: string[]) => {
      await writeFile(editor, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
      return await master.run(['edit', ...args], { environment: { KUBE_EDITOR: editor } })
    }
    await master.ok('create', 'configmap', 'edited', '--from-literal=a=1')
    t.match((await edit('sed -i "s/a: \\"1\\"/a: \\"2\\"/" "$1"', 'cm', 'edited')).stdout, /edited edited/)
    t.strictSame(await data('edited'), { a: '2' })
    t.match((await edit('true', 'cm', 'edited')).stderr, /no changes made/)
    t.match((await edit(`sed -i 's/"a": "2"/"b": "2"/' "$1"`, 'cm', 'edited', '-o', 'json')).stdout, /edited/)
    t.strictSame(await data('edited'), { b: '2' })
    const refused = await edit('sed -i "s/  name: edited/  name: renamed/" "$1"', 'cm', 'edited')
    t.not(refused.exitCode, 0)
    t.match(
      (
        await edit(
          'sed -i "s/observedGeneration: .*/observedGeneration: 99/" "$1"',
          ...['deployment', 'web', '--subresource=status'],
        )
      ).stdout,
      /edited/,
    )
  })

  await t.test('labels and annotates', async t => {
    await master.ok('create', 'configmap', 'marked')
    t.match(await master.ok('label', 'cm', 'marked', 'a=1', 'b=2'), /labeled/)
    t.match(await master.fails('label', 'cm', 'marked', 'a=3'), /'a' already has a value \(1\)/)
    t.match(await master.ok('label', 'cm', 'marked', 'a=3', 'b-', '--overwrite'), /labeled|modified/)
    t.match(await master.ok('label', 'cm', 'marked', '--list'), /^a=3$/m)
    t.match(
      await master.ok('label', 'cm', '--all', 'swept=yes', '--dry-run=server'),
      /labeled \(server dry run\)/,
    )
    t.match(await master.fails('label', 'cm', 'marked', 'a=not/valid'), /invalid label value/)
    t.match(
      await master.fails('label', 'cm', 'marked', 'a=4', '--overwrite', '--resource-version=1'),
      /modified|conflict/i,
    )
    t.match(await master.ok('annotate', 'cm', 'marked', 'note=why'), /annotated/)
    t.equal(await master.ok('get', 'cm', 'marked', '-o', 'jsonpath={.metadata.annotations.note}'), 'why')
    t.match(await master.ok('annotate', 'cm', '-l', 'a=3', 'note-'), /annotated/)
    t.match(await master.ok('annotate', 'cm', 'marked', '--list'), /^\s*$/)
  })
})
