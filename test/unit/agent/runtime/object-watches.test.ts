/** Objects of pods are followed one by one: shared, bounded, and let go. */
import { EventEmitter, on, once } from 'node:events'
import t from 'tap'
import { type ObjectPlace, ObjectWatches } from '../../../../agent/runtime/object-watches.ts'
import { createLogger } from '../../../../kit/index.ts'
import type { KubernetesObject, WatchEvent } from '../../../../protocol/kubernetes/index.ts'

const log = createLogger('test', 'silent')

const place = (name: string): ObjectPlace => ({ kind: 'configmaps', namespace: 'n', name })

const object = (name: string, version: string): KubernetesObject => ({
  metadata: { name, namespace: 'n', resourceVersion: version },
})

/** An API server with single objects, as far as lists and watches go. */
function makeServer() {
  const changes = new EventEmitter()
  const objects = new Map<string, KubernetesObject>()
  const lists: string[] = []
  const open = new Set<string>()
  const nameOf = (path: string, query: Record<string, string | undefined>) => {
    t.equal(path, '/api/v1/namespaces/n/configmaps')
    return (query.fieldSelector ?? '').replace('metadata.name=', '')
  }
  const client = {
    list: async (path: string, query: Record<string, string | undefined>) => {
      const name = nameOf(path, query)
      lists.push(name)
      const found = objects.get(name)
      return { metadata: { resourceVersion: '1' }, items: found === undefined ? [] : [found] }
    },
    async *watch(path: string, query: Record<string, string | undefined>, signal: AbortSignal) {
      const name = nameOf(path, query)
      open.add(name)
      changes.emit('open', name)
      try {
        for await (const [event] of on(changes, name, { signal })) yield event as WatchEvent<KubernetesObject>
      } finally {
        open.delete(name)
      }
    },
  }
  const put = (name: string, version: string) => {
    objects.set(name, object(name, version))
    changes.emit(name, { type: 'MODIFIED', object: object(name, version) })
  }
  return { client: client as never, put, objects, lists, open, changes }
}

function makeWatches(server: ReturnType<typeof makeServer>, limit?: number) {
  const seen: string[] = []
  const told = new EventEmitter()
  const watches = new ObjectWatches({
    client: server.client,
    onObject: ({ name }, found) => seen.push(`${name} ${found?.metadata.resourceVersion ?? 'absent'}`),
    onChange: uid => told.emit('change', uid),
    log,
    ...(limit === undefined ? {} : { limit }),
  })
  t.teardown(() => watches.stop())
  return { watches, seen, told }
}

t.test('pods share the watch of an object, and it ends with the last of them', async t => {
  const server = makeServer()
  server.objects.set('a', object('a', '1'))
  const { watches, seen, told } = makeWatches(server)
  t.notOk(watches.isFollowed(place('a')))
  watches.follow('u1', [place('a')])
  watches.follow('u2', [place('a'), place('none')])
  while (server.open.size < 2) await once(server.changes, 'open')
  t.strictSame(server.lists, ['a', 'none'])
  t.ok(watches.isFollowed(place('a')))
  t.strictSame(seen.toSorted(), ['a 1', 'none absent'], 'that there is nothing is known, too')
  const users: string[] = []
  told.on('change', uid => users.push(uid))
  server.put('a', '2')
  while (users.length < 2) await once(told, 'change')
  t.strictSame(users, ['u1', 'u2'])
  t.equal(seen.at(-1), 'a 2')
  watches.follow('u1', [])
  t.ok(server.open.has('a'), 'one still uses it')
  watches.follow('u2', [place('none')])
  await watches.stop()
  t.strictSame([...server.open], [])
})

t.test('beyond the limit nothing is followed until there is room', async t => {
  const server = makeServer()
  const { watches } = makeWatches(server, 1)
  watches.follow('u1', [place('a')])
  watches.follow('u2', [place('b')])
  while (server.open.size < 1) await once(server.changes, 'open')
  t.strictSame(server.lists, ['a'])
  watches.follow('u1', [])
  watches.follow('u2', [place('b')])
  while (!server.open.has('b')) await once(server.changes, 'open')
  t.strictSame(server.lists, ['a', 'b'])
})

t.test('after an expired watch everything is read anew', async t => {
  const server = makeServer()
  server.objects.set('a', object('a', '1'))
  const { watches, seen } = makeWatches(server)
  watches.follow('u', [place('a')])
  await once(server.changes, 'open')
  server.objects.delete('a')
  const again = once(server.changes, 'open')
  server.changes.emit('a', { type: 'ERROR', object: { kind: 'Status', code: 410 } })
  server.changes.emit('a', { type: 'BOOKMARK', object: object('a', '9') })
  await again
  t.equal(seen.at(-1), 'a absent')
})
