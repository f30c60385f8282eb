import t from 'tap'
import { planDirectory } from '../../../../agent/volumes/host-volumes.ts'
import type { PersistentVolume } from '../../../../protocol/kubernetes/index.ts'

const NAME = 'pvc-0b9a'

function volume(
  { path = `/srv/volumes/${NAME}`, name = NAME, policy = 'Delete' } = {},
  phase = 'Bound',
  metadata: object = {},
): PersistentVolume {
  return {
    metadata: {
      name,
      annotations: { 'pv.kubernetes.io/provisioned-by': 'drover.io/local' },
      ...metadata,
    },
    spec: { hostPath: { path, type: 'Directory' }, persistentVolumeReclaimPolicy: policy },
    status: { phase },
  }
}

t.test('what becomes of the directory of a volume', async t => {
  const place = `/srv/volumes/${NAME}`
  for (const phase of ['Pending', 'Available', 'Bound'])
    t.strictSame(planDirectory(volume({}, phase)), { type: 'make', place })
  t.strictSame(planDirectory(volume({}, 'Released')), { type: 'remove', place })
  t.strictSame(planDirectory(volume({ policy: 'Retain' }, 'Released')), { type: 'leave' })
  t.strictSame(planDirectory(volume({}, 'Released', { deletionTimestamp: 'now' })), { type: 'leave' })
  t.strictSame(planDirectory(volume({ path: '/etc' }, 'Released', { annotations: {} })), { type: 'leave' })
})

t.test('nothing but what was made for a volume is made or removed', async t => {
  for (const path of ['/etc', '', 'volumes/pvc-0b9a', '/srv/../pvc-0b9a', '/srv/pvc-other'])
    t.throws(() => planDirectory(volume({ path }, 'Released')), { code: 'UnsafePath' }, path)
  t.throws(() => planDirectory(volume({ name: 'etc', path: '/etc' }, 'Released')), { code: 'UnsafePath' })
})
