/** What containers of a pod are given: variables, files, directories; and that files follow what they are made of. */
import t from 'tap'
import { until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { PodCluster, SOON } from './cluster.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const SECRET = 'canary-7f3a9'

const OBJECTS = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue, "file.txt": "first line\\n"}
binaryData: {raw: AAEC}
---
apiVersion: v1
kind: Secret
metadata: {name: access}
stringData: {password: ${SECRET}}
`

const ENVIRONMENT = `
apiVersion: v1
kind: Pod
metadata: {name: environment, labels: {app: demo}}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: drover/busybox:1
    command: [sh, -c, 'env; echo "said $0 $1"', "$(GREETING)", "$$(GREETING)"]
    resources: {limits: {cpu: 1500m, memory: 64Mi}, requests: {cpu: 250m}}
    envFrom:
    - {prefix: SET_, configMapRef: {name: settings}}
    - secretRef: {name: absent, optional: true}
    env:
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: access, key: password}}}
    - {name: NONE, valueFrom: {secretKeyRef: {name: access, key: none, optional: true}}}
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    - {name: ADDRESS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: CPUS, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MILLI, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}
    - {name: MEGABYTES, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: GREETING, value: "hello $(NAME) in $(COLOR), not $(UNKNOWN)"}
`

const FILES = `
apiVersion: v1
kind: Pod
metadata: {name: files, labels: {app: demo}}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {fsGroup: 3000}
  volumes:
  - {name: settings, configMap: {name: settings}}
  - {name: some, configMap: {name: settings, items: [{key: color, path: deep/er/colour, mode: 0440}]}}
  - {name: access, secret: {secretName: access, defaultMode: 0400}}
  - {name: me, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: maybe, configMap: {name: absent, optional: true}}
  - {name: scratch, emptyDir: {}}
  - {name: fast, emptyDir: {medium: Memory, sizeLimit: 4Mi}}
  - name: all
    projected:
      sources:
      - {configMap: {name: settings, items: [{key: color, path: color}]}}
      - {secret: {name: access}}
      - {serviceAccountToken: {path: token, expirationSeconds: 3600, audience: somebody}}
  containers:
  - name: writer
    image: drover/busybox:1
    command: [sh, -c, 'echo written > /scratch/note; mkdir -p /scratch/part; echo part > /scratch/part/of; sleep 100000']
    volumeMounts:
    - {name: scratch, mountPath: /scratch}
  - name: reader
    image: drover/busybox:1
    command: [sleep, "100000"]
    securityContext: {runAsUser: 2000, runAsGroup: 2001}
    volumeMounts:
    - {name: settings, mountPath: /settings}
    - {name: settings, mountPath: /etc/one.txt, subPath: file.txt}
    - {name: some, mountPath: /some}
    - {name: access, mountPath: /access}
    - {name: me, mountPath: /me}
    - {name: maybe, mountPath: /maybe}
    - {name: scratch, mountPath: /scratch, readOnly: true}
    - {name: scratch, mountPath: /part, subPath: part}
    - {name: fast, mountPath: /fast}
    - {name: all, mountPath: /all}
