/** A stranger, or the owner of another cluster, learns nothing of a cluster: not even whether it is there. */
import t from 'tap'
import { loadCatalog } from '../../../../server/master/apiserver/catalog/index.ts'
import { pod, temporaryMaster } from './temporary-master.ts'

const METHODS = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
  deletecollection: 'DELETE',
} as const

type Verb = keyof typeof METHODS

interface Question {
  readonly path: string
  readonly method: string
}

/** Every verb of every kind and subresource, and everything that is no object. */
async function questions(): Promise<Question[]> {
  const catalog = await loadCatalog('1.36')
  const objects = catalog.groupVersions.flatMap(({ group, version, resources }) =>
    resources.flatMap(resource => {
      const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
      const collection = `${root}${resource.namespaced ? '/namespaces/default' : ''}/${resource.resource}`
      const onCollection = new Set<string>(['list', 'watch', 'create', 'deletecollection'])
      const own = (resource.verbs as readonly Verb[]).map(verb => ({
        method: METHODS[verb],
        path: `${collection}${onCollection.has(verb) ? '' : '/there'}${verb === 'watch' ? '?watch=true' : ''}`,
      }))
      const parts = [...resource.subresources.values()].flatMap(({ name, verbs }) =>
        (verbs as readonly Verb[]).map(verb => ({
          method: METHODS[verb],
          path: `${collection}/there/${name}`,
        })),
      )
      return [...own, ...parts]
    }),
  )
  const documents = [
    '/api',
    '/apis',
    '/openapi/v2',
    '/openapi/v3',
    '/openid/v1/jwks',
    '/nothing',
    '/apis/none.example/v1/things',
  ]
  return [...objects, ...documents.map(path => ({ method: 'GET', path }))]
}

t.test("another cluster's credentials", async t => {
  const { ask, master } = await temporaryMaster(t)
  await master.createCluster('c2')
  await ask('/api/v1/namespaces/default/pods', { method: 'POST', body: pod('there') })
  const made = await ask('/api/v1/namespaces/default/serviceaccounts/default/token', {
    method: 'POST',
    body: { spec: {} },
    token: 'admin|c2',
    cluster: 'c2',
  })
  const account: string = made.body.status.token
  const strangers = { administrator: 'admin|c2', node: 'node|n1|c2', account, nonsense: 'x', nobody: '' }
  const all = await questions()
  t.ok(all.length > 400, `${all.length} questions`)
  for (const [who, token] of Object.entries(strangers)) {
    const different: string[] = []
    for (const { path, method } of all) {
      const options = { method, token, ...(method === 'GET' || method === 'DELETE' ? {} : { body: {} }) }
      const there = await ask(path, { ...options, cluster: 'c1' })
      const absent = await ask(path, { ...options, cluster: 'absent' })
      const told = ({ status, text, headers }: typeof there) =>
        JSON.stringify([status, text, { ...headers, date: undefined }])
      if (there.status !== 401 || told(there) !== told(absent))
        different.push(`${method} ${path}: ${there.status}`)
    }
    t.strictSame(different, [], `${who}: 401, as for a cluster that is not there`)
  }
  t.equal((await ask('/api/v1/namespaces/default/pods/there')).status, 200, 'and nothing happened to it')
  t.equal(
    (await ask('/api/v1/pods', { token: account, cluster: 'c2' })).status,
    403,
    'who is somebody only there',
  )
})
