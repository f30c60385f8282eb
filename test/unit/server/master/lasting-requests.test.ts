/** What is open ends when what let it in is gone, and nothing else does. */
import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { running } from './echo-node.ts'
import { eventually, pod, type TemporaryMaster, temporaryMaster } from './temporary-master.ts'
import { type OpenWatch, openWatch } from './watching.ts'

const CORE = '/api/v1/namespaces/default'
const MAPS = `${CORE}/configmaps`
const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** Everything that is there is read; resolves when the stream has ended. */
async function ended(watch: OpenWatch): Promise<true> {
  while ((await watch.next()) !== undefined);
  return true
}

/** Sees what becomes of a watch that must go on. */
async function goesOn(t: Test, { ask }: TemporaryMaster, watch: OpenWatch, name: string): Promise<void> {
  await ask(MAPS, { method: 'POST', body: { metadata: { name } } })
  for (;;) {
    const event = await watch.next()
    if (event === undefined) {
      t.fail('the watch ended')
      return
    }
    if (event.object.metadata.name === name) return
  }
}

/** A connection of another protocol: a command, or a log that is followed. */
function open(port: number, path: string, token: string, headers: readonly string[] = []) {
  const socket = connect({ host: '127.0.0.1', port })
  socket.on('error', () => undefined)
  const own = ['Host: test', `Authorization: Bearer ${token}`, ...headers]
  socket.write(`GET /k8s/clusters/c1${path} HTTP/1.1\r\n${own.join('\r\n')}\r\n\r\n`)
  return socket
}

const WEBSOCKET = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Protocol: v4.channel.k8s.io',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]

