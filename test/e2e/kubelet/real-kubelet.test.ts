/**
 * A kubelet as Kubernetes releases it runs the pods of a host: it joins, calls our CNI plugin for pods on Docker, and serves
 * what clients ask of it.
 */
import t from 'tap'
import { DATA, Fleet, until } from '../../lab/fleet.ts'
import { missingKubelet } from '../../lab/kubelet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { missingKubectl } from '../master/kubectl.ts'
import { KubeletHost } from './kubelet-host.ts'

// Before the network is left: it may have to be built.
const skip = (await missingKubectl()) || (await missingKubelet()) || inPrivateNetwork(import.meta.filename)

t.setTimeout(600_000)

/** Containers of a kubelet are to outlive others when memory is scarce, which not every machine lets anybody ask for. */
const RUNC = `#!/bin/sh
previous=
for argument in "$@"; do
  if [ "$previous" = --bundle ]; then
    jq 'if (.process.oomScoreAdj // 0) < 0 then .process.oomScoreAdj = 0 else . end' \\
      "$argument/config.json" > "$argument/config.changed" && mv "$argument/config.changed" "$argument/config.json"
  fi
  previous=$argument
done
exec runc "$@"
`

const ENGINE = JSON.stringify({
  runtimes: { tolerant: { path: '/opt/bin/tolerant-runc' } },
  'default-runtime': 'tolerant',
})

const web = (name: string, nodeName: string, replicas: number) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'web', name } },
    template: {
      metadata: {
        labels: { app: 'web', name },
        annotations: { 'kubernetes.io/egress-bandwidth': '100M' },
      },
      spec: {
        nodeSelector: { 'kubernetes.io/hostname': nodeName },
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'main',
            image: 'drover/busybox:1',
            command: [
              'sh',
              '-c',
              'mkdir -p /www; hostname > /www/index.html; echo up; httpd -f -p 8080 -h /www',
            ],
            ports: [{ containerPort: 8080, ...(nodeName === 'h2' ? { hostPort: 18080 } : {}) }],
            readinessProbe: { httpGet: { port: 8080, path: '/' }, periodSeconds: 1 },
          },
        ],
      },
    },
  },
})

const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
}

