import t from 'tap'
import { managedResolvConf, wantsManagedNetwork } from '../../../../agent/runtime/managed-containers.ts'

t.test('resolv.conf: our server first, the others kept as comments', async t => {
  const text = 'search example.org\nnameserver 192.0.2.53\noptions ndots:0\n'
  const ours = managedResolvConf(text, undefined)
  t.equal(
    ours,
    'search discover.internal rancher.internal example.org\n# nameserver 192.0.2.53\noptions ndots:0\nnameserver 169.254.169.250\n',
  )
  t.equal(managedResolvConf(ours, undefined), ours, 'twice is once')
  t.match(
    managedResolvConf(text, 'service_last'),
    /^search example\.org discover\.internal rancher\.internal$/m,
  )
  t.match(managedResolvConf(text, 'None'), /^search example\.org$/m)
  t.equal(
    managedResolvConf('', undefined),
    'search discover.internal rancher.internal\nnameserver 169.254.169.250\n',
  )
})

t.test('who asks for the managed network', async t => {
  const label = { 'io.rancher.container.network': 'true' }
  t.ok(wantsManagedNetwork({ labels: label, networkMode: 'none' }))
  t.ok(wantsManagedNetwork({ labels: { 'io.rancher.cni.network': 'x' }, networkMode: 'default' }))
  t.notOk(wantsManagedNetwork({ labels: {}, networkMode: 'none' }))
  t.notOk(wantsManagedNetwork({ labels: label, networkMode: 'host' }))
  t.notOk(wantsManagedNetwork({ labels: label, networkMode: 'container:x' }))
  t.notOk(wantsManagedNetwork({ labels: { ...label, 'io.kubernetes.pod.uid': 'u' }, networkMode: 'none' }))
})
