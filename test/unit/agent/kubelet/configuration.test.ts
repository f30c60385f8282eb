import t from 'tap'
import { parse } from 'yaml'
import {
  bootstrapKubeconfig,
  kubeletArguments,
  kubeletConfiguration,
  kubeletFiles,
} from '../../../../agent/kubelet/configuration.ts'

const files = kubeletFiles('/data/kubelet')
const host = {
  nodeName: 'h1',
  address: '192.0.2.1',
  cgroupDriver: 'systemd',
  cgroupVersion: '2',
  runtimeSocket: '/run/cri-dockerd.sock',
  resolvConf: '/etc/resolv.conf',
  staticPods: '/data/static-pods',
}

t.test('what a kubelet is told', async t => {
  t.match(kubeletConfiguration(host, files), {
    staticPodPath: '/data/static-pods',
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    contentType: 'application/json',
    cgroupDriver: 'systemd',
    containerRuntimeEndpoint: 'unix:///run/cri-dockerd.sock',
    clusterDNS: ['169.254.169.250'],
    clusterDomain: 'cluster.local',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: '/data/kubelet/client-ca.crt' },
    },
    authorization: { mode: 'Webhook' },
    rotateCertificates: true,
    serverTLSBootstrap: true,
  })
  t.notOk('failCgroupV1' in kubeletConfiguration(host, files))
  t.match(kubeletConfiguration({ ...host, cgroupVersion: '1' }, files), { failCgroupV1: false })
  t.strictSame(
    kubeletArguments(host, files).filter(each => each.startsWith('--host') || each.startsWith('--node')),
    ['--hostname-override=h1', '--node-ip=192.0.2.1'],
  )
})

t.test('by whom it is brought in', async t => {
  const text = bootstrapKubeconfig({
    url: 'https://s:8443/k8s/clusters/1c1',
    authority: 'PEM',
    bearerToken: 'a:b',
  })
  t.match(parse(text), {
    clusters: [
      {
        cluster: {
          server: 'https://s:8443/k8s/clusters/1c1',
          'certificate-authority-data': Buffer.from('PEM').toString('base64'),
        },
      },
    ],
    users: [{ user: { token: 'a:b' } }],
  })
})
