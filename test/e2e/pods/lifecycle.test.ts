/** How pods begin, work and end: init containers, sidecars, probes, hooks, and what containers may do. */
import t from 'tap'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { PodCluster } from './cluster.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const INIT = `
apiVersion: v1
kind: Pod
metadata: {name: ordered}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  volumes: [{name: shared, emptyDir: {}}]
  initContainers:
  - name: first
    image: drover/busybox:1
    command: [sh, -c, 'echo first >> /shared/log']
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: sidecar
    image: drover/busybox:1
    restartPolicy: Always
    command: [sh, -c, 'trap "echo sidecar ends >> /shared/log; exit 0" TERM; echo sidecar >> /shared/log; sleep 0.5; touch /tmp/up; while true; do sleep 0.1; done']
    startupProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 30}
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: second
    image: drover/busybox:1
    command: [sh, -c, 'echo second >> /shared/log']
    volumeMounts: [{name: shared, mountPath: /shared}]
  containers:
  - name: main
    image: drover/busybox:1
    command: [sh, -c, 'echo main >> /shared/log; cat /shared/log; echo because > /dev/termination-log; exit 3']
    volumeMounts: [{name: shared, mountPath: /shared}]
`

const PROBES = `
apiVersion: v1
kind: Pod
metadata: {name: probed}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: drover/busybox:1
    command: [sh, -c, 'mkdir -p /www; echo ok > /www/alive; httpd -f -p 8080 -h /www']
    ports: [{name: http, containerPort: 8080}]
    startupProbe: {tcpSocket: {port: http}, periodSeconds: 1, failureThreshold: 30}
    livenessProbe: {httpGet: {path: /alive, port: 8080}, periodSeconds: 1, failureThreshold: 2}
    readinessProbe: {exec: {command: [cat, /www/ready]}, periodSeconds: 1, failureThreshold: 1}
`

const HOOKS = `
apiVersion: v1
kind: Pod
metadata: {name: hooked}
spec:
  terminationGracePeriodSeconds: 20
  volumes: [{name: log, hostPath: {path: /var/lib/hooks, type: DirectoryOrCreate}}]
  containers:
  - name: main
    image: drover/busybox:1
    command: [sh, -c, 'trap "echo asked >> /log/log; exit 0" TERM; while true; do sleep 0.1; done']
    lifecycle:
      postStart: {exec: {command: [sh, -c, 'sleep 1; echo started >> /log/log']}}
      preStop: {exec: {command: [sh, -c, 'sleep 1; echo stopping >> /log/log']}}
    volumeMounts: [{name: log, mountPath: /log}]
`

const SECURE = `
apiVersion: v1
kind: Pod
metadata: {name: secure}
spec:
  terminationGracePeriodSeconds: 0
  shareProcessNamespace: true
  hostname: custom
  hostAliases: [{ip: 192.0.2.9, hostnames: [alias.example]}]
  dnsPolicy: None
  dnsConfig: {nameservers: [192.0.2.53], searches: [example.test], options: [{name: ndots, value: "3"}]}
  securityContext:
    runAsUser: 1000
    runAsGroup: 1001
    runAsNonRoot: true
    supplementalGroups: [4000]
    sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "80"}]
  containers:
  - name: main
    image: drover/busybox:1
    workingDir: /var
    command: [sleep, "100000"]
    resources: {limits: {memory: 32Mi, cpu: 500m}}
    securityContext:
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL]}
      seccompProfile: {type: RuntimeDefault}
  - name: free
    image: drover/busybox:1
    command: [sleep, "100000"]
    securityContext: {runAsUser: 0, runAsNonRoot: false, capabilities: {add: [NET_ADMIN]}}
