/** Which pods a host does not take because others have their ports. */
import t from 'tap'
import { hostPortsOf, portConflict } from '../../../../agent/runtime/host-ports.ts'
import type { ContainerPort, Pod } from '../../../../protocol/kubernetes/index.ts'

function pod(uid: string, port: Partial<ContainerPort>, more: Partial<Pod['metadata']> = {}): Pod {
  return {
    metadata: { name: uid, uid, creationTimestamp: '2026-01-01T00:00:00Z', ...more },
    spec: { containers: [{ name: 'a', image: 'i', ports: [{ containerPort: 80, ...port }] }] },
  }
}

const everywhere = pod('a', { hostPort: 8000 })
const nobody = () => false

t.test('addresses and protocols that are in each other’s way', async t => {
  const refuses = (port: Partial<ContainerPort>, other: Pod) =>
    portConflict(pod('b', port), [other], nobody)?.reason === 'NodePorts'
  t.ok(refuses({ hostPort: 8000 }, everywhere))
  t.ok(refuses({ hostPort: 8000, hostIP: '192.0.2.1' }, everywhere))
  t.ok(refuses({ hostPort: 8000, hostIP: '0.0.0.0', protocol: 'TCP' }, everywhere))
  t.notOk(refuses({ hostPort: 8000, protocol: 'UDP' }, everywhere))
  t.notOk(refuses({ hostPort: 8001 }, everywhere))
  t.notOk(refuses({}, everywhere))
  const one = pod('a', { hostPort: 8000, hostIP: '192.0.2.1' })
  t.ok(refuses({ hostPort: 8000, hostIP: '192.0.2.1' }, one))
  t.ok(refuses({ hostPort: 8000 }, one))
  t.notOk(refuses({ hostPort: 8000, hostIP: '192.0.2.2' }, one))
})

t.test('who comes first, and who gives way', async t => {
  const late = pod('b', { hostPort: 8000 })
  t.ok(portConflict(late, [everywhere, late], nobody))
  t.equal(
    portConflict(everywhere, [everywhere, late], nobody),
    undefined,
    'the older of two new ones is taken',
  )
  t.ok(
    portConflict(everywhere, [late], uid => uid === 'b'),
    'what runs was taken before',
  )
  const ending = pod('a', { hostPort: 8000 }, { deletionTimestamp: '2026-01-01T00:00:00Z' })
  t.equal(
    portConflict(late, [ending], () => true),
    undefined,
    'what ends is waited for',
  )
  for (const phase of ['Succeeded', 'Failed'] as const)
    t.equal(portConflict(late, [{ ...everywhere, status: { phase } } as Pod], nobody), undefined)
  const fromFile = pod('b', { hostPort: 8000 }, { annotations: { 'kubernetes.io/config.source': 'file' } })
  t.equal(portConflict(fromFile, [everywhere], nobody), undefined, 'static pods wait')
})

t.test('the ports of a pod', async t => {
  const { spec } = pod('a', { hostPort: 0 })
  const ports = [{ containerPort: 81, hostPort: 8001 }]
  const initContainers: Pod['spec']['initContainers'] = [
    { name: 'first', image: 'i', ports },
    { name: 'beside', image: 'i', ports: [{ containerPort: 82, hostPort: 8002 }], restartPolicy: 'Always' },
  ]
  const numbers = (more: Partial<Pod['spec']>) =>
    hostPortsOf({ ...everywhere, spec: { ...spec, ...more } }).map(({ hostPort }) => hostPort)
  t.strictSame(numbers({ initContainers }), [8002])
  t.strictSame(
    numbers({ hostNetwork: true, containers: [{ name: 'a', image: 'i', ports: [{ containerPort: 80 }] }] }),
    [80],
  )
})
