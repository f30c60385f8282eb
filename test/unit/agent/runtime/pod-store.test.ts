/** What is on disk of pods. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { PodFailures } from '../../../../agent/runtime/pod-failures.ts'
import { PodStore } from '../../../../agent/runtime/pod-store.ts'
import { createLogger } from '../../../../kit/index.ts'
import type { Pod } from '../../../../protocol/kubernetes/index.ts'

const log = createLogger('test', 'silent')

const pod = (uid: string): Pod => ({
  metadata: { name: uid, namespace: 'default', uid },
  spec: { containers: [{ name: 'a', image: 'i' }] },
})

t.test(
  'a pod that is not wanted any more is not there after a crash either, and its files are found',
  async t => {
    const directory = await mkdtemp(path.join(tmpdir(), 'pod-store-'))
    t.teardown(() => rm(directory, { recursive: true }))
    const open = async () => {
      const store = new PodStore(directory, log)
      await store.load()
      return store
    }
    const first = await open()
    await first.put(pod('stays'))
    await first.put(pod('goes'))
    first.noteStatus('stays', { phase: 'Running' })
    t.equal(first.get('stays')?.status?.phase, 'Running')
    const failures = new PodFailures(uid => first.directoryOf(uid), log)
    await failures.set('stays', { reason: 'Evicted', message: 'm' })
    first.delete('goes')
    const second = await open()
    t.strictSame(second.uids(), ['stays'])
    t.strictSame(second.remains(), ['goes'])
    await second.clear('goes')
    t.strictSame(await readdir(directory), ['stays'])
    const again = new PodFailures(uid => second.directoryOf(uid), log)
    await again.load(second.uids())
    t.strictSame(again.get('stays'), { reason: 'Evicted', message: 'm' })
    // The same pod may be wanted again.
    await second.put(pod('stays'))
    second.delete('stays')
    await second.put(pod('stays'))
    t.strictSame((await open()).uids(), ['stays'])
  },
)
