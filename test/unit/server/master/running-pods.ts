/** Hosts for tests without any. */
import type { Test } from 'tap'
import { type Frozen, PODS, type Pod } from '../../../../server/master/apiserver/index.ts'
import type { TemporaryMaster } from './temporary-master.ts'

/**
 * Stands for the hosts: what is bound runs and is ready, what is being deleted ends. Images named `bad` never run, those
 * named `done` and `broken` end, well and not.
 */
export async function runPods(t: Test, { client }: Pick<TemporaryMaster, 'client'>): Promise<void> {
  const see = async (object: Frozen<Pod>) => {
    const { namespace = '', name, deletionTimestamp } = object.metadata
    const target = { namespace, name }
    if (deletionTimestamp !== undefined) {
      await client.delete(PODS, target, { gracePeriodSeconds: 0 }).catch(() => undefined)
      return
    }
    const bad = object.spec.containers.some(({ image }) => image === 'bad')
    if (bad || (object.spec.nodeName ?? '') === '' || object.status.phase === 'Running') return
    const { image } = object.spec.containers[0] ?? {}
    if (image === 'done' || image === 'broken') {
      const phase = image === 'done' ? 'Succeeded' : 'Failed'
      if (object.status.phase === phase) return
      await client
        .patch(PODS, target, { type: 'merge', body: { status: { phase } }, part: 'status' })
        .catch(() => undefined)
      return
    }
    const now = new Date().toISOString().replace(/\.\d+/, '')
    const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: now }]
    await client
      .patch(PODS, target, {
        type: 'merge',
        body: { status: { phase: 'Running', conditions } },
        part: 'status',
      })
      .catch(() => undefined)
  }
  const stop = await client.observe(PODS, {
    sync: pods => {
      for (const each of pods) void see(each)
    },
    changed: each => void see(each),
    removed: () => undefined,
  })
  t.teardown(stop)
}
