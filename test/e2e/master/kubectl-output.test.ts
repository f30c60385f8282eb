/** What kubectl tells: of the server, of its kinds, and of objects in every form that it knows. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { withEachKubectl } from './each-kubectl.ts'

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: {
      plural: 'widgets',
      singular: 'widget',
      kind: 'Widget',
      shortNames: ['wd'],
      categories: ['all'],
    },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        additionalPrinterColumns: [
          { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
          { name: 'Color', type: 'string', jsonPath: '.spec.color', priority: 1 },
        ],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            description: 'A thing of the shop.',
            properties: {
              spec: {
                type: 'object',
                required: ['size'],
                properties: {
                  size: { type: 'integer', description: 'How large it is.' },
                  color: { type: 'string', enum: ['red', 'blue'] },
                  parts: {
                    type: 'array',
                    items: { type: 'object', properties: { label: { type: 'string' } } },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
}

await withEachKubectl(t, async (t, master) => {
  for (const name of ['b', 'a', 'c']) {
    await master.ok('create', 'configmap', name, `--from-literal=key=${name}`)
    await master.ok('label', 'configmap', name, `color=${name === 'b' ? 'blue' : 'red'}`, 'mine=yes')
  }
  const mine = ['get', 'configmaps', '-l', 'mine=yes']

  await t.test('of the server', async t => {
    t.match(await master.ok('version'), /Server Version: v1\.36\./)
    t.match(await master.ok('cluster-info'), /control plane.* is running at/)
    t.match(await master.ok('cluster-info', 'dump'), /"kind": "NodeList"/)
    const versions = (await master.ok('api-versions')).trim().split('\n')
    t.strictSame(versions, versions.toSorted())
    t.ok(versions.includes('v1') && versions.includes('apps/v1'))
    t.match(await master.ok('api-resources', '--namespaced=false', '-o', 'name'), /^nodes$/m)
    t.notMatch(await master.ok('api-resources', '--namespaced=false', '-o', 'name'), /^pods$/m)
    t.match(
      await master.ok('api-resources', '--api-group=apps', '--no-headers'),
      /^deployments +deploy +apps\/v1 +true +Deployment$/m,
    )
    t.match(
      await master.ok('api-resources', '-o', 'wide'),
      /pods +po +v1 +true +Pod +create,delete,deletecollection,get,list,patch,update,watch +all/,
    )
    t.match(
      await master.ok('api-resources', '--verbs=list,watch', '--categories=all', '-o', 'name'),
      /^pods$/m,
    )
    t.match(await master.ok('config', 'view'), /certificate-authority-data: DATA\+OMITTED/)
    t.equal(await master.ok('config', 'current-context'), 'x\n')
    t.equal(await master.ok('get', '--raw', '/readyz'), 'ok')
    t.ok(JSON.parse(await master.ok('get', '--raw', '/')).paths.includes('/apis/apps/v1'))
    t.match(await master.ok('get', '--raw', '/metrics'), /^apiserver_request_total\{/m)
    t.match(await master.ok('get', '--raw', '/livez?verbose'), /^\[\+\]ping ok\nlivez check passed\n$/)
    t.equal(JSON.parse(await master.ok('get', '--raw', '/api/v1/namespaces/default')).kind, 'Namespace')
    t.match(await master.fails('get', '--raw', '/api/v1/nonsense'), /could not find the requested resource/)
    t.match(await master.fails('top', 'nodes'), /Metrics API not available/)
    t.match(await master.fails('top', 'pods'), /Metrics API not available/)
  })

  await t.test('of kinds', async t => {
    t.match(await master.ok('explain', 'deployments'), /GROUP: +apps\nKIND: +Deployment\nVERSION: +v1/)
    t.match(await master.ok('explain', 'pod.spec.containers.image'), /FIELD: image <string>/)
    t.match(await master.ok('explain', 'pod.spec', '--recursive'), /containers\t<\[\]Container> -required-/)
    t.match(await master.ok('explain', 'pod.spec.restartPolicy'), /ENUM:\n +Always\n +Never\n +OnFailure/)
    t.match(await master.ok('explain', 'hpa', '--api-version=autoscaling/v1'), /VERSION: +v1/)
    t.match(await master.ok('explain', 'pod', '--output=plaintext-openapiv2'), /KIND: +Pod/)
    t.match(await master.fails('explain', 'pod.spec.nonsense'), /field "nonsense" does not exist/)
    t.match(await master.fails('explain', 'nonsense'), /doesn't have a resource type "nonsense"/)
  })

  await t.test('of a kind that was just defined', async t => {
    await master.ok('create', '-f', await master.writeManifest('definition.yaml', definition))
    await master.ok('wait', '--for=condition=Established', 'crd/widgets.example.com', '--timeout=20s')
    const text = await master.ok('explain', 'widgets', '--recursive')
    t.match(text, /A thing of the shop\./)
    t.match(text, /size\t<integer> -required-/)
    t.match(text, /parts\t<\[\]Object>\n +label\t<string>/)
    t.match(await master.ok('explain', 'wd.spec.size'), /How large it is\./)
    t.match(await master.ok('explain', 'wd.spec.color'), /ENUM:\n +red\n +blue/)
    const widget = {
      apiVersion: 'example.com/v1',
      kind: 'Widget',
      metadata: { name: 'w' },
      spec: { size: 3, color: 'red' },
    }
    await master.ok('create', '-f', await master.writeManifest('widget.yaml', widget))
    t.match(await master.ok('get', 'wd'), /^NAME +SIZE\nw +3\n$/)
    t.match(await master.ok('get', 'wd', '-o', 'wide'), /^NAME +SIZE +COLOR\nw +3 +red\n$/)
    t.match(await master.ok('get', 'all'), /widget\.example\.com\/w +3/)
    t.match(await master.ok('describe', 'wd', 'w'), /Color: +red/)
    t.match(
      await master.fails('patch', 'wd', 'w', '-p', '{"spec":{"size":4}}'),
      /strategic-merge-patch\+json is not supported/,
    )
  })

  await t.test('of objects', async t => {
    t.match(await master.ok(...mine), /^NAME +DATA +AGE\na +1 +\S+\nb +1 +\S+\nc +1 +\S+\n$/)
    t.match(await master.ok(...mine, '-o', 'wide'), /^NAME +DATA +AGE\n/)
    t.notMatch(await master.ok(...mine, '--no-headers'), /NAME/)
    t.match(await master.ok(...mine, '--show-kind'), /^configmap\/a +1/m)
    t.match(await master.ok(...mine, '--show-labels'), /^a .*color=red,mine=yes$/m)
    t.match(
      await master.ok(...mine, '-L', 'color'),
      /^NAME +DATA +AGE +COLOR\na +1 +\S+ +red\nb +1 +\S+ +blue/,
    )
    t.equal(await master.ok(...mine, '-o', 'name'), 'configmap/a\nconfigmap/b\nconfigmap/c\n')
    t.equal(await master.ok('get', 'cm', '-l', 'color in (blue,green),mine', '-o', 'name'), 'configmap/b\n')
    t.equal(await master.ok('get', 'cm', '-l', 'color!=red,mine', '-o', 'name'), 'configmap/b\n')
    t.equal(await master.ok('get', 'cm', '--field-selector=metadata.name=c', '-o', 'name'), 'configmap/c\n')
    t.match(
      await master.fails('get', 'cm', '--field-selector=data.key=c'),
      /field label not supported: data\.key/,
    )
    t.match(await master.fails('get', 'cm', '-l', 'a=b=c'), /unable to parse requirement|found '='/)
    t.equal(
      await master.ok(...mine, '-o', 'jsonpath={range .items[*]}{.metadata.name}={.data.key};{end}'),
      'a=a;b=b;c=c;',
    )
    t.equal(
      await master.ok(...mine, '-o', 'go-template={{range .items}}{{.metadata.name}} {{end}}'),
      'a b c ',
    )
    t.match(
      await master.ok(...mine, '-o', 'custom-columns=N:.metadata.name,K:.data.key,X:.data.nothing'),
      /^N +K +X\na +a +<none>\nb +b +<none>\n/,
    )
    const columns = master.file('columns')
    await writeFile(columns, 'NAME COLOR\nmetadata.name metadata.labels.color\n')
    t.match(await master.ok(...mine, '-o', `custom-columns-file=${columns}`), /^NAME +COLOR\na +red\n/)
    t.strictSame(
      (await master.json(...mine, '--sort-by=.metadata.labels.color')).items.map(
        (item: { metadata: { name: string } }) => item.metadata.name,
      )[0],
      'b',
    )
    t.match(await master.ok(...mine, '--sort-by={.metadata.labels.color}'), /b [\s\S]*a [\s\S]*c /)
    const yaml = await master.ok('get', 'cm', 'a', '-o', 'yaml')
    t.match(yaml, /^apiVersion: v1\ndata:\n {2}key: a\nkind: ConfigMap\n/)
    t.notMatch(yaml, /managedFields/)
    t.match(
      await master.ok('get', 'cm', 'a', '-o', 'yaml', '--show-managed-fields'),
      /managedFields:\n {2}- apiVersion: v1[\s\S]*f:key: \{\}[\s\S]*manager: kubectl-create/,
    )
    t.match(await master.ok(...mine, '--chunk-size=1'), /a [\s\S]*b [\s\S]*c /)
    t.match(await master.ok('get', 'cm/a', 'ns/default'), /configmap\/a[\s\S]*namespace\/default/)
    t.match(await master.ok('get', 'configmaps.v1.', 'a'), /^NAME/)
    t.equal(await master.ok('get', 'cm', 'absent', '--ignore-not-found'), '')
    t.match((await master.run(['get', 'jobs'])).stderr, /No resources found in default namespace/)
    t.match(await master.ok('get', '-f', master.file('definition.yaml')), /widgets\.example\.com/)
  })

  await t.test('as they change', async t => {
    const watch = master.follow(t, ['get', 'cm', 'a', '-w', '-o', 'jsonpath={.data.key}{"\\n"}'])
    t.equal(await watch.nextLine(), 'a')
    await master.ok('patch', 'cm', 'a', '-p', '{"data":{"key":"changed"}}')
    t.equal(await watch.nextLine(), 'changed')
    await watch.stop()
    const only = master.follow(t, [
      'get',
      'cm',
      '-w',
      '--output-watch-events',
      '-o',
      'name',
      '-l',
      'color=red',
    ])
    t.match([await only.nextLine(), await only.nextLine()].toSorted(), [/configmap\/a/, /configmap\/c/])
    await master.ok('label', 'cm', 'c', 'color=green', '--overwrite')
    t.match(await only.nextLine(), /configmap\/c/, 'it leaves the selection')
    await only.stop()
  })

  await t.test('from a directory of kustomize', async t => {
    const directory = path.join(master.directory, 'kustomize')
    await mkdir(directory, { recursive: true })
    await writeFile(
      path.join(directory, 'kustomization.yaml'),
      'namePrefix: k-\nconfigMapGenerator: [{name: made, literals: [a=b]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n',
    )
    t.match(await master.ok('kustomize', directory), /name: k-made/)
    t.match(await master.ok('apply', '-k', directory), /configmap\/k-made created/)
    t.equal((await master.run(['diff', '-k', directory])).exitCode, 0)
    t.match(await master.ok('get', '-k', directory), /k-made/)
    t.match(await master.ok('delete', '-k', directory), /"k-made" deleted/)
  })
})
