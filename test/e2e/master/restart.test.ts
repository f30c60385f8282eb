/** A watch goes on after a restart where it was, and is told when that is too long ago. */
import { request } from 'node:https'
import { createInterface } from 'node:readline'
import t from 'tap'
import { MasterUnderTest } from './kubectl.ts'

interface Line {
  readonly type: string
  readonly object: {
    readonly kind: string
    readonly code?: number
    readonly reason?: string
    readonly metadata: { readonly name: string; readonly resourceVersion: string }
  }
}

const MAPS = '/api/v1/namespaces/default/configmaps'

function call(master: MasterUnderTest, method: string, path: string, body?: unknown): Promise<number> {
  const payload = body === undefined ? undefined : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    request(
      `${master.url()}${path}`,
      {
        method,
        ca: master.authority,
        headers: { authorization: `Bearer ${master.token}`, 'content-type': 'application/json' },
      },
      response => {
        response.resume()
        response.on('end', () => resolve(response.statusCode ?? 0))
      },
    )
      .on('error', reject)
      .end(payload)
  })
}

/** Every namespace has a map of the cluster's own. */
const OWN = encodeURIComponent('metadata.name!=kube-root-ca.crt')

/** Reads `count` events of a watch, or fewer when it ends before. */
function watch(master: MasterUnderTest, revision: string | number, count: number): Promise<Line[]> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      `${master.url()}${MAPS}?watch=true&resourceVersion=${revision}&fieldSelector=${OWN}`,
      { ca: master.authority, headers: { authorization: `Bearer ${master.token}` } },
      response => {
        const seen: Line[] = []
        const lines = createInterface({ input: response })
        lines.on('error', () => undefined)
        lines.on('line', line => {
          seen.push(JSON.parse(line) as Line)
          if (seen.length < count) return
          resolve(seen)
          outgoing.destroy()
        })
        lines.on('close', () => resolve(seen))
      },
    )
    outgoing.on('error', error => (outgoing.destroyed ? undefined : reject(error)))
    outgoing.end()
  })
}

const map = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } })

t.test('resumes after a restart', async t => {
  const master = await MasterUnderTest.start(t)
  t.equal(await call(master, 'POST', MAPS, map('first')), 201)
  const [first] = await watch(master, 1, 1)
  t.equal(first?.object.metadata.name, 'first')
  for (const name of ['second', 'third']) t.equal(await call(master, 'POST', MAPS, map(name)), 201)
  t.equal(await call(master, 'DELETE', `${MAPS}/second`), 200)
  await master.stop()
  await master.resume()
  const resumed = watch(master, first?.object.metadata.resourceVersion ?? '', 4)
  t.equal(await call(master, 'POST', MAPS, map('fourth')), 201)
  t.same(
    (await resumed).map(({ type, object }) => [type, object.metadata.name]),
    [
      ['ADDED', 'second'],
      ['ADDED', 'third'],
      ['DELETED', 'second'],
      ['ADDED', 'fourth'],
    ],
  )
})

t.test('what is compacted is gone', async t => {
  const master = await MasterUnderTest.start(t, {
    storeOptions: {
      retention: { age: 0, revisions: 1, interval: 5 },
      limits: { recent: { events: 1, bytes: 1 } },
    },
  })
  for (let index = 0; index < 10; index += 1) await call(master, 'POST', MAPS, map(`m${index}`))
  for (;;) {
    const [event] = await watch(master, 3, 1)
    if (event?.type !== 'ERROR') continue
    t.match(event.object, { kind: 'Status', code: 410, reason: 'Expired' })
    break
  }
})