`

t.test('inputs of pods', { skip, timeout: 280_000 }, async t => {
  const cluster = await PodCluster.start(t, 'inputs')
  await cluster.apply(OBJECTS)

  await t.test('variables', async t => {
    await cluster.apply(ENVIRONMENT)
    await cluster.until(
      'it ended well',
      'environment',
      async () => (await cluster.phase('environment')) === 'Succeeded',
    )
    const log = await cluster.log('environment')
    const variables = new Map(log.split('\n').map(line => line.split(/=(.*)/) as [string, string]))
    const wanted = {
      ...{ COLOR: 'blue', SET_color: 'blue', PASSWORD: SECRET, NAME: 'environment', APP: 'demo' },
      ...{ CPUS: '2', MILLI: '250', MEGABYTES: '64' },
      GREETING: 'hello environment in blue, not $(UNKNOWN)',
    }
    for (const [name, value] of Object.entries(wanted)) t.equal(variables.get(name), value, name)
    t.match(variables.get('ADDRESS'), /^10\.42\./)
    t.match(variables.get('KUBERNETES_SERVICE_HOST'), /^\d/)
    t.notOk(variables.has('NONE'))
    t.match(log, 'said hello environment in blue, not $(UNKNOWN) $(GREETING)')
    t.equal(await cluster.field('pod environment', '.status.qosClass'), 'Burstable')
  })

  await t.test('what is missing is waited for, and named', async t => {
    await cluster.apply(
      ENVIRONMENT.replace('name: environment', 'name: patient').replaceAll(
        'name: access, key: password',
        'name: later, key: password',
      ),
    )
    const reason = '.status.containerStatuses[0].state.waiting'
    await cluster.until('it says what is missing', 'patient', async () =>
      (await cluster.field('pod patient', `${reason}.message`)).includes('secret "later" not found'),
    )
    t.equal(await cluster.field('pod patient', `${reason}.reason`), 'CreateContainerConfigError')
    await cluster.apply(OBJECTS.replace('name: access', 'name: later'))
    await cluster.until(
      'it ended well',
      'patient',
      async () => (await cluster.phase('patient')) === 'Succeeded',
    )
  })

  await t.test('files and directories', async t => {
    await cluster.apply(FILES)
    await cluster.ready('files')
    const read = async (...command: string[]) => await cluster.inside('files', 'reader', ...command)
    t.equal(await read('cat', '/settings/file.txt'), 'first line\n')
    t.equal(await read('cat', '/etc/one.txt'), 'first line\n')
    t.equal(await read('cat', '/some/deep/er/colour'), 'blue')
    t.equal(await read('sh', '-c', 'wc -c < /settings/raw'), '3\n')
    t.equal(await read('cat', '/access/password'), SECRET, 'the group may read it')
    t.match(await read('stat', '-L', '-c', '%a %g', '/access/password'), '440 3000')
    t.equal(await read('cat', '/me/labels'), 'app="demo"')
    t.equal((await read('ls', '/maybe')).trim(), '')
    t.equal(await read('cat', '/scratch/note'), 'written\n')
    t.equal(await read('cat', '/part/of'), 'part\n')
    t.match(
      await read('sh', '-c', 'touch /scratch/no 2>&1; touch /settings/no 2>&1'),
      /Read-only.*\n.*Read-only/,
    )
    t.match(await read('grep', ' /fast ', '/proc/mounts'), /tmpfs.*size=4096k/)
    t.match(await read('sh', '-c', 'touch /fast/mine && id'), /uid=2000 gid=2001 groups=(2001,)?3000/)
    t.equal(await read('cat', '/all/color'), 'blue')
    const claims = JSON.parse(
      Buffer.from((await read('cat', '/all/token')).split('.')[1] ?? '', 'base64url').toString('utf8'),
    ) as Record<string, unknown>
    t.match(claims, { aud: ['somebody'], sub: 'system:serviceaccount:default:default' })
    const { stdout } = await cluster.fleet.first.run('grep', ['-rl', SECRET, '/var/lib/drover/agent'], {
      acceptedExitCodes: [0, 1, 2],
    })
    const onDisk = stdout
      .split('\n')
      .filter(file => file !== '' && !file.startsWith('/var/lib/drover/agent/memory/'))
    t.strictSame(onDisk, [], 'secrets are in memory alone')
  })

  await t.test('the account of a pod is admitted and used', async t => {
    await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "drover/busybox:1", command: [sleep, "100000"]}]
`)
    await cluster.ready('plain')
    const directory = '/var/run/secrets/kubernetes.io/serviceaccount'
    t.equal(await cluster.inside('plain', 'main', 'cat', `${directory}/namespace`), 'default')
    t.match(await cluster.inside('plain', 'main', 'cat', `${directory}/ca.crt`), 'BEGIN CERTIFICATE')
    t.match(await cluster.inside('plain', 'main', 'cat', `${directory}/token`), /^ey/)
  })

  await t.test('files follow what they are made of, all at once', async t => {
    await cluster.apply(OBJECTS.replace('first line', 'second line').replace('color: blue', 'color: red'))
    const read = async (file: string) => await cluster.inside('files', 'reader', 'cat', file)
    await until('the file follows', SOON, async () => (await read('/settings/file.txt')) === 'second line\n')
    t.equal(await cluster.inside('files', 'reader', 'cat', '/settings/color'), 'red')
    t.equal(await cluster.inside('files', 'reader', 'cat', '/etc/one.txt'), 'first line\n', 'a part stays')
    await cluster.apply(OBJECTS.replace(SECRET, 'changed').replace('name: settings', 'name: absent'))
    await until('a secret does', SOON, async () => (await read('/access/password')) === 'changed')
    await until('one that comes later does', SOON, async () => (await read('/maybe/color')) === 'blue')
    await cluster.kubectl(['label', 'pod', 'files', 'tier=front'])
    await until('labels do', SOON, async () => /tier="front"/.test(await read('/me/labels')))
    await cluster.apply(OBJECTS)
  })

  await t.test('a volume of a claim keeps what is written', async t => {
    await cluster.apply(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /var/lib/claimed, type: DirectoryOrCreate}
  claimRef: {namespace: default, name: data}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", volumeName: disk, resources: {requests: {storage: 1Gi}}}
`)
    await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: claimer}
spec:
  restartPolicy: Never
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  containers: [{name: main, image: "drover/busybox:1", command: [sh, -c, 'echo kept > /data/file'], volumeMounts: [{name: data, mountPath: /data}]}]
`)
    await cluster.until(
      'it ended well',
      'claimer',
      async () => (await cluster.phase('claimer')) === 'Succeeded',
    )
    const { stdout } = await cluster.fleet.first.run('cat', ['/var/lib/claimed/file'])
    t.equal(stdout, 'kept\n')
  })

  await t.test('without a server, and with another agent, a pod goes on with what it was given', async t => {
    await cluster.apply(
      FILES.replace('name: files', 'name: alone')
        .replace(
          "sh, -c, 'echo written",
          "sh, -c, 'cat /all/token | wc -c > /scratch/token; echo $PASSWORD > /scratch/password; echo written",
        )
        .replace(
          '  - name: writer\n',
          '  - name: writer\n    env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: access, key: password}}}]\n',
        )
        .replace(
          '- {name: scratch, mountPath: /scratch}\n',
          '- {name: scratch, mountPath: /scratch}\n    - {name: all, mountPath: /all}\n',
        ),
    )
    await cluster.ready('alone')
    const { fleet } = cluster
    await fleet.first.run('busybox', ['kill', '-9', String(await fleet.daemonPid('server'))])
    await fleet.first.run('busybox', ['kill', '-9', String(await fleet.daemonPid('agent'))])
    const [writer] = await fleet.docker([
      'io.kubernetes.pod.name=alone',
      'io.kubernetes.container.name=writer',
    ])
    await cluster.inside('alone', 'writer', 'rm', '/scratch/password', '/scratch/token')
    await fleet.first.run('docker', ['kill', writer?.id ?? ''])
    fleet.first.start('./drover', ['agent', '--data', '/var/lib/drover/agent'], 'agent')
    const read = async (file: string) => await cluster.inside('alone', 'reader', 'cat', file)
    await until('it runs again', SOON, async () => (await read('/scratch/password')) === `${SECRET}\n`)
    t.ok(Number(await read('/scratch/token')) > 100)
    await fleet.quickstart()
    await cluster.ready('alone')
    await cluster.remove('alone')
  })

  await t.test('nothing remains of pods that are gone', async t => {
    await cluster.remove('environment', 'patient', 'files', 'plain', 'claimer')
    const look = `ls /var/lib/drover/agent/pods /var/lib/drover/agent/memory; grep -c drover/agent/pods /proc/self/mountinfo`
    await until('everything of them is gone', SOON, async () => {
      const { stdout } = await cluster.fleet.first.run('sh', ['-c', look], { acceptedExitCodes: [0, 1] })
      return !/[0-9a-f]{8}-/.test(stdout) && stdout.endsWith('\n0\n')
    })
    t.pass()
  })
})