`

t.test('the life of pods', { skip, timeout: 280_000 }, async t => {
  const cluster = await PodCluster.start(t, 'lives')

  await t.test('init containers and sidecars, in their order', async t => {
    await cluster.apply(INIT)
    await cluster.until('it has failed', 'ordered', async () => (await cluster.phase('ordered')) === 'Failed')
    t.equal(await cluster.log('ordered', 'main'), 'first\nsidecar\nsecond\nmain\n')
    const terminated = '.status.containerStatuses[0].state.terminated'
    t.equal(await cluster.field('pod ordered', `${terminated}.exitCode`), '3')
    t.equal((await cluster.field('pod ordered', `${terminated}.message`)).trim(), 'because')
    const states = '.status.initContainerStatuses[*].state.terminated.reason'
    await cluster.until(
      'the sidecar ended, too',
      'ordered',
      async () => (await cluster.field('pod ordered', states)).split(' ').length === 3,
    )
    t.equal(await cluster.field('pod ordered', '.status.conditions[?(@.type=="Initialized")].status'), 'True')
  })

  await t.test('an init container that fails', async t => {
    await cluster.apply(
      INIT.replace('name: ordered', 'name: stopped').replace('echo first >>', 'exit 7; echo first >>'),
    )
    await cluster.until('it has failed', 'stopped', async () => (await cluster.phase('stopped')) === 'Failed')
    t.equal(
      await cluster.field('pod stopped', '.status.containerStatuses[0].state.waiting.reason'),
      'PodInitializing',
    )
    await cluster.apply(
      INIT.replace('name: ordered', 'name: again')
        .replace('Never', 'OnFailure')
        .replace('echo first >>', 'test -e /shared/one || { touch /shared/one; exit 7; }; echo first >>')
        .replace('exit 3', 'exit 0'),
    )
    await cluster.until(
      'it succeeds at the second try',
      'again',
      async () => (await cluster.phase('again')) === 'Succeeded',
    )
    t.equal(await cluster.field('pod again', '.status.initContainerStatuses[0].restartCount'), '1')
  })

  await t.test('probes', async t => {
    await cluster.apply(PROBES)
    const status = '.status.containerStatuses[0]'
    await cluster.until(
      'it has started',
      'probed',
      async () => (await cluster.field('pod probed', `${status}.started`)) === 'true',
    )
    t.notOk(await cluster.isReady('probed'))
    await cluster.inside('probed', 'web', 'touch', '/www/ready')
    await cluster.ready('probed')
    await cluster.inside('probed', 'web', 'rm', '/www/ready')
    await cluster.until('it is not ready any more', 'probed', async () => !(await cluster.isReady('probed')))
    t.equal(await cluster.field('pod probed', `${status}.restartCount`), '0')
    await cluster.inside('probed', 'web', 'rm', '/www/alive')
    await cluster.until(
      'it is made anew',
      'probed',
      async () => (await cluster.field('pod probed', `${status}.restartCount`)) === '1',
    )
    await cluster.inside('probed', 'web', 'touch', '/www/ready')
    await cluster.ready('probed')
    const { stdout } = await cluster.kubectl(['describe', 'pod', 'probed'])
    t.match(stdout, /Normal +Started .*Started container web/)
    t.match(stdout, /Warning +Unhealthy .*Liveness probe failed: HTTP probe failed with statuscode: 404/)
    t.match(stdout, /Normal +Killing .*failed liveness probe, will be restarted/)
  })

  await t.test('hooks', async t => {
    await cluster.apply(HOOKS)
    const log = async () =>
      (await cluster.fleet.first.run('cat', ['/var/lib/hooks/log'], { acceptedExitCodes: [0, 1] })).stdout
    await cluster.ready('hooked')
    t.equal(await log(), 'started\n')
    await cluster.remove('hooked')
    t.equal(await log(), 'started\nstopping\nasked\n')
    await cluster.apply(
      HOOKS.replace('name: hooked', 'name: broken').replace('sleep 1; echo started', 'exit 1; echo started'),
    )
    await cluster.until(
      'it is made again and again',
      'broken',
      async () => Number(await cluster.field('pod broken', '.status.containerStatuses[0].restartCount')) > 0,
    )
    t.notOk(await cluster.isReady('broken'))
    await cluster.remove('broken')
  })

  await t.test('what containers may do, and what they see', async t => {
    await cluster.apply(SECURE)
    await cluster.ready('secure')
    const main = async (...command: string[]) => await cluster.inside('secure', 'main', ...command)
    t.match(await main('id'), /uid=1000 gid=1001 groups=(1001,)?4000/)
    t.match(
      await main('grep', '-E', 'NoNewPrivs|CapEff|Seccomp:', '/proc/self/status'),
      /CapEff:\s+0+\n.*NoNewPrivs:\s+1\nSeccomp:\s+2/s,
    )
    t.match(await main('sh', '-c', 'touch /var/no 2>&1; pwd; hostname'), /Read-only.*\n\/var\ncustom\n/)
    t.match(await main('cat', '/etc/hosts'), /192\.0\.2\.9\talias\.example/)
    t.match(
      await main('cat', '/etc/resolv.conf'),
      /search example\.test\nnameserver 192\.0\.2\.53\noptions ndots:3/,
    )
    t.match(await main('ps'), / 1 root .*sleep[\s\S]*1000 .*sleep[\s\S]*root .*sleep/, 'processes are shared')
    t.equal((await main('cat', '/proc/sys/net/ipv4/ip_unprivileged_port_start')).trim(), '80')
    t.match(await cluster.inside('secure', 'free', 'id', '-u'), '0')
    t.notMatch(
      await cluster.inside('secure', 'free', 'grep', 'CapEff', '/proc/self/status'),
      /CapEff:\s+0+\n/,
    )
    const [found] = await cluster.fleet.docker([
      'io.kubernetes.pod.name=secure',
      'io.kubernetes.container.name=main',
    ])
    const { stdout } = await cluster.fleet.first.run('docker', [
      'inspect',
      '--format',
      '{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.NanoCpus}} {{.HostConfig.OomScoreAdj}}',
      found?.id ?? '',
    ])
    t.match(stdout, /^33554432 33554432 500000000 99\d/)
    await cluster.apply(SECURE.replace('name: secure', 'name: rootless').replace('    runAsUser: 1000\n', ''))
    await cluster.until('root is refused', 'rootless', async () =>
      (
        await cluster.field(
          'pod rootless',
          '.status.containerStatuses[?(@.name=="main")].state.waiting.message',
        )
      ).includes('image will run as root'),
    )
  })

  await t.test('nothing remains', async t => {
    await cluster.remove('ordered', 'stopped', 'again', 'probed', 'secure', 'rootless')
    t.strictSame(await cluster.fleet.docker(['io.kubernetes.pod.namespace=default']), [])
  })
})
