/** The pods that endpoint slices are made of, remembered. */
import t from 'tap'
import { PodIndex } from '../../../../server/master/controllers/pod-index.ts'
import type { Frozen, Pod } from '../../../../server/master/index.ts'

function pod(name: string, podIP: string): Frozen<Pod> {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'shop', uid: name } },
    spec: { restartPolicy: 'Always', containers: [{ name: 'main', image: 'x' }] },
    status: { podIP, phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  }
}

const names = (pods: readonly Frozen<Pod>[]) => pods.map(({ metadata }) => metadata.name)

t.test('reads a namespace once, then follows it', async t => {
  const index = new PodIndex()
  let reads = 0
  const list = async () => {
    reads += 1
    return [pod('a', '10.42.0.1')]
  }
  t.same(names(await index.pods('shop', list)), ['a'])
  index.put(pod('b', '10.42.0.2'))
  index.remove(pod('a', ''))
  const [left] = await index.pods('shop', list)
  t.match(left, { metadata: { name: 'b', uid: 'b' }, status: { podIP: '10.42.0.2', phase: 'Running' } })
  t.equal(reads, 1)
  index.forget('shop')
  t.same(names(await index.pods('shop', list)), ['a'])
  t.equal(reads, 2)
})

t.test('a list that a change overtook is not remembered', async t => {
  const index = new PodIndex()
  const overtaken = async () => {
    index.remove(pod('a', ''))
    return [pod('a', '10.42.0.1')]
  }
  await index.pods('shop', overtaken)
  t.same(names(await index.pods('shop', async () => [])), [], 'it is read again')
})
