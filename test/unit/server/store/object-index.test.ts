/** The index of objects keeps its order through any changes, whether it is listed between them or not. */
import fc from 'fast-check'
import t from 'tap'
import type { StoredObject } from '../../../../server/store/index.ts'
import { ObjectIndex } from '../../../../server/store/object-index.ts'

function objectOf(namespace: string, name: string, revision = 1): StoredObject {
  return { key: { kind: 'pods', namespace, name }, revision, createdRevision: 1, json: '' }
}

const naming = fc.tuple(fc.constantFrom('', 'a', 'b'), fc.stringMatching(/^[a-d]{1,2}$/))
const change = fc.oneof(
  fc.record({ type: fc.constant('put' as const), naming }),
  fc.record({ type: fc.constant('remove' as const), naming }),
  fc.record({ type: fc.constant('list' as const) }),
)

t.test('like sorting everything each time', t => {
  const property = fc.property(fc.array(change, { maxLength: 100 }), changes => {
    const index = new ObjectIndex()
    const model = new Map<string, StoredObject>()
    for (const [revision, change] of changes.entries()) {
      if (change.type === 'list') {
        const expected = [...model.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object)
        if (index.list('pods').some((object, at) => object !== expected[at])) return false
        if (index.list('pods').length !== expected.length || index.count('pods') !== expected.length)
          return false
        continue
      }
      const object = objectOf(...change.naming, revision)
      const text = change.naming.join('\n')
      if (change.type === 'put') {
        index.put(object)
        model.set(text, object)
      } else {
        index.remove(object.key)
        model.delete(text)
      }
    }
    return true
  })
  fc.assert(property, { numRuns: 300 })
  t.end()
})

t.test('objects that come and go unlisted leave nothing behind', t => {
  const index = new ObjectIndex()
  index.put(objectOf('', 'stays'))
  for (let turn = 0; turn < 10_000; turn += 1) {
    index.put(objectOf('', `n${turn}`))
    if (turn > 2) index.remove(objectOf('', `n${turn - 3}`).key)
  }
  t.same(
    index.list('pods').map(({ key }) => key.name),
    ['n9997', 'n9998', 'n9999', 'stays'],
  )
  t.equal(index.count('pods'), 4)
  t.end()
})

t.test('neighbours share the strings of their keys', t => {
  const index = new ObjectIndex()
  index.put(objectOf('default', 'a'))
  const key = index.ownKey({ kind: 'pods', namespace: 'default', name: 'b' })
  t.same(key, { kind: 'pods', namespace: 'default', name: 'b' })
  t.same(index.ownKey({ kind: 'new', namespace: 'n', name: 'b' }), { kind: 'new', namespace: 'n', name: 'b' })
  t.end()
})

t.test('an unchanged list is the same array', t => {
  const index = new ObjectIndex()
  index.put(objectOf('default', 'a'))
  t.equal(index.list('pods', 'default'), index.list('pods', 'default'))
  t.equal(index.list('pods'), index.list('pods', 'default'), 'one namespace needs no second one')
  t.end()
})