t.test('a real kubelet', { skip, timeout: 580_000 }, async t => {
  const fleet = await Fleet.start(t, 'real-kubelet', 2)
  const host = await fleet.join(2)
  const member = new KubeletHost(fleet, host)
  const kubectl = (...args: readonly string[]) => member.kubectl(...args)
  const shell = (script: string) => member.shell(script)
  const ask = (pod: string, url: string) => member.ask(pod, url)
  const kubeletPid = async () =>
    (await shell(`cat ${DATA}/agent/kubelet/process 2> /dev/null`)).split(' ')[0] ?? ''
  const podsOf = async (name: string) =>
    JSON.parse(await kubectl('get', 'pods', '-l', `name=${name}`, '-o', 'json')).items as {
      metadata: { name: string }
      status: { podIP?: string; containerStatuses?: { containerID: string }[] }
    }[]
  const linksBefore = await member.links()

  await t.test('joins, and is ready', async t => {
    await member.install('/opt/bin/tolerant-runc', RUNC)
    await member.install('/etc/docker/daemon.json', ENGINE)
    await member.installKubelet()
    await member.endAgent()
    await host.stopDocker()
    await host.startDocker()
    member.startAgent()
    const node = await until('the node is ready', 90_000, async () => {
      const text = await kubectl('get', 'node', 'h2')
      return / Ready .*v1\.20\./.test(text) && text
    })
    t.ok(node)
    t.match(await kubectl('get', 'csr'), /kube-apiserver-client-kubelet\s+system:node:h2\s.*Approved,Issued/)
  })

  await t.test('its pods have addresses of our network, and reach each other', async t => {
    for (const object of [web('far', 'h2', 1), web('near', 'h1', 1), SERVICE]) await member.apply(object)
    for (const name of ['far', 'near'])
      await kubectl('rollout', 'status', `deployment/${name}`, '--timeout=60s')
    const [far] = await podsOf('far')
    const [near] = await podsOf('near')
    if (far === undefined || near === undefined) throw new Error('there are no pods')
    const [farName, nearName] = [far.metadata.name, near.metadata.name]
    t.match(far.status.podIP, /^10\.42\./)
    t.match(far.status.containerStatuses?.[0]?.containerID, /^docker:/)
    t.equal(await ask(farName, `http://${near.status.podIP}:8080/`), nearName)
    t.equal(await ask(nearName, `http://${far.status.podIP}:8080/`), farName)

    await until('both answer for the service', 30_000, async () => {
      const answers = await Promise.all(Array.from({ length: 8 }, () => ask(farName, 'http://web/')))
      return answers.includes(farName) && answers.includes(nearName)
    })
    t.equal(await ask(nearName, `http://${host.address}:18080/`), farName, 'a port of its host')
    const self = 'http://169.254.169.250/latest/self/container/primary_ip'
    await until('metadata know it', 20_000, async () => (await ask(farName, self)) === far.status.podIP)
  })

  await t.test('logs, commands and ports', async t => {
    const [far] = await podsOf('far')
    const name = far?.metadata.name ?? ''
    t.equal(await kubectl('logs', name), 'up\n')
    t.equal((await fleet.kubectl(['exec', '-i', name, '--', 'cat'], { input: 'hello' })).stdout, 'hello')
    const forward = fleet.first.start(
      'kubectl',
      ['--kubeconfig', `${DATA}/kubeconfig`, 'port-forward', name, '28080:8080'],
      'forward',
    )
    const { stdout } = await until('the port is forwarded', 20_000, async () => {
      const answer = await fleet.first.run('busybox', ['wget', '-q', '-O', '-', 'http://127.0.0.1:28080/'], {
        acceptedExitCodes: [0, 1],
      })
      return answer.exitCode === 0 && answer
    })
    t.equal(stdout.trim(), name)
    forward.kill()
  })

  await t.test('what it answers about its node, through the API', async t => {
    const [{ id = '' } = {}] = await fleet.list('clusters')
    // kubectl asks for raw paths at the root.
    await fleet.first.run('sh', ['-c', 'echo "127.0.0.1 $1.k8s.localhost" >> /etc/hosts', 'sh', id])
    const get = (path: string) =>
      kubectl(
        `--server=https://${id}.k8s.localhost:8443`,
        ...['get', '--raw', `/api/v1/nodes/h2/proxy${path}`],
      )
    const { kind, items } = JSON.parse(await get('/pods'))
    t.equal(kind, 'PodList')
    t.match(
      items.map(({ metadata }: { metadata: { name: string } }) => metadata.name),
      [/^far-/],
    )
    t.equal(await get('/healthz'), 'ok')
    t.match(JSON.parse(await get('/stats/summary')), { node: { nodeName: 'h2' } })
    t.match(await get('/metrics'), /^kubelet_running_pods/m)
    t.match(JSON.parse(await get('/configz')), { kubeletconfig: { clusterDomain: 'cluster.local' } })
    await t.rejects(
      fleet.kubectl(['--as=ann', 'get', '--raw', '/api/v1/nodes/h2/proxy/pods']),
      /forbidden|cannot get|not find/i,
    )
  })

  await t.test('a chain of plugins: ours, and others beside it', async t => {
    const [plugin] = JSON.parse(await shell('cat /etc/cni/net.d/10-drover.conflist')).plugins as object[]
    const chain = {
      cniVersion: '0.4.0',
      name: 'drover',
      plugins: [
        { ...plugin, capabilities: { ips: true, mac: true } },
        { type: 'bandwidth', capabilities: { bandwidth: true } },
        { type: 'portmap', snat: true, capabilities: { portMappings: true } },
      ],
    }
    await member.install('/etc/cni/chain.d/10-chain.conflist', JSON.stringify(chain))
    await member.installKubelet('--cni-conf-dir=/etc/cni/chain.d', '--cni-bin-dir=/opt/cni/bin,/usr/lib/cni')
    const first = await kubeletPid()
    await shell(`kill -KILL ${first}`)
    await until('another runs', 40_000, async () => ![first, ''].includes(await kubeletPid()))
    const [old] = await podsOf('far')
    await kubectl('delete', 'pod', old?.metadata.name ?? '', '--timeout=60s')
    await kubectl('rollout', 'status', 'deployment/far', '--timeout=60s')
    const [near] = await podsOf('near')
    const pods = await podsOf('far')
    const far = pods.find(({ metadata }) => metadata.name !== old?.metadata.name)
    const answer = await until('it is reached by the port of its host', 20_000, async () => {
      const args = ['-s', '-m', '5', `http://${host.address}:18080/`]
      const { exitCode, stdout } = await host.run('curl', args, { acceptedExitCodes: [0, 7, 28, 56] })
      return exitCode === 0 && stdout.trim()
    })
    t.equal(answer, far?.metadata.name)
    t.equal(await ask(near?.metadata.name ?? '', `http://${far?.status.podIP}:8080/`), far?.metadata.name)
  })

  await t.test('nothing is left of pods that are gone', async t => {
    await kubectl('delete', 'deployment', 'far', '--timeout=60s')
    await until('its pods are gone', 60_000, async () => (await podsOf('far')).length === 0)
    await until('its links are gone', 20_000, async () => (await member.links()) === linksBefore)
    t.equal(await shell('docker ps -q --filter label=io.kubernetes.pod.namespace=default'), '')
    await until('its rules are gone', 20_000, async () => {
      const rules = await shell('iptables-save')
      return !/18080/.test(rules)
    })
  })

  await t.test('nothing stays of the kubelet', async t => {
    await member.endAgent()
    await host.run('./drover', ['agent', '--uninstall'], { deadline: 60_000 })
    t.notMatch(await shell('ls -A /etc/cni/net.d'), '10-drover')
    t.equal(await shell(`ls ${DATA}/agent 2> /dev/null`), '')
    t.notMatch(await shell('iptables-save'), /KUBE-|DROVER/i)
  })
})
