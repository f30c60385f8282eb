/** Nodes whose hosts are a stand-in: what is bound to them runs. */
import type { Test } from 'tap'
import { NODES } from '../../../server/master/apiserver/index.ts'
import { MASTERS_GROUP } from '../../../server/master/index.ts'
import { runPods } from '../../unit/server/master/running-pods.ts'
import type { MasterUnderTest } from './kubectl.ts'

const NAMES = ['n1', 'n2']

const node = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'kubernetes.io/hostname': name } },
  status: {
    allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
    capacity: { cpu: '4', memory: '8Gi', pods: '110' },
    conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }],
    addresses: [{ type: 'InternalIP', address: '192.0.2.10' }],
  },
})

/** Brings up the nodes `n1` and `n2` until the test ends. */
export async function standInHosts(t: Test, master: MasterUnderTest): Promise<void> {
  const client = await master.master.client('c1', { user: 'hosts', groups: [MASTERS_GROUP] })
  if (client === undefined) throw new Error('the cluster is not there')
  await runPods(t, { client })
  await master.ok('create', '-f', await master.writeManifest('nodes.yaml', ...NAMES.map(node)))
  // A host that says nothing for 40 seconds gets no pods.
  const beat = setInterval(() => {
    for (const name of NAMES) {
      const lastHeartbeatTime = new Date().toISOString().replace(/\.\d+/, '')
      const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime }]
      void client.patch(
        NODES,
        { namespace: '', name },
        { type: 'merge', part: 'status', body: { status: { conditions } } },
      )
    }
  }, 10_000)
  t.teardown(() => clearInterval(beat))
}
