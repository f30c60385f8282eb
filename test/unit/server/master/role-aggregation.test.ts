/** Cluster roles that gather others. */
import t from 'tap'
import { eventually, temporaryMaster } from './temporary-master.ts'

const ROLES = '/apis/rbac.authorization.k8s.io/v1/clusterroles'
const MERGE = { 'content-type': 'application/merge-patch+json' }

t.test('roles that gather others', async t => {
  const { ask } = await temporaryMaster(t)
  const rule = (resource: string) => ({ apiGroups: [''], resources: [resource], verbs: ['get'] })
  const post = (body: object) => ask(ROLES, { method: 'POST', body })
  const rules = (name: string, ...resources: string[]) =>
    eventually(async () => {
      const found = ((await ask(`${ROLES}/${name}`)).body.rules ?? []) as { resources: string[] }[]
      return (
        found
          .map(each => each.resources[0])
          .toSorted()
          .join() === resources.join()
      )
    }, `${name} has ${resources.join()}`)
  const label = (value: string) => ({ [`to-${value}`]: 'true' })
  const gathers = (value: string) => ({ clusterRoleSelectors: [{ matchLabels: label(value) }] })
  const before = (await ask(`${ROLES}/admin`)).body.metadata.resourceVersion
  await post({
    metadata: { name: 'all', labels: label('whole') },
    aggregationRule: gathers('all'),
    rules: [rule('own')],
  })
  await rules('all')
  await post({ metadata: { name: 'whole' }, aggregationRule: gathers('whole'), rules: [] })
  await post({ metadata: { name: 'a', labels: label('all') }, rules: [rule('pods'), rule('nodes')] })
  await post({ metadata: { name: 'b', labels: label('all') }, rules: [rule('pods'), rule('secrets')] })
  await rules('all', 'nodes', 'pods', 'secrets')
  await rules('whole', 'nodes', 'pods', 'secrets')
  await ask(`${ROLES}/a`, { method: 'PATCH', headers: MERGE, body: { metadata: { labels: null } } })
  await rules('whole', 'pods', 'secrets')
  await ask(`${ROLES}/b`, { method: 'DELETE' })
  await rules('whole')
  t.equal(
    (await ask(`${ROLES}/admin`)).body.metadata.resourceVersion,
    before,
    'the default ones are complete',
  )
})
