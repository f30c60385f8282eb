/** Watches over HTTP: order, resumption, selectors, bookmarks, initial events, slow clients. */
import { connect } from 'node:net'
import t from 'tap'
import { ManualClock } from './manual-clock.ts'
import { eventually, pod, temporaryMaster } from './temporary-master.ts'
import { openWatch } from './watching.ts'

const MAPS = '/api/v1/namespaces/default/configmaps'
const MERGE = { 'content-type': 'application/merge-patch+json' }

function map(name: string, labels: object = {}, data: object = {}) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data }
}

t.test('changes', async t => {
  const { ask, port } = await temporaryMaster(t)
  const now = async () => (await ask(MAPS)).body.metadata.resourceVersion
  const create = (name: string, labels?: object) => ask(MAPS, { method: 'POST', body: map(name, labels) })
  const patch = (name: string, body: object) =>
    ask(`${MAPS}/${name}`, { method: 'PATCH', body, headers: MERGE })
  const remove = (name: string) => ask(`${MAPS}/${name}`, { method: 'DELETE' })

  t.test('in order, with the revision of each', async t => {
    const watch = await openWatch(port, `${MAPS}?watch=true&resourceVersion=${await now()}`)
    await create('a')
    await patch('a', { data: { x: '1' } })
    await remove('a')
    const events = [await watch.next(), await watch.next(), await watch.next()]
    t.same(
      events.map(event => event?.type),
      ['ADDED', 'MODIFIED', 'DELETED'],
    )
    const revisions = events.map(event => Number(event?.object.metadata.resourceVersion))
    t.same(
      revisions,
      revisions.toSorted((a, b) => a - b),
    )
    t.equal(new Set(revisions).size, 3, 'the deletion has its own revision')
    t.equal(events[2]?.object.data.x, '1', 'and shows the last version')
    watch.close()
  })

  t.test('without a version it begins with what there is', async t => {
    await create('b')
    for (const query of ['', '&resourceVersion=0']) {
      const watch = await openWatch(port, `${MAPS}?watch=1${query}`)
      t.match(await watch.next(), { type: 'ADDED', object: { metadata: { name: 'b' } } })
      watch.close()
    }
    await remove('b')
  })

  t.test('by the paths that watches had once', async t => {
    const start = await now()
    const old = (rest: string, query = '') =>
      openWatch(port, `/api/v1/watch/${rest}?resourceVersion=${start}${query}`)
    const one = await old('namespaces/default/configmaps/old-2')
    const narrowed = await old('namespaces/default/configmaps/old-2', '&labelSelector=a%3Db')
    const many = await Promise.all(['configmaps', 'namespaces/default/configmaps'].map(rest => old(rest)))
    for (const name of ['old-1', 'old-2']) await create(name)
    for (const watch of many) {
      for (const name of ['old-1', 'old-2']) {
        t.match(await watch.next(), { type: 'ADDED', object: { metadata: { name } } })
      }
      watch.close()
    }
    await patch('old-2', { metadata: { labels: { a: 'b' } } })
    t.match(await one.next(), { type: 'ADDED', object: { metadata: { name: 'old-2' } } })
    t.match(await one.next(), { type: 'MODIFIED' })
    t.match(await narrowed.next(), { type: 'ADDED', object: { metadata: { labels: { a: 'b' } } } })
    one.close()
    narrowed.close()
    const cluster = await openWatch(port, '/api/v1/watch/namespaces/default')
    t.match(await cluster.next(), { type: 'ADDED', object: { kind: 'Namespace' } })
    cluster.close()
    for (const name of ['old-1', 'old-2']) await remove(name)
    const path = '/api/v1/watch/namespaces/default/configmaps'
    t.equal((await ask(path, { method: 'POST', body: map('x') })).status, 405)
    t.equal((await ask(`${path}/x`, { method: 'DELETE' })).status, 405)
    for (const unknown of [
      '/api/v1/watch',
      '/api/v1/watch/nothing',
      `/api/v1/watch/namespaces/default/pods/x/status`,
    ]) {
      t.equal((await ask(unknown)).status, 404, unknown)
    }
    t.match(await ask(`${path}/x`, { token: 'group|others|c1' }), {
      status: 403,
      body: { message: /cannot watch resource "configmaps"/ },
    })
  })

  t.test('resumes where it was, from memory and from the log', async t => {
    const start = Number(await now())
    for (const name of ['r1', 'r2', 'r3']) await create(name)
    const whole = await openWatch(port, `${MAPS}?watch=true&resourceVersion=${start}`)
    const first = await whole.next()
    t.equal(first?.object.metadata.name, 'r1')
    whole.close()
    const rest = await openWatch(
      port,
      `${MAPS}?watch=true&resourceVersion=${first?.object.metadata.resourceVersion}`,
    )
    t.equal((await rest.next())?.object.metadata.name, 'r2')
    t.equal((await rest.next())?.object.metadata.name, 'r3')
    await create('r4')
    t.equal((await rest.next())?.object.metadata.name, 'r4', 'and goes on with what is new')
    rest.close()
  })

  t.test('selectors: objects come and go', async t => {
    const watch = await openWatch(
      port,
      `${MAPS}?watch=true&labelSelector=on%3D1&resourceVersion=${await now()}`,
    )
    await create('s')
    await patch('s', { metadata: { labels: { on: '1' } } })
    await patch('s', { data: { x: 'y' } })
    await patch('s', { metadata: { labels: { on: '2' } } })
    await patch('s', { metadata: { labels: { on: '1' } } })
    await remove('s')
    for (const type of ['ADDED', 'MODIFIED', 'DELETED', 'ADDED', 'DELETED'])
      t.equal((await watch.next())?.type, type)
    watch.close()
  })

  t.test('by node, where few of many watchers are concerned', async t => {
    const pods = '/api/v1/namespaces/default/pods'
    const at = (await ask(pods)).body.metadata.resourceVersion
    const select = (name: string) =>
      openWatch(port, `/api/v1/pods?watch=true&resourceVersion=${at}&fieldSelector=spec.nodeName%3D${name}`)
    const [n1, n2] = [await select('n1'), await select('n2')]
    for (const [name, target] of [
      ['p1', 'n1'],
      ['p2', 'n2'],
      ['p3', 'n1'],
    ]) {
      await ask(pods, { method: 'POST', body: pod(name ?? '', { schedulerName: 'nobody' }) })
      await ask(`${pods}/${name}/binding`, {
        method: 'POST',
        body: { metadata: { name }, target: { name: target } },
      })
    }
    t.match(await n1.next(), {
      type: 'ADDED',
      object: { metadata: { name: 'p1' }, spec: { nodeName: 'n1' } },
    })
    t.match(await n1.next(), { type: 'ADDED', object: { metadata: { name: 'p3' } } })
    t.match(await n2.next(), { type: 'ADDED', object: { metadata: { name: 'p2' } } })
    await ask(`${pods}/p1?gracePeriodSeconds=0`, { method: 'DELETE' })
    t.match(await n1.next(), { type: 'DELETED', object: { metadata: { name: 'p1' } } })
    n1.close()
    n2.close()
  })

  t.test('as tables and as metadata', async t => {
    const at = await now()
    const query = `${MAPS}?watch=true&resourceVersion=${at}`
    const table = await openWatch(port, query, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' })
    const partial = await openWatch(port, query, {
      accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
    })
    await create('t')
    t.match(await table.next(), {
      type: 'ADDED',
      object: { kind: 'Table', rows: [{ cells: ['t', 0, /s$/] }] },
    })
    t.match(await partial.next(), {
      type: 'ADDED',
      object: { kind: 'PartialObjectMetadata', metadata: { name: 't' } },
    })
    table.close()
    partial.close()
  })

  t.test('initial events and the bookmark behind them', async t => {
    const query = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true'
    const watch = await openWatch(port, `${MAPS}?watch=true&labelSelector=none&${query}`)
    t.match(await watch.next(), {
      type: 'BOOKMARK',
      object: {
        kind: 'ConfigMap',
        metadata: { annotations: { 'k8s.io/initial-events-end': 'true' }, resourceVersion: /^\d+$/ },
      },
    })
    watch.close()
    for (const bad of [
      'resourceVersionMatch=NotOlderThan',
      'sendInitialEvents=true',
      'sendInitialEvents=true&resourceVersionMatch=NotOlderThan',
      'sendInitialEvents=true&resourceVersionMatch=Exact&allowWatchBookmarks=true&resourceVersion=1',
    ]) {
      t.match(await ask(`${MAPS}?watch=true&${bad}`), { status: 422, body: { reason: 'Invalid' } }, bad)
    }
    const none = await openWatch(
      port,
      `${MAPS}?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan`,
    )
    await create('quiet')
    t.equal((await none.next())?.object.metadata.name, 'quiet')
    none.close()
  })

  t.test('the future and nonsense', async t => {
    const future = await openWatch(port, `${MAPS}?watch=true&resourceVersion=999999`)
    t.match(await future.next(), { type: 'ERROR', object: { reason: 'Timeout', code: 504 } })
    t.equal(await future.next(), undefined)
    for (const query of [
      'resourceVersion=x',
      'timeoutSeconds=-1',
      'allowWatchBookmarks=maybe',
      'watch=perhaps',
    ]) {
      t.match(
        await ask(`${MAPS}?watch=true&${query}`.replace('watch=true&watch', 'watch')),
        { status: 400 },
        query,
      )
    }
  })
})

t.test('a compacted version is gone', async t => {
  const { ask, port } = await temporaryMaster(t, {
    store: { retention: { age: 0, revisions: 1, interval: 1 }, limits: { recent: { events: 1, bytes: 1 } } },
  })
  for (let index = 0; index < 20; index += 1) await ask(MAPS, { method: 'POST', body: map(`m${index}`) })
  await eventually(async () => {
    const watch = await openWatch(port, `${MAPS}?watch=true&resourceVersion=2`)
    const event = await watch.next()
    watch.close()
    if (event?.type !== 'ERROR') return false
    t.match(event.object, {
      kind: 'Status',
      code: 410,
      reason: 'Expired',
      message: /too old resource version/,
    })
    return true
  }, 'the history is compacted')
})

t.test('bookmarks and the end', async t => {
  const clock = new ManualClock()
  const { ask, port, master } = await temporaryMaster(t, { clock })
  const at = (await ask(MAPS)).body.metadata.resourceVersion
  const watch = await openWatch(
    port,
    `${MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=100&resourceVersion=${at}`,
  )
  const plain = await openWatch(port, `${MAPS}?watch=true&timeoutSeconds=100&resourceVersion=${at}`)
  t.equal(master.openWatches, 2)
  await ask('/api/v1/namespaces/default/secrets', {
    method: 'POST',
    body: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' } },
  })
  clock.advance(60_000)
  const bookmark = await watch.next()
  t.match(bookmark, { type: 'BOOKMARK', object: { kind: 'ConfigMap', apiVersion: 'v1' } })
  t.ok(
    Number(bookmark?.object.metadata.resourceVersion) > Number(at),
    'changes of other kinds are passed over',
  )
  clock.advance(60_000)
  t.match(await watch.next(), { type: 'BOOKMARK' }, 'the last thing it says is how far it is')
  t.equal(await watch.next(), undefined, 'it ends after its time')
  t.equal(await plain.next(), undefined)
  await eventually(async () => master.openWatches === 0, 'no watch is left')
})

t.test('a client that does not read is cut off', async t => {
  const { ask, port, master } = await temporaryMaster(t)
  const at = (await ask(MAPS)).body.metadata.resourceVersion
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(
    `GET /k8s/clusters/c1${MAPS}?watch=true&resourceVersion=${at} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer admin|c1\r\n\r\n`,
  )
  socket.pause()
  await eventually(async () => master.openWatches === 1, 'the watch is open')
  const text = 'x'.repeat(900_000)
  for (let index = 0; master.openWatches > 0 && index < 200; index += 1) {
    await ask(MAPS, { method: 'POST', body: map(`big${index}`, {}, { text }) })
    await ask(`${MAPS}/big${index}`, { method: 'DELETE' })
  }
  t.equal(master.openWatches, 0)
  socket.destroy()
})

t.test('watches end with their cluster, and with the master', async t => {
  const { master, port, ask } = await temporaryMaster(t)
  await master.createCluster('c2')
  const doomed = await openWatch(port, '/api/v1/pods?watch=true', { cluster: 'c2', token: 'admin|c2' })
  const other = await openWatch(port, '/api/v1/pods?watch=true')
  await master.deleteCluster('c2')
  t.equal(await doomed.next(), undefined)
  await ask('/api/v1/namespaces/default/pods', { method: 'POST', body: pod('p') })
  t.match(await other.next(), { type: 'ADDED' })
  await master.stop()
  while ((await other.next()) !== undefined);
  t.pass('the other one has ended')
})