t.test('what is open', async t => {
  const world = await temporaryMaster(t)
  const { ask, port, revoke } = world
  const post = (path: string, body: object) => ask(path, { method: 'POST', body })
  const remove = (path: string) => ask(path, { method: 'DELETE' })
  const watch = (token: string, path = MAPS) => openWatch(port, `${path}?watch=true`, { token })
  const bind = (name: string, subject: object) =>
    post(`${RBAC}/namespaces/default/rolebindings`, {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'admin' },
      subjects: [subject],
    })
  const account = async (name: string, spec: object = {}) => {
    await post(`${CORE}/serviceaccounts`, { metadata: { name } })
    await bind(name, { kind: 'ServiceAccount', name, namespace: 'default' })
    return (await post(`${CORE}/serviceaccounts/${name}/token`, { spec })).body.status.token as string
  }
  const other = await watch('admin|c1')
  await post(`${CORE}/pods`, {
    ...pod('web', { nodeName: 'n1', containers: [{ name: 'endless', image: 'x' }] }),
  })
  const exec = `${CORE}/pods/web/exec?command=cat&stdin=true&stdout=true`
  const log = `${CORE}/pods/web/log?follow=true`

  await t.test('of a service account that is deleted', async t => {
    const token = await account('robot')
    const watched = await watch(token)
    const command = open(port, exec, token, WEBSOCKET)
    await once(command, 'data')
    const followed = open(port, log, token)
    await once(followed, 'data')
    t.equal(running.size, 1)
    const gone = Promise.all([once(command, 'close'), once(followed, 'close')])
    await remove(`${CORE}/serviceaccounts/robot`)
    t.ok(await ended(watched))
    await gone
    await eventually(async () => running.size === 0, 'the command ends with it')
    await goesOn(t, world, other, 'after-account')
  })

  await t.test('of a token that is bound to something that is deleted', async t => {
    await post(`${CORE}/secrets`, { metadata: { name: 'bond' } })
    const { uid } = (await ask(`${CORE}/secrets/bond`)).body.metadata
    const boundObjectRef = { kind: 'Secret', apiVersion: 'v1', name: 'bond', uid }
    const bound = await watch(await account('bound', { boundObjectRef }))
    const free = await watch(
      (await post(`${CORE}/serviceaccounts/bound/token`, { spec: {} })).body.status.token,
    )
    await remove(`${CORE}/secrets/bond`)
    t.ok(await ended(bound))
    await goesOn(t, world, free, 'after-bond')
    free.close()
  })

  await t.test('of a bootstrap token whose secret is changed', async t => {
    await bind('joiners', {
      kind: 'Group',
      name: 'system:bootstrappers',
      apiGroup: 'rbac.authorization.k8s.io',
    })
    const name = 'bootstrap-token-abcdef'
    const stringData = {
      'token-id': 'abcdef',
      'token-secret': '0123456789abcdef',
      'usage-bootstrap-authentication': 'true',
    }
    const secrets = '/api/v1/namespaces/kube-system/secrets'
    await post(secrets, { metadata: { name }, type: 'bootstrap.kubernetes.io/token', stringData })
    const watched = await watch('abcdef.0123456789abcdef')
    await ask(`${secrets}/${name}`, {
      method: 'PATCH',
      body: { stringData: { 'usage-bootstrap-authentication': 'false' } },
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    t.ok(await ended(watched))
  })

  await t.test('of somebody who may not any more', async t => {
    const binding = `${RBAC}/namespaces/default/rolebindings/readers`
    await bind('readers', { kind: 'Group', name: 'readers', apiGroup: 'rbac.authorization.k8s.io' })
    const [one, two] = await Promise.all([
      watch('group|readers|c1'),
      watch('group|readers|c1', `${CORE}/pods`),
    ])
    const command = open(port, exec, 'group|readers|c1', WEBSOCKET)
    await once(command, 'data')
    const forward = open(port, `${CORE}/pods/web/portforward?ports=80`, 'group|readers|c1', WEBSOCKET)
    await once(forward, 'data')
    await remove(`${RBAC}/namespaces/default/rolebindings/joiners`)
    await goesOn(t, world, one, 'after-joiners')
    const gone = Promise.all([once(command, 'close'), once(forward, 'close')])
    await remove(binding)
    t.ok((await ended(one)) && (await ended(two)))
    await gone
    t.equal((await ask(MAPS, { token: 'group|readers|c1' })).status, 403)
  })

  await t.test('of somebody who acts for another, and may not any more', async t => {
    const roles = `${RBAC}/clusterroles`
    const apiGroup = 'rbac.authorization.k8s.io'
    await post(roles, {
      metadata: { name: 'actor' },
      rules: [{ apiGroups: [''], resources: ['users', 'groups'], verbs: ['impersonate'] }],
    })
    await post(`${RBAC}/clusterrolebindings`, {
      metadata: { name: 'actors' },
      roleRef: { apiGroup, kind: 'ClusterRole', name: 'actor' },
      subjects: [{ kind: 'Group', name: 'actors', apiGroup }],
    })
    const followed = open(port, log, 'group|actors|c1', [
      'Impersonate-User: ann',
      'Impersonate-Group: system:masters',
    ])
    await once(followed, 'data')
    const gone = once(followed, 'close')
    await ask(`${roles}/actor`, {
      method: 'PATCH',
      body: { rules: [] },
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    await gone
    t.pass('it is cut')
  })

  await t.test('of a key of Drover that is revoked', async t => {
    const token = 'node|n1|c1'
    const watched = await openWatch(port, '/api/v1/pods?watch=true&fieldSelector=spec.nodeName=n1', { token })
    // As programs in browsers watch.
    const path = '/api/v1/pods?watch=true&fieldSelector=spec.nodeName=n1'
    const websocket = new WebSocket(`ws://127.0.0.1:${port}/k8s/clusters/c1${path}`, {
      headers: { authorization: `Bearer ${token}` },
    })
    await once(websocket, 'message')
    const closed = once(websocket, 'close')
    revoke(token)
    t.ok(await ended(watched))
    t.equal((await closed)[0], 1000)
    t.equal((await ask('/api/v1/nodes/n1', { token })).status, 401)
    await goesOn(t, world, other, 'after-key')
  })

  await t.test('of a kind that is not served any more', async t => {
    const version = (name: string, served: boolean, storage: boolean) => ({
      name,
      served,
      storage,
      schema: { openAPIV3Schema: { type: 'object' } },
    })
    const names = { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' }
    const spec = (served: boolean) => ({
      group: 'example.com',
      scope: 'Namespaced',
      names,
      versions: [version('v1', true, true), version('v2', served, false)],
    })
    await post(DEFINITIONS, { metadata: { name: 'widgets.example.com' }, spec: spec(true) })
    const widgets = (name: string) => `/apis/example.com/${name}/namespaces/default/widgets`
    await eventually(async () => (await ask(widgets('v2'))).status === 200, 'it is served')
    const second = await watch('admin|c1', widgets('v2'))
    await ask(`${DEFINITIONS}/widgets.example.com`, {
      method: 'PATCH',
      body: { spec: spec(false) },
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    t.ok(await ended(second))
    t.equal((await ask(widgets('v2'))).status, 404)
    await eventually(async () => (await ask(widgets('v1'))).status === 200, 'the first is served')
    const first = await watch('admin|c1', widgets('v1'))
    await post(widgets('v1'), { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' } })
    t.match(await first.next(), { type: 'ADDED', object: { metadata: { name: 'w' } } })
    await remove(`${DEFINITIONS}/widgets.example.com`)
    t.match(await first.next(), { type: 'DELETED' })
    t.ok(await ended(first))
    await goesOn(t, world, other, 'after-kind')
  })

  await t.test('of a cluster that is deleted', async t => {
    await world.master.createCluster('c2')
    const token = 'admin|c2'
    const watched = await openWatch(port, `${MAPS}?watch=true`, { token, cluster: 'c2' })
    await ask(`${CORE}/pods`, {
      ...{ method: 'POST', token, cluster: 'c2' },
      body: pod('web', { nodeName: 'n1' }),
    })
    const command = connect({ host: '127.0.0.1', port })
    command.write(
      `GET /k8s/clusters/c2${exec} HTTP/1.1\r\n${['Host: test', `Authorization: Bearer ${token}`, ...WEBSOCKET].join('\r\n')}\r\n\r\n`,
    )
    await once(command, 'data')
    const gone = once(command, 'close')
    await world.master.deleteCluster('c2')
    t.ok(await ended(watched))
    await gone
    await goesOn(t, world, other, 'after-cluster')
  })
  other.close()
})
