/** Clusters of different versions of Kubernetes, side by side. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { temporaryMaster } from './temporary-master.ts'

const root = path.resolve(import.meta.dirname, '../../../..')
const reference = process.env.DROVER_KUBERNETES_REFERENCE ?? path.join(root, '../shared/kubernetes')
const skip = existsSync(path.join(reference, '1.32/api-resources.txt'))
  ? false
  : `no reference data at ${reference}`

interface Discovered {
  readonly verbs: readonly string[]
  readonly responseKind: { readonly kind: string }
}

interface DiscoveredResource extends Discovered {
  readonly resource: string
  readonly scope: string
  readonly singularResource: string
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
  readonly subresources?: readonly (Discovered & { readonly subresource: string })[]
}

interface DiscoveryList {
  readonly items: readonly {
    readonly metadata?: { readonly name?: string }
    readonly versions: readonly {
      readonly version: string
      readonly resources: readonly DiscoveredResource[]
    }[]
  }[]
}

function said(place: string, resource: DiscoveredResource): [string, unknown][] {
  const { subresources = [], responseKind, verbs, scope, shortNames = [], categories = [] } = resource
  const own = { kind: responseKind.kind, scope, singular: resource.singularResource, shortNames, categories }
  return [
    [place, { ...own, verbs: verbs.toSorted() }],
    ...subresources.map((each): [string, unknown] => [
      `${place}/${each.subresource}`,
      { kind: each.responseKind.kind, verbs: each.verbs.toSorted() },
    ]),
  ]
}

/** Everything that is said of generally available resources, by their paths. */
function flat(documents: readonly DiscoveryList[]): Map<string, unknown> {
  return new Map(
    documents
      .flatMap(({ items }) => items)
      .flatMap(({ metadata, versions }) => versions.map(each => ({ ...each, group: metadata?.name ?? '' })))
      .filter(({ version }) => /^v\d+$/.test(version))
      .flatMap(({ group, version, resources }) =>
        resources.flatMap(resource => said(`${group}/${version}/${resource.resource}`, resource)),
      ),
  )
}

const old = { cluster: 'old', token: 'admin|old' }

t.test('clusters speak the version that they chose', async t => {
  const { ask, master } = await temporaryMaster(t)
  await master.createCluster('old', '1.32')
  const version = async (options: object) => (await ask('/version', options)).body.gitVersion
  t.match(await version(old), /^v1\.32\./)
  t.match(await version({}), /^v1\.36\./)
  t.match(await version({ cluster: 'old', token: '' }), /^v1\.36\./, 'strangers learn nothing')
  t.equal((await ask('/apis/resource.k8s.io/v1', old)).status, 404, 'not there before 1.34')
  t.equal((await ask('/apis/resource.k8s.io/v1')).status, 200)

  const maps = '/api/v1/namespaces/default/configmaps'
  const map = { metadata: { name: 'kept' }, data: { a: 'b' } }
  t.equal((await ask(maps, { ...old, method: 'POST', body: map })).status, 201)

  t.test('and can be raised, with everything in them', async t => {
    await master.createCluster('old', '1.36')
    t.match(await version(old), /^v1\.36\./)
    t.equal((await ask('/apis/resource.k8s.io/v1', old)).status, 200)
    t.match((await ask(`${maps}/kept`, old)).body.data, { a: 'b' })
    // Saying nothing is no choice.
    await master.createCluster('old', '1.32')
    await master.createCluster('old')
    t.match(await version(old), /^v1\.32\./)
  })
})

t.test('1.32 has what a real server of it lists', { skip }, async t => {
  const { ask, master } = await temporaryMaster(t)
  await master.createCluster('old', '1.32')
  const documents = await Promise.all(
    ['api', 'apis'].map(async (name): Promise<DiscoveryList> => {
      const file = path.join(reference, `1.32/aggregated-discovery-${name}.json`)
      return JSON.parse(await readFile(file, 'utf8'))
    }),
  )
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
  const answers = await Promise.all(
    ['/api', '/apis'].map(
      async place => (await ask(place, { ...old, headers: { accept } })).body as DiscoveryList,
    ),
  )
  const [theirs, ours] = [flat(documents), flat(answers)]
  const missing = [...theirs.keys()].filter(name => !ours.has(name))
  t.strictSame(missing.toSorted(), ['/v1/bindings', '/v1/componentstatuses'], "the room's README says why")
  t.strictSame(
    [...ours.keys()].filter(name => !theirs.has(name)),
    [],
    'nothing besides',
  )
  for (const [name, facts] of theirs) if (ours.has(name)) t.strictSame(ours.get(name), facts, name)
})
