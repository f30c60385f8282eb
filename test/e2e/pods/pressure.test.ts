/** A host that runs out of disk: what goes, what stays, and who is told. */
import path from 'node:path'
import t from 'tap'
import { until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { PodCluster, SOON } from './cluster.ts'

t.setTimeout(280_000)

const skip = inPrivateNetwork(import.meta.filename)

const AGENT = '/var/lib/drover/agent'
const REGISTRY = '127.0.0.1:5000'

/** All images that may be removed go; pods do when the file system of their volumes, which is small here, is nearly full. */
const SETTINGS = {
  evictionHard: {
    ...{ 'memory.available': '0', 'imagefs.available': '0%', 'imagefs.inodesFree': '0%' },
    ...{ 'nodefs.available': '40%', 'nodefs.inodesFree': '0%' },
  },
  evictionPressureTransitionPeriod: '15s',
  ...{ imageGCHighThresholdPercent: 0, imageGCLowThresholdPercent: 0, imageMinimumGCAge: '0s' },
}

const pod = (name: string, spec: string, command = 'sleep 100000', image = 'drover/busybox:1') => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  volumes: [{name: data, emptyDir: {}}]
  ${spec}
  containers:
  - name: main
    image: ${image}
    command: [sh, -c, '${command}']
    volumeMounts: [{name: data, mountPath: /data}]
`

t.test('a host with too little', { skip, timeout: 250_000 }, async t => {
  const cluster = await PodCluster.start(t, 'pressure')
  const { fleet } = cluster
  const { first } = fleet
  const kill = async () => await first.run('busybox', ['kill', '-9', String(await fleet.daemonPid('agent'))])
  const startAgent = () => first.start('./drover', ['agent', '--data', AGENT], 'agent')
  const images = async () =>
    (await first.run('docker', ['images', '--format', '{{.Repository}}:{{.Tag}}'])).stdout.trim().split('\n')
  const condition = (type: string) =>
    cluster.field('node h1', `.status.conditions[?(@.type=="${type}")].status`)
  const taints = () => cluster.field('node h1', '.spec.taints[*].key')
  const events = (reason: string) => cluster.field('events', `.items[?(@.reason=="${reason}")].message`)

  const saved = '/var/lib/saved'
  await first.run('sh', ['-c', `mkdir ${saved} && docker save drover/busybox:1 | tar -x -C ${saved}`])
  const registry = path.resolve(import.meta.dirname, '../../lab/registry.ts')
  first.start(process.execPath, [registry, saved, '5000'], 'registry')
  await first.run('docker', ['tag', 'drover/busybox:1', 'users/own:1'])
  await until('the registry is there', SOON, async () => {
    const { exitCode } = await first.run('docker', ['pull', `${REGISTRY}/users:1`], {
      acceptedExitCodes: [0, 1],
    })
    return exitCode === 0
  })

  await t.test('images that were pulled for pods and are not used go, and no others', async t => {
    await cluster.apply(pod('user', '', 'sleep 100000', `${REGISTRY}/used:1`))
    await cluster.apply(pod('guest', 'restartPolicy: Never', 'true', `${REGISTRY}/unused:1`))
    await cluster.apply(pod('named', 'restartPolicy: Never', 'true', `${REGISTRY}/named:1`))
    // It is pulled once more, and is still the user's.
    await cluster.apply(pod('theirs', 'restartPolicy: Never', 'true', `${REGISTRY}/users:1`))
    await cluster.ready('user')
    for (const name of ['guest', 'named', 'theirs']) {
      await cluster.until('it ended', name, async () => (await cluster.phase(name)) === 'Succeeded')
    }
    await cluster.remove('guest', 'named', 'theirs')
    await first.run('docker', ['tag', `${REGISTRY}/named:1`, 'users/named:1'])
    const before = await images()
    t.ok(before.includes(`${REGISTRY}/unused:1`))
    await kill()
    // The pods' volumes are on a small file system from now on.
    await first.run('sh', [
      '-c',
      `mv ${AGENT}/pods ${AGENT}/moved && mkdir ${AGENT}/pods && mount -t tmpfs -o size=64m,mode=0700 pods ${AGENT}/pods && mv ${AGENT}/moved/* ${AGENT}/pods/`,
    ])
    await first.run('sh', ['-c', `cat > ${AGENT}/pressure.json`], { input: JSON.stringify(SETTINGS) })
    startAgent()
    await until(
      'the unused one is gone',
      SOON,
      async () => !(await images()).includes(`${REGISTRY}/unused:1`),
    )
    await until('that it was not enough is told', SOON, async () =>
      /only found/.test(await events('ImageGCFailed')),
    )
    t.strictSame(
      (await images()).toSorted(),
      before.filter(name => name !== `${REGISTRY}/unused:1`).toSorted(),
      'nothing else went',
    )
    t.equal(await cluster.health('user'), 'Running True')
  })

  await t.test('the pod that takes the disk goes, with what it wrote; the others stay', async t => {
    await cluster.apply(pod('small', '', 'echo little > /data/file; sleep 100000'))
    await cluster.ready('small')
    const node = async () => ({ pressure: await condition('DiskPressure'), taints: await taints() })
    t.strictSame(await node(), { pressure: 'False', taints: '' })
    await cluster.apply(
      pod('greedy', '', 'dd if=/dev/zero of=/data/file bs=1M count=45; echo wrote; sleep 100000'),
    )
    await cluster.until('it is evicted', 'greedy', async () => (await cluster.phase('greedy')) === 'Failed')
    t.equal(await cluster.field('pod greedy', '.status.reason'), 'Evicted')
    t.match(
      await cluster.field('pod greedy', '.status.message'),
      /^The node was low on resource: ephemeral-storage\. Threshold quantity: 40%, available: \d+(Mi|Ki)\./,
    )
    const disruption = '.status.conditions[?(@.type=="DisruptionTarget")].reason'
    t.equal(await cluster.field('pod greedy', disruption), 'TerminationByKubelet')
    t.match(await events('Evicted'), /low on resource: ephemeral-storage/)
    t.match(await events('EvictionThresholdMet'), /Attempting to reclaim ephemeral-storage/)
    t.equal(await condition('DiskPressure'), 'True')
    t.equal(await condition('MemoryPressure'), 'False')
    await until(
      'nothing new is sent here',
      SOON,
      async () => (await taints()) === 'node.kubernetes.io/disk-pressure',
    )
    await cluster.apply(pod('late', 'nodeName: h1'))
    await cluster.until('it is not taken', 'late', async () => (await cluster.phase('late')) === 'Failed')
    t.match(await cluster.field('pod late', '.status.message'), 'The node had condition: [DiskPressure].')
    t.match(await cluster.log('greedy'), /wrote\n$/, 'its log is there')
    t.equal(await cluster.health('small'), 'Running True')
    t.equal(await cluster.health('user'), 'Running True')
  })

  await t.test('afterwards there is room again, also for another agent', async t => {
    await until('the node lacks nothing', 60_000, async () => (await condition('DiskPressure')) === 'False')
    await until('pods may come', SOON, async () => (await taints()) === '')
    const { stdout } = await first.run('df', ['--output=pcent', `${AGENT}/pods`])
    t.ok(Number(/(\d+)%/.exec(stdout)?.[1]) < 20, stdout)
    await kill()
    startAgent()
    await cluster.apply(pod('next', ''))
    await cluster.ready('next')
    t.equal(await cluster.phase('greedy'), 'Failed')
    t.strictSame(await fleet.docker(['io.kubernetes.pod.name=greedy']), [], 'it does not run again')
    await cluster.remove('greedy', 'late', 'small', 'next', 'user')
    await until('nothing is left', SOON, async () => {
      const kept = await first.run('ls', [`${AGENT}/pods`])
      return kept.stdout.trim() === ''
    })
  })

  await t.test('a pod has its time, and no more', async t => {
    await cluster.apply(pod('timed', 'activeDeadlineSeconds: 1'))
    await cluster.until('it has failed', 'timed', async () => (await cluster.phase('timed')) === 'Failed')
    t.equal(await cluster.field('pod timed', '.status.reason'), 'DeadlineExceeded')
    await until(
      'it does not run',
      SOON,
      async () => (await fleet.docker(['io.kubernetes.pod.name=timed'])).length === 0,
    )
    await cluster.remove('timed')
  })

  await t.test('with too little memory the pod that uses most of it beyond its request goes', async t => {
    const hog = 'dd if=/dev/zero bs=120M count=1 | sleep 100000'
    await cluster.apply(pod('hog', '', hog))
    await cluster.apply(
      pod('modest', '').replace('    command:', '    resources: {requests: {memory: 64Mi}}\n    command:'),
    )
    await first.run('sh', ['-c', `cat > ${AGENT}/static-pods/file.yaml`], { input: pod('file', '') })
    await cluster.ready('hog', 'modest', 'file-h1')
    await kill()
    // There is always less than all of it.
    const settings = { evictionHard: { ...SETTINGS.evictionHard, 'memory.available': '100%' } }
    await first.run('sh', ['-c', `cat > ${AGENT}/pressure.json`], { input: JSON.stringify(settings) })
    startAgent()
    await cluster.until('it is evicted', 'hog', async () => (await cluster.phase('hog')) === 'Failed')
    t.match(
      await cluster.field('pod hog', '.status.message'),
      /low on resource: memory\. Threshold quantity: 100%, .*Container main was using 1\d\dMi, request is 0, /,
    )
    await until('the node says so', SOON, async () => (await condition('MemoryPressure')) === 'True')
    await cluster.apply(pod('late', 'nodeName: h1'))
    await cluster.until('it is not taken', 'late', async () => (await cluster.phase('late')) === 'Failed')
    t.match(await cluster.field('pod late', '.status.message'), /MemoryPressure/)
    await cluster.until('even that one', 'modest', async () => (await cluster.phase('modest')) === 'Failed')
    const [gone, next] = await Promise.all(
      ['hog', 'modest'].map(name =>
        cluster.field(`pod ${name}`, '.status.conditions[?(@.type=="DisruptionTarget")].lastTransitionTime'),
      ),
    )
    t.ok((gone ?? '') <= (next ?? ''), 'later')
    t.ok(await cluster.isReady('file-h1'), "never the host's own")
  })
})
