/** A kubelet whose pods run on containerd: Drover gives them their network, and knows nothing else of them. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { DATA, Fleet, until } from '../../lab/fleet.ts'
import { missingKubelet } from '../../lab/kubelet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { KubeletHost } from '../kubelet/kubelet-host.ts'
import { missingKubectl } from '../master/kubectl.ts'

// Before the network is left: it may have to be built.
const skip = (await missingKubectl()) || (await missingKubelet()) || inPrivateNetwork(import.meta.filename)

t.setTimeout(600_000)

const SOCKET = '/run/containerd/containerd.sock'
/** Kubelets of before 1.24 take Docker unless they are told otherwise. */
const RUNTIME = ['--container-runtime=remote', `--container-runtime-endpoint=unix://${SOCKET}`]

const CONTAINERD = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "${SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/drover/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
`

const pod = (name: string, nodeName: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: 'web' } },
  spec: {
    nodeName,
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: 'main',
        image: 'drover/busybox:1',
        command: [
          'sh',
          '-c',
          'mkdir -p /www; hostname > /www/index.html; echo up; echo warned >&2; httpd -f -p 127.0.0.1:8081 -h /www & httpd -f -p 8080 -h /www',
        ],
        ports: [{ containerPort: 8080 }],
        readinessProbe: { httpGet: { port: 8080, path: '/' }, periodSeconds: 1 },
      },
    ],
  },
})

const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
}

t.test('a kubelet on containerd', { skip, timeout: 580_000 }, async t => {
  const fleet = await Fleet.start(t, 'containerd', 2)
  const host = await fleet.join(2)
  const member = new KubeletHost(fleet, host)
  const kubectl = (...args: readonly string[]) => member.kubectl(...args)
  const shell = (script: string) => member.shell(script)
  const ask = (name: string, url: string) => member.ask(name, url)
  const linksBefore = await member.links()

  await t.test('joins, and is ready', async t => {
    await member.install('/etc/containerd/config.toml', CONTAINERD)
    host.start('containerd', ['--config', '/etc/containerd/config.toml'], 'containerd')
    await until(
      'containerd answers',
      30_000,
      async () => (await shell('ctr version > /dev/null 2>&1 && echo yes')) === 'yes',
    )
    await host.run('docker', ['save', 'drover/busybox:1', 'drover/pause:1', '-o', '/run/images.tar'])
    await host.run('ctr', ['-n', 'k8s.io', 'images', 'import', '--snapshotter', 'native', '/run/images.tar'])
    await member.installKubelet(...RUNTIME)
    await member.endAgent()
    member.startAgent()
    const isReady = async () => / Ready .*v1\.20\./.test(await kubectl('get', 'node', 'h2'))
    t.ok(await until('the node is ready', 90_000, isReady))
    t.match(await kubectl('get', 'node', 'h2', '-o', 'wide'), 'containerd://')
  })

  await t.test('its pods have addresses of our network, and reach each other', async t => {
    for (const object of [pod('far', 'h2'), pod('near', 'h1'), SERVICE]) await member.apply(object)
    await kubectl('wait', '--for=condition=Ready', 'pod/far', 'pod/near', '--timeout=60s')
    const addressOf = (name: string) => kubectl('get', 'pod', name, '-o', 'jsonpath={.status.podIP}')
    const [far, near] = [await addressOf('far'), await addressOf('near')]
    t.match(far, /^10\.42\./)
    t.equal(await ask('near', `http://${far}:8080/`), 'far')
    t.equal(await ask('far', `http://${near}:8080/`), 'near')
    await until('both answer for the service', 30_000, async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, () => ask('far', 'http://web/')))
      return answers.includes('far') && answers.includes('near')
    })
  })

  await t.test('logs', async t => {
    t.match((await kubectl('logs', 'far')).split('\n').toSorted().join(' ').trim(), 'up warned')
    t.match(await kubectl('logs', 'far', '--tail', '1', '--limit-bytes', '2'), /^(up|wa)$/)
    t.match(await kubectl('logs', 'far', '--timestamps'), /^\d{4}-\d\d-\d\dT.* up$/m)
    await t.rejects(
      fleet.kubectl(['logs', 'far', '--previous']),
      /previous terminated container .* not found/,
    )
    const following = fleet.first.start(
      'kubectl',
      ['--kubeconfig', `${DATA}/kubeconfig`, 'logs', '--follow', 'far'],
      'follow',
    )
    await kubectl('exec', 'far', '--', 'sh', '-c', 'echo more > /proc/1/fd/1')
    const log = path.join(fleet.first.directory, 'follow.log')
    await until('it is followed', 20_000, async () => (await readFile(log, 'utf8')).includes('more'))
    following.kill()
  })

  await t.test('commands, their ends, and files', async t => {
    t.equal((await fleet.kubectl(['exec', '-i', 'far', '--', 'cat'], { input: 'hello' })).stdout, 'hello')
    const large = 'x'.repeat(3_000_000)
    t.equal(
      (await fleet.kubectl(['exec', '-i', 'far', '--', 'cat'], { input: large })).stdout.length,
      large.length,
    )
    const failing = ['exec', 'far', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7']
    const { exitCode, stdout, stderr } = await fleet.kubectl(failing, { acceptedExitCodes: [7] })
    t.strictSame([exitCode, stdout], [7, 'out\n'])
    t.match(stderr, 'err')
    await t.rejects(fleet.kubectl(['exec', 'far', '--', 'nothing-of-that-name']), /nothing-of-that-name/)
    const websocket = ['exec', '-i', 'far', '--', 'wc', '-c']
    t.equal((await fleet.kubectl(websocket, { input: large })).stdout.trim(), String(large.length))
  })

  await t.test('ports', async t => {
    const forward = fleet.first.start(
      'kubectl',
      ['--kubeconfig', `${DATA}/kubeconfig`, 'port-forward', 'far', '28080:8080', '28081:8081'],
      'forward',
    )
    const get = (port: number) =>
      fleet.first.run('busybox', ['wget', '-q', '-O', '-', `http://127.0.0.1:${port}/`], {
        acceptedExitCodes: [0, 1],
      })
    for (const port of [28080, 28081]) {
      const answer = await until(`port ${port} is forwarded`, 20_000, async () => {
        const { exitCode, stdout } = await get(port)
        return exitCode === 0 && stdout
      })
      t.equal(answer.trim(), 'far', `port ${port}`)
    }
    forward.kill()
    const [{ id = '' } = {}] = await fleet.list('clusters')
    await fleet.first.run('sh', ['-c', 'echo "127.0.0.1 $1.k8s.localhost" >> /etc/hosts', 'sh', id])
    const raw = '/api/v1/namespaces/default/pods/far:8080/proxy/'
    t.equal((await kubectl(`--server=https://${id}.k8s.localhost:8443`, 'get', '--raw', raw)).trim(), 'far')
  })

  await t.test('nothing is left of pods that are gone', async t => {
    await kubectl('delete', 'pod', 'far', '--timeout=60s')
    await until('its link is gone', 20_000, async () => (await member.links()) === linksBefore)
    await until(
      'its containers are gone',
      60_000,
      async () => (await shell('ctr -n k8s.io tasks ls -q')) === '',
    )
    await member.endAgent()
    await host.run('./drover', ['agent', '--uninstall'], { deadline: 60_000 })
    t.notMatch(await shell('ls -A /etc/cni/net.d'), '10-drover')
    t.notMatch(await shell('iptables-save'), /KUBE-|DROVER/i)
  })
})
