/** Who may do what by roles, questions about it, acting as others, and giving rights away. */
import t from 'tap'
import { uncovered } from '../../../../server/master/apiserver/access/rbac.ts'
import { temporaryMaster } from './temporary-master.ts'

const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const MAPS = '/api/v1/namespaces/default/configmaps'

t.test('roles', async t => {
  const { ask } = await temporaryMaster(t)
  const as = (user: string, ...groups: string[]) => ({
    'impersonate-user': user,
    ...(groups[0] === undefined ? {} : { 'impersonate-group': groups[0] }),
  })
  const post = (place: string, body: object, headers = {}) => ask(place, { method: 'POST', body, headers })
  const roleRef = (kind: string, name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name })
  const bind = (name: string, role: object, subject: object) =>
    post(`${RBAC}/namespaces/default/rolebindings`, {
      metadata: { name },
      roleRef: role,
      subjects: [subject],
    })

  t.test('nobody may anything without one', async t => {
    const answer = await ask(MAPS, { headers: as('ann') })
    t.equal(answer.status, 403)
    t.match(answer.body.message, /User "ann" cannot list resource "configmaps"/)
  })

  t.test('a role in a namespace', async t => {
    t.match(
      (await bind('ann-views', roleRef('ClusterRole', 'view'), { kind: 'User', name: 'ann' })).status,
      201,
    )
    t.equal((await ask(MAPS, { headers: as('ann') })).status, 200)
    t.equal((await ask('/api/v1/namespaces/default/secrets', { headers: as('ann') })).status, 403)
    t.equal((await ask('/api/v1/namespaces/kube-system/configmaps', { headers: as('ann') })).status, 403)
    t.equal((await ask('/api/v1/configmaps', { headers: as('ann') })).status, 403)
    t.equal((await post(MAPS, { metadata: { name: 'x' } }, as('ann'))).status, 403)
  })

  t.test('groups, service accounts, names of objects', async t => {
    const rules = [{ apiGroups: [''], resources: ['configmaps'], resourceNames: ['one'], verbs: ['get'] }]
    await post(`${RBAC}/namespaces/default/roles`, { metadata: { name: 'one' }, rules })
    await bind('team', roleRef('Role', 'one'), { kind: 'Group', name: 'team' })
    await bind('robot', roleRef('Role', 'one'), { kind: 'ServiceAccount', name: 'robot' })
    for (const name of ['one', 'two']) await post(MAPS, { metadata: { name } })
    for (const headers of [as('bob', 'team'), as('system:serviceaccount:default:robot')]) {
      t.equal((await ask(`${MAPS}/one`, { headers })).status, 200)
      t.equal((await ask(`${MAPS}/two`, { headers })).status, 403)
      t.equal((await ask(MAPS, { headers })).status, 403)
    }
    t.equal((await ask(`${MAPS}/one`, { headers: as('system:serviceaccount:other:robot') })).status, 403)
  })

  t.test('a new part of a role counts at once', async t => {
    t.equal((await ask('/apis/apps/v1/namespaces/default/deployments', { headers: as('ann') })).status, 200)
    const leases = '/apis/coordination.k8s.io/v1/namespaces/default/leases'
    t.equal((await ask(leases, { headers: as('ann') })).status, 403)
    await post(`${RBAC}/clusterroles`, {
      metadata: { name: 'more', labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } },
      rules: [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['list'] }],
    })
    t.equal((await ask(leases, { headers: as('ann') })).status, 200)
  })

  t.test('questions', async t => {
    const review = async (kind: string, spec: object, headers = {}) =>
      (await post(`/apis/authorization.k8s.io/v1/${kind}`, { spec }, headers)).body
    const about = { resourceAttributes: { namespace: 'default', verb: 'list', resource: 'configmaps' } }
    t.match(await review('selfsubjectaccessreviews', about, as('ann')), { status: { allowed: true } })
    t.match(await review('selfsubjectaccessreviews', about, as('eve')), { status: { allowed: false } })
    t.match(await review('subjectaccessreviews', { ...about, user: 'ann' }), { status: { allowed: true } })
    t.match(await review('subjectaccessreviews', about), { code: 422 })
    t.match(
      await review(
        'selfsubjectaccessreviews',
        { nonResourceAttributes: { path: '/apis/apps', verb: 'get' } },
        as('eve'),
      ),
      { status: { allowed: true } },
    )
    t.match(
      await review(
        'selfsubjectaccessreviews',
        { nonResourceAttributes: { path: '/metrics', verb: 'get' } },
        as('eve'),
      ),
      { status: { allowed: false } },
    )
    t.match(await review('subjectaccessreviews', { ...about, user: 'ann' }, as('ann')), { code: 403 })
    t.match(await review('namespaces/kube-system/localsubjectaccessreviews', { ...about, user: 'ann' }), {
      code: 422,
    })
    const rules = await review('selfsubjectrulesreviews', { namespace: 'default' }, as('ann'))
    t.ok(
      rules.status.resourceRules.some(({ resources }: { resources: string[] }) =>
        resources.includes('pods/log'),
      ),
    )
    const self = await post('/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, as('ann', 'team'))
    t.match(self.body.status.userInfo, { username: 'ann', groups: ['team', 'system:authenticated'] })
    const token = await post('/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token: 'node|n1|c1' } })
    t.match(token.body.status, { authenticated: true, user: { username: 'system:node:n1' } })
    t.notOk(token.text.includes('node|n1|c1'), 'the token is not said again')
    const other = await post('/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token: 'node|n1|c2' } })
    t.match(other.body.status, { authenticated: false }, 'a token of another cluster is nothing here')
    const table = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' }
    t.match(await review('selfsubjectaccessreviews', about, table), { code: 406 }, 'an answer is no row')
    const either = { accept: `${table.accept},application/json` }
    t.match(await review('selfsubjectaccessreviews', about, either), { status: { allowed: true } })
  })

  t.test('only who may acts as somebody else', async t => {
    const node = (headers: Readonly<Record<string, string>>) => ask(MAPS, { token: 'node|n1|c1', headers })
    t.equal((await node(as('admin', 'system:masters'))).status, 403)
    t.equal((await ask(MAPS, { headers: { 'impersonate-group': 'system:masters' } })).status, 400)
  })

  t.test('nobody gives what they do not have', async t => {
    await bind('max-administers', roleRef('ClusterRole', 'admin'), { kind: 'User', name: 'max' })
    const roles = `${RBAC}/namespaces/default/roles`
    const bindings = `${RBAC}/namespaces/default/rolebindings`
    const role = (name: string, resource: string, verbs: string[]) => ({
      metadata: { name },
      rules: [{ apiGroups: [''], resources: [resource], verbs }],
    })
    t.equal((await post(roles, role('fine', 'pods', ['get']), as('max'))).status, 201)
    const refused = await post(roles, role('more', 'nodes', ['get']), as('max'))
    t.equal(refused.status, 403)
    t.match(refused.body.message, /attempting to grant RBAC permissions not currently held:\n.*"nodes"/)
    const grown = await ask(`${roles}/fine`, {
      method: 'PUT',
      body: role('fine', '*', ['*']),
      headers: as('max'),
    })
    t.equal(grown.status, 403)
    const whole = {
      metadata: { name: 'all' },
      roleRef: roleRef('ClusterRole', 'cluster-admin'),
      subjects: [{ kind: 'User', name: 'max' }],
    }
    t.equal((await post(bindings, whole, as('max'))).status, 403)
    const same = { ...whole, metadata: { name: 'same' }, roleRef: roleRef('ClusterRole', 'edit') }
    t.equal((await post(bindings, same, as('max'))).status, 201)
    t.equal((await post(bindings, whole)).status, 201, 'who may everything gives everything')
  })
})

t.test('what is not covered', async t => {
  const own = [{ apiGroups: ['apps'], resources: ['*'], verbs: ['get', 'list'] }]
  t.equal(uncovered(own, [{ apiGroups: ['apps'], resources: ['deployments'], verbs: ['get'] }]), undefined)
  t.match(uncovered(own, [{ apiGroups: ['apps', 'batch'], resources: ['jobs'], verbs: ['get'] }]), /batch/)
  t.match(uncovered(own, [{ apiGroups: ['*'], resources: ['jobs'], verbs: ['get'] }]), /"\*"/)
  t.match(uncovered(own, [{ nonResourceURLs: ['/metrics'], verbs: ['get'] }]), /metrics/)
  const named = [{ apiGroups: [''], resources: ['secrets'], resourceNames: ['a'], verbs: ['get'] }]
  t.match(uncovered(named, [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }]), /secrets/)
})
