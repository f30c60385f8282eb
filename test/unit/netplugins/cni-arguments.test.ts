import t from 'tap'
import { wishesOfLabels, wishesOfPod } from '../../../agent/runtime/network-wishes.ts'
import { formatArguments, readArguments } from '../../../netplugins/cni/arguments.ts'
import { ProcessGate } from '../../../netplugins/cni/process-gate.ts'

t.test('CNI_ARGS', async t => {
  t.strictSame(readArguments(''), {})
  t.strictSame(readArguments('IP=10.42.0.9;MAC=02:00:00:00:00:01'), {
    address: '10.42.0.9',
    mac: '02:00:00:00:00:01',
  })
  t.strictSame(
    readArguments(
      'IgnoreUnknown=1;DOCKER=true;RancherContainerUUID=x;IPAddress=10.42.0.9/16;MACAddress=02-00-00-00-00-01;LinkMTUOverhead=98',
    ),
    { address: '10.42.0.9/16', mac: '02-00-00-00-00-01', mtuOverhead: 98 },
  )
  t.strictSame(readArguments('K8S_POD_NAMESPACE=default;K8S_POD_NAME=web=1;LinkMTUOverhead='), {
    pod: { namespace: 'default', name: 'web=1' },
  })
  t.strictSame(readArguments('FOO=1;IgnoreUnknown=true'), {})
  for (const text of ['FOO=1', 'IP', '=x', 'IgnoreUnknown=0;FOO=1', 'LinkMTUOverhead=many']) {
    t.throws(() => readArguments(text), { code: 'InvalidCniEnvironment' }, text)
  }
  t.equal(formatArguments({ A: 'b', C: 'd;e', F: '' }), 'IgnoreUnknown=1;A=b')
})

t.test('what labels ask of the network', async t => {
  t.strictSame(wishesOfLabels({}), {})
  t.strictSame(
    wishesOfLabels({
      'io.rancher.container.ip': '10.42.1.2/16',
      'io.rancher.container.mac_address': '02-aa-00-00-00-01',
    }),
    { address: '10.42.1.2', mac: '02:aa:00:00:00:01' },
  )
  t.match(
    wishesOfLabels({
      'io.rancher.container.ip': '10.42.1.2',
      'io.rancher.container.requested_ip': '10.42.1.3',
    }),
    {
      address: '10.42.1.3',
    },
  )
  const pod = {
    metadata: {
      name: 'web',
      namespace: 'shop',
      uid: 'u',
      annotations: {
        'kubernetes.io/egress-bandwidth': '10M',
        'kubernetes.io/ingress-bandwidth': 'fast',
        'drover.io/container-labels': JSON.stringify({
          web: { 'io.rancher.container.requested_ip': '10.42.1.3' },
        }),
      },
    },
    spec: { containers: [] },
  }
  t.strictSame(wishesOfPod(pod as never, 'box'), {
    address: '10.42.1.3',
    bandwidth: { egressRate: 10_000_000 },
    arguments: {
      K8S_POD_NAMESPACE: 'shop',
      K8S_POD_NAME: 'web',
      K8S_POD_INFRA_CONTAINER_ID: 'box',
      K8S_POD_UID: 'u',
    },
  })
})

t.test('few plugins at a time, in order', async t => {
  const gate = new ProcessGate(2)
  const order: number[] = []
  let running = 0
  let most = 0
  const work = (n: number) =>
    gate.run(async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise(resolve => setImmediate(resolve))
      order.push(n)
      running -= 1
      if (n === 3) throw new Error('three')
      return n
    })
  const results = await Promise.allSettled([0, 1, 2, 3, 4, 5].map(work))
  t.equal(most, 2)
  t.strictSame(order, [0, 1, 2, 3, 4, 5])
  t.equal(results.filter(result => result.status === 'rejected').length, 1)
})
