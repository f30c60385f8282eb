import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import {
  bootstrapKubeconfig,
  type ContainerRuntime,
  hasDocker,
  kubeletArguments,
  kubeletConfiguration,
  kubeletFiles,
} from '../../../../agent/kubelet/configuration.ts'
import { KubeletProgramFinder, minorVersion } from '../../../../agent/kubelet/kubelet-program.ts'
import { createLogger } from '../../../../kit/index.ts'

const files = kubeletFiles('/data/kubelet')
const host = {
  nodeName: 'h1',
  address: '192.0.2.1',
  cgroupDriver: 'systemd',
  cgroupVersion: '2',
  cniConfigurations: '/etc/cni/net.d',
  cniPlugins: '/opt/cni/bin',
  runtime: { kind: 'cri' as const, socket: '/run/cri-dockerd.sock' },
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
    kubeletArguments(host, files, 36).filter(each => each.startsWith('--host') || each.startsWith('--node')),
    ['--hostname-override=h1', '--node-ip=192.0.2.1'],
  )
})

t.test('older ones are told of their runtime on the command line', async t => {
  const added = (runtime: ContainerRuntime, minor: number | undefined) =>
    kubeletArguments({ ...host, runtime }, files, minor).slice(
      kubeletArguments(host, files, undefined).length,
    )
  t.strictSame(added(host.runtime, 27), [])
  t.strictSame(added(host.runtime, 26), ['--container-runtime-endpoint=unix:///run/cri-dockerd.sock'])
  const docker = { kind: 'docker' as const, socket: '/var/run/docker.sock', pauseImage: 'drover/pause:1' }
  t.strictSame(added(docker, 20), [
    '--docker-endpoint=unix:///var/run/docker.sock',
    '--network-plugin=cni',
    '--cni-conf-dir=/etc/cni/net.d',
    '--cni-bin-dir=/opt/cni/bin',
    '--cni-cache-dir=/data/kubelet/cni',
    '--pod-infra-container-image=drover/pause:1',
  ])
  t.notOk('containerRuntimeEndpoint' in kubeletConfiguration({ ...host, runtime: docker }, files))
  t.strictSame([23, 24, undefined].map(hasDocker), [true, false, false])
})

t.test('which version one is', async t => {
  t.equal(minorVersion('Kubernetes v1.20.2\n'), 20)
  t.equal(minorVersion('Kubernetes v1.33.1+k3s1\n'), 33)
  for (const text of ['', 'kubelet 1.20', 'Kubernetes v2.0.0']) t.equal(minorVersion(text), undefined)

  const directory = t.testdir()
  const program = path.join(directory, 'kubelet')
  const finder = new KubeletProgramFinder(createLogger('test', 'silent'), [directory])
  await t.rejects(finder.find(), { code: 'KubeletMissing' })
  writeFileSync(program, '#!/bin/sh\necho Kubernetes v1.20.2\n', { mode: 0o755 })
  t.strictSame(await finder.find(), { file: program, minor: 20 })
  writeFileSync(program, '#!/bin/sh\necho Kubernetes v1.31.12\n')
  t.strictSame(await finder.find(), { file: program, minor: 31 }, 'another one was installed')
  writeFileSync(program, '#!/bin/sh\nexit 7\n')
  t.strictSame(await finder.find(), { file: program, minor: undefined })
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
