/** Deployments and replica sets with the pods that come of them, and what becomes of dependents. */
import t from 'tap'
import { runPods } from './running-pods.ts'
import { eventually, node, pod, temporaryMaster } from './temporary-master.ts'

const APPS = '/apis/apps/v1/namespaces/default'
const POD_LIST = '/api/v1/namespaces/default/pods'
const MERGE = { 'content-type': 'application/merge-patch+json' }

function deployment(name: string, image: string, spec: object = {}) {
  return {
    metadata: { name },
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image }] } },
      ...spec,
    },
  }
}

t.test('deployments', async t => {
  const master = await temporaryMaster(t)
  const { ask } = master
  await ask('/api/v1/nodes', { method: 'POST', body: node('n1') })
  await runPods(t, master)
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  const items = async (place: string) => (await ask(place)).body.items as any[]
  const images = async (app: string) =>
    (await items(`${POD_LIST}?labelSelector=app=${app}`))
      .map(each => each.spec.containers[0].image)
      .toSorted()
  const status = async (name: string) => (await ask(`${APPS}/deployments/${name}`)).body
  const complete = (name: string, replicas: number) =>
    eventually(async () => {
      const { status: now, metadata } = await status(name)
      return (
        now.observedGeneration === metadata.generation &&
        (now.updatedReplicas ?? 0) === replicas &&
        (now.replicas ?? 0) === replicas &&
        (now.availableReplicas ?? 0) === replicas
      )
    }, `${name} is complete`)
  const patch = (name: string, body: object) =>
    ask(`${APPS}/deployments/${name}`, { method: 'PATCH', body, headers: MERGE })
  const image = (name: string) => ({
    spec: { template: { spec: { containers: [{ name: 'main', image: name }] } } },
  })

  t.test('run, scale, roll, and go back', async t => {
    t.equal(
      (await ask(`${APPS}/deployments`, { method: 'POST', body: deployment('web', 'web:1') })).status,
      201,
    )
    await complete('web', 3)
    t.strictSame(await images('web'), ['web:1', 'web:1', 'web:1'])
    await patch('web', { spec: { replicas: 5 } })
    await complete('web', 5)
    await patch('web', { spec: { replicas: 2 } })
    await complete('web', 2)
    let fewest = Number.POSITIVE_INFINITY
    await patch('web', image('web:2'))
    await eventually(async () => {
      const { status: now, metadata } = await status('web')
      fewest = Math.min(fewest, now.availableReplicas ?? 0)
      if (now.observedGeneration !== metadata.generation) return false
      return now.updatedReplicas === 2 && now.replicas === 2 && now.availableReplicas === 2
    }, 'it has rolled')
    t.ok(fewest >= 2, `never fewer than ${fewest} were available`)
    t.strictSame(await images('web'), ['web:2', 'web:2'])
    const sets = await items(`${APPS}/replicasets`)
    t.equal(sets.length, 2, 'the old set is kept')
    t.strictSame(
      sets.map(each => each.metadata.annotations['deployment.kubernetes.io/revision']).toSorted(),
      ['1', '2'],
    )
    await patch('web', image('web:1'))
    await complete('web', 2)
    const after = await items(`${APPS}/replicasets`)
    t.equal(after.length, 2, 'the old set is used again')
    t.equal((await status('web')).metadata.annotations['deployment.kubernetes.io/revision'], '3')
    t.match((await status('web')).status.conditions, [
      { type: 'Available', status: 'True' },
      { type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable' },
    ])
  })

  t.test('what is noted at a deployment is noted at its set', async t => {
    const annotations = {
      'kubernetes.io/change-cause': 'why',
      'kubectl.kubernetes.io/last-applied-configuration': '{}',
    }
    await patch('web', { metadata: { annotations } })
    const current = async () =>
      (await items(`${APPS}/replicasets`)).find(
        each => each.metadata.annotations['deployment.kubernetes.io/revision'] === '3',
      ).metadata.annotations
    await eventually(async () => (await current())['kubernetes.io/change-cause'] === 'why', 'it is noted')
    t.notOk('kubectl.kubernetes.io/last-applied-configuration' in (await current()))
  })

  t.test('only pods demand what they may use', async t => {
    const limits = { cpu: '100m' }
    const body = deployment('limited', 'web:1')
    const containers = [{ name: 'main', image: 'web:1', resources: { limits } }]
    Object.assign(body.spec, { replicas: 1, template: { ...body.spec.template, spec: { containers } } })
    const made = await ask(`${APPS}/deployments`, { method: 'POST', body })
    t.strictSame(made.body.spec.template.spec.containers[0].resources, { limits })
    await complete('limited', 1)
    const [pod] = await items(`${POD_LIST}?labelSelector=app=limited`)
    t.strictSame(pod.spec.containers[0].resources, { limits, requests: limits })
  })

  t.test('a set that was left behind is taken up again', async t => {
    await ask(`${APPS}/deployments`, { method: 'POST', body: deployment('left', 'left:1') })
    await complete('left', 3)
    const sets = () => items(`${APPS}/replicasets?labelSelector=app=left`)
    const [before] = await sets()
    await ask(`${APPS}/deployments/left?propagationPolicy=Orphan`, { method: 'DELETE' })
    await eventually(async () => (await sets())[0]?.metadata.ownerReferences === undefined, 'it is alone')
    await ask(`${APPS}/deployments`, { method: 'POST', body: deployment('left', 'left:1') })
    await complete('left', 3)
    const after = await sets()
    t.strictSame(
      after.map(each => each.metadata.uid),
      [before.metadata.uid],
    )
    t.match(after[0].metadata.ownerReferences, [{ kind: 'Deployment', name: 'left', controller: true }])
  })

  t.test('a pod that is lost is replaced', async () => {
    const [lost] = await items(`${POD_LIST}?labelSelector=app=web`)
    await ask(`${POD_LIST}/${lost.metadata.name}`, { method: 'DELETE' })
    await eventually(async () => {
      const pods = await items(`${POD_LIST}?labelSelector=app=web`)
      return pods.length === 2 && !pods.some(each => each.metadata.uid === lost.metadata.uid)
    }, 'there are two again')
  })

  t.test('a bad image stops the roll, and what works goes on', async t => {
    await patch('web', image('bad'))
    await eventually(async () => (await images('web')).includes('bad'), 'it tries')
    t.equal((await images('web')).filter(each => each === 'web:1').length, 2)
    await patch('web', image('web:1'))
    await complete('web', 2)
  })

  t.test('recreate never mixes', async t => {
    const body = deployment('one', 'one:1', { strategy: { type: 'Recreate' } })
    await ask(`${APPS}/deployments`, { method: 'POST', body })
    await complete('one', 3)
    let mixed = false
    await patch('one', image('one:2'))
    await eventually(async () => {
      const now = new Set(await images('one'))
      mixed ||= now.size > 1
      return now.has('one:2') && now.size === 1 && (await images('one')).length === 3
    }, 'it is replaced')
    t.notOk(mixed)
  })

  t.test('paused: scaled, not rolled', async t => {
    await patch('one', { spec: { paused: true, replicas: 1 } })
    await patch('one', image('one:3'))
    await eventually(async () => (await images('one')).length === 1, 'it is scaled')
    t.strictSame(await images('one'), ['one:2'])
    await patch('one', { spec: { paused: false } })
    await eventually(async () => (await images('one')).join() === 'one:3', 'it rolls')
  })

  t.test('an orphan is adopted', async t => {
    await ask(POD_LIST, { method: 'POST', body: pod('stray', {}, { labels: { app: 'strays' } }) })
    const set = deployment('strays', 'stray:1', { replicas: 1 })
    await ask(`${APPS}/replicasets`, { method: 'POST', body: set })
    await eventually(async () => {
      const { body } = await ask(`${POD_LIST}/stray`)
      return body.metadata.ownerReferences?.[0]?.name === 'strays'
    }, 'it has an owner')
    t.equal((await items(`${POD_LIST}?labelSelector=app=strays`)).length, 1)
  })

  t.test('what does not match any more is let go, and replaced', async t => {
    const relabel = (place: string, app: string) =>
      ask(place, { method: 'PATCH', headers: MERGE, body: { metadata: { labels: { app } } } })
    const ownerOf = async (place: string) => (await ask(place)).body.metadata.ownerReferences?.[0]?.name
    const strays = async () => await items(`${POD_LIST}?labelSelector=app=strays`)
    await relabel(`${POD_LIST}/stray`, 'aside')
    await eventually(async () => (await ownerOf(`${POD_LIST}/stray`)) === undefined, 'a pod is let go')
    await eventually(async () => (await strays()).length === 1, 'another one is there')
    await ask(`${POD_LIST}/${(await strays())[0].metadata.name}`, { method: 'DELETE' })
    await relabel(`${POD_LIST}/stray`, 'strays')
    await eventually(async () => {
      const owners = await Promise.all(
        (await strays()).map(({ metadata }) => ownerOf(`${POD_LIST}/${metadata.name}`)),
      )
      return owners.join() === 'strays'
    }, 'one that comes back has its owner again, and is one too many or the only one')

    const daemon = deployment('daemon', 'd:1', {})
    const { replicas: _, ...everywhere } = daemon.spec
    await ask(`${APPS}/daemonsets`, { method: 'POST', body: { ...daemon, spec: everywhere } })
    await ask(`${APPS}/statefulsets`, {
      method: 'POST',
      body: deployment('state', 's:1', { replicas: 1, serviceName: 'state' }),
    })
    await ask(`${APPS}/deployments`, { method: 'POST', body: deployment('roll', 'r:1', { replicas: 1 }) })
    for (const [place, app] of [
      [POD_LIST, 'daemon'],
      [POD_LIST, 'state'],
      [`${APPS}/replicasets`, 'roll'],
    ] as const) {
      const ofApp = () => items(`${place}?labelSelector=app=${app}`)
      await eventually(async () => (await ofApp()).length === 1, `${app} has one`)
      const [{ metadata }] = await ofApp()
      await relabel(`${place}/${metadata.name}`, 'aside')
      await eventually(
        async () => (await ownerOf(`${place}/${metadata.name}`)) === undefined,
        `${app} lets it go`,
      )
      // The name of a stateful set's pod is taken until somebody removes it.
      if (app === 'state') await ask(`${place}/${metadata.name}`, { method: 'DELETE' })
      await eventually(async () => (await ofApp()).length === 1, `${app} has another one`)
      t.not((await ofApp())[0].metadata.uid, metadata.uid)
    }
    for (const place of ['daemonsets/daemon', 'statefulsets/state', 'deployments/roll'])
      await ask(`${APPS}/${place}`, { method: 'DELETE', body: { propagationPolicy: 'Foreground' } })
  })

  t.test('why there are not enough pods is told, until there are', async t => {
    const namespace = 'small'
    const placeOf = (place: string) => place.replace('/default', `/${namespace}`)
    await ask('/api/v1/namespaces', { method: 'POST', body: { metadata: { name: namespace } } })
    await ask(`/api/v1/namespaces/${namespace}/resourcequotas`, {
      method: 'POST',
      body: { metadata: { name: 'two' }, spec: { hard: { pods: '2' } } },
    })
    const quota = `/api/v1/namespaces/${namespace}/resourcequotas/two`
    await eventually(async () => (await ask(quota)).body.status?.hard?.pods === '2', 'the quota counts')
    const apps = placeOf(APPS)
    await ask(`${apps}/deployments`, { method: 'POST', body: deployment('three', 't:1') })
    type Conditions = { type: string; reason: string; message: string }[]
    const failureOf = async (place: string) =>
      ((await ask(place)).body.status?.conditions as Conditions | undefined)?.find(
        ({ type }) => type === 'ReplicaFailure',
      )
    const deploymentPlace = `${apps}/deployments/three`
    await eventually(async () => (await failureOf(deploymentPlace)) !== undefined, 'the deployment says so')
    t.match(await failureOf(deploymentPlace), { reason: 'FailedCreate', message: /exceeded quota: two/ })
    const [set] = await items(`${apps}/replicasets`)
    const setPlace = `${apps}/replicasets/${set.metadata.name}`
    t.match(await failureOf(setPlace), { reason: 'FailedCreate', message: /exceeded quota: two/ })
    await ask(deploymentPlace, { method: 'PATCH', headers: MERGE, body: { spec: { replicas: 2 } } })
    await eventually(async () => (await failureOf(setPlace)) === undefined, 'the set has what it wants')
    await eventually(async () => (await failureOf(deploymentPlace)) === undefined, 'and the deployment, too')
    const core = `/api/v1/namespaces/${namespace}/replicationcontrollers`
    await ask(core, {
      method: 'POST',
      body: {
        metadata: { name: 'old' },
        spec: {
          replicas: 1,
          selector: { app: 'old' },
          template: {
            metadata: { labels: { app: 'old' } },
            spec: { containers: [{ name: 'a', image: 'a' }] },
          },
        },
      },
    })
    await eventually(async () => (await failureOf(`${core}/old`)) !== undefined, 'controllers say so')
    await ask(`/api/v1/namespaces/${namespace}`, { method: 'DELETE' })
  })

  t.test('revisions have 64 bits', async () => {
    const revision = 'deployment.kubernetes.io/revision'
    const old = deployment('counted', 'counted:1', { replicas: 0 })
    const metadata = {
      name: 'counted-before',
      labels: { app: 'counted' },
      annotations: { [revision]: '3546343826724305832' },
    }
    await ask(`${APPS}/replicasets`, { method: 'POST', body: { ...old, kind: 'ReplicaSet', metadata } })
    await ask(`${APPS}/deployments`, {
      method: 'POST',
      body: deployment('counted', 'counted:2', { replicas: 1 }),
    })
    await eventually(async () => {
      const { body } = await ask(`${APPS}/deployments/counted`)
      return body.metadata.annotations?.[revision] === '3546343826724305833'
    }, 'the next one')
    await ask(`${APPS}/deployments/counted`, {
      method: 'DELETE',
      body: { propagationPolicy: 'Background' },
    })
    await eventually(async () => (await images('counted')).length === 0, 'it is gone')
  })

  t.test('what depends on a deployment goes with it', async t => {
    const gone = (app: string) =>
      eventually(async () => {
        const sets = (await items(`${APPS}/replicasets`)).filter(each => each.metadata.labels?.app === app)
        return sets.length === 0 && (await images(app)).length === 0
      }, `${app} is gone`)
    await ask(`${APPS}/deployments/web`, { method: 'DELETE', body: { propagationPolicy: 'Background' } })
    await gone('web')
    await ask(`${APPS}/deployments/one`, { method: 'DELETE', body: { propagationPolicy: 'Foreground' } })
    await gone('one')
    await eventually(async () => (await ask(`${APPS}/deployments/one`)).status === 404, 'the owner went last')
    await ask(`${APPS}/replicasets/strays`, { method: 'DELETE', body: { propagationPolicy: 'Orphan' } })
    await eventually(
      async () => (await ask(`${APPS}/replicasets/strays`)).status === 404,
      'the owner is gone',
    )
    const { status: code, body } = await ask(`${POD_LIST}/stray`)
    t.equal(code, 200)
    t.equal(body.metadata.ownerReferences, undefined)
  })

  t.test('owners in a circle go, and hold up nobody', async t => {
    const maps = '/api/v1/namespaces/default/configmaps'
    const names = ['ring-1', 'ring-2', 'ring-3']
    const uids: string[] = []
    for (const name of names)
      uids.push((await ask(maps, { method: 'POST', body: { metadata: { name } } })).body.metadata.uid)
    const headers = { 'content-type': 'application/merge-patch+json' }
    for (const [index, name] of names.entries()) {
      const before = (index + 2) % 3
      const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: names[before], uid: uids[before] }
      const ownerReferences = [{ ...owner, controller: true, blockOwnerDeletion: true }]
      await ask(`${maps}/${name}`, { method: 'PATCH', headers, body: { metadata: { ownerReferences } } })
    }
    await ask(`${maps}/ring-1`, { method: 'DELETE', body: { propagationPolicy: 'Foreground' } })
    for (const name of names)
      await eventually(async () => (await ask(`${maps}/${name}`)).status === 404, `${name} is gone`)
    t.equal((await ask(maps)).status, 200)
  })

  t.test('one that has another owner stays, and its owner does not wait for it', async t => {
    const maps = '/api/v1/namespaces/default/configmaps'
    const make = async (name: string, owners: readonly string[] = []) => {
      const ownerReferences = await Promise.all(
        owners.map(async owner => {
          const { uid } = (await ask(`${maps}/${owner}`)).body.metadata
          return { apiVersion: 'v1', kind: 'ConfigMap', name: owner, uid, blockOwnerDeletion: true }
        }),
      )
      await ask(maps, { method: 'POST', body: { metadata: { name, ownerReferences } } })
    }
    await make('leaves')
    await make('stays')
    await make('shared', ['leaves', 'stays'])
    await make('own', ['leaves'])
    await ask(`${maps}/leaves`, { method: 'DELETE', body: { propagationPolicy: 'Foreground' } })
    await eventually(async () => (await ask(`${maps}/leaves`)).status === 404, 'the owner is gone')
    t.equal((await ask(`${maps}/own`)).status, 404)
    t.match((await ask(`${maps}/shared`)).body.metadata, { ownerReferences: [{ name: 'stays' }] })
  })

  t.test('a dependent of nobody goes', async t => {
    const owner = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      name: 'never',
      uid: '00000000-0000-0000-0000-000000000000',
    }
    await ask('/api/v1/namespaces/default/configmaps', {
      method: 'POST',
      body: { metadata: { name: 'left', ownerReferences: [owner] } },
    })
    await eventually(
      async () => (await ask('/api/v1/namespaces/default/configmaps/left')).status === 404,
      'it is gone',
    )
    await ask('/apis/scheduling.k8s.io/v1/priorityclasses', {
      method: 'POST',
      body: { metadata: { name: 'wide', ownerReferences: [owner] }, value: 1 },
    })
    const foreign = { ...owner, apiVersion: 'example.com/v1', kind: 'Widget' }
    const maps = '/api/v1/namespaces/default/configmaps'
    await ask(maps, { method: 'POST', body: { metadata: { name: 'kept', ownerReferences: [foreign] } } })
    // Collected after the two before.
    await ask(maps, { method: 'POST', body: { metadata: { name: 'last', ownerReferences: [owner] } } })
    await eventually(async () => (await ask(`${maps}/last`)).status === 404, 'the last one is gone')
    t.equal((await ask('/apis/scheduling.k8s.io/v1/priorityclasses/wide')).status, 200)
    t.equal(
      (await ask('/api/v1/namespaces/default/configmaps/kept')).status,
      200,
      'an owner of an unknown kind may be there',
    )
  })
})
