/** Pods from files of a host, with a server and without. */
import t from 'tap'
import { until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { PodCluster, SOON } from './cluster.ts'

t.setTimeout(200_000)

const skip = inPrivateNetwork(import.meta.filename)

const DIRECTORY = '/var/lib/drover/agent/static-pods'

const manifest = (name: string, said: string) => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {from: file}}
spec:
  terminationGracePeriodSeconds: 5
  containers:
  - name: main
    image: drover/busybox:1
    command: [sh, -c, 'trap "exit 0" TERM; echo ${said}; while true; do sleep 0.1; done']
    ports: [{containerPort: 80, hostPort: 8000}]
`

t.test('static pods', { skip, timeout: 180_000 }, async t => {
  const cluster = await PodCluster.start(t, 'static')
  const { fleet } = cluster
  const { first } = fleet
  const put = (file: string, text: string) =>
    first.run('sh', ['-c', `cat > ${DIRECTORY}/.new && mv ${DIRECTORY}/.new ${DIRECTORY}/${file}`], {
      input: text,
    })
  const remove = (file: string) => first.run('rm', [`${DIRECTORY}/${file}`])
  const running = async (name: string) =>
    (await fleet.docker([`io.kubernetes.pod.name=${name}`, 'io.kubernetes.container.name=main'])).map(
      ({ id }) => id,
    )
  await put('web.yaml', manifest('web', 'first'))

  await t.test('one runs, and the cluster is shown it', async t => {
    await until('there is a mirror', SOON, async () => (await cluster.phase('web-h1')) === 'Running')
    await cluster.ready('web-h1')
    const [uid, hash, mirror] = await Promise.all(
      ['uid', 'annotations.kubernetes\\.io/config\\.hash', 'annotations.kubernetes\\.io/config\\.mirror'].map(
        field => cluster.field('pod web-h1', `.metadata.${field}`),
      ),
    )
    t.match(hash, /^[0-9a-f]{32}$/)
    t.equal(mirror, hash)
    t.not(uid, hash)
    t.equal(
      await cluster.field('pod web-h1', '.metadata.annotations.kubernetes\\.io/config\\.source'),
      'file',
    )
    t.equal(await cluster.field('pod web-h1', '.metadata.ownerReferences[*].kind'), 'Node')
    t.equal(await cluster.field('pod web-h1', '.metadata.ownerReferences[0].controller'), 'true')
    t.match(await cluster.field('pod web-h1', '.status.podIP'), /^10\.42\./)
    t.equal(await cluster.log('web-h1'), 'first\n')
    t.match(await cluster.kubectl(['exec', 'web-h1', '--', 'echo', 'inside']), { stdout: 'inside' })
    t.match((await cluster.kubectl(['describe', 'pod', 'web-h1'])).stdout, /Started container main/)
  })

  await t.test('a mirror that is deleted comes back, and the pod does not notice', async t => {
    const [before] = await running('web-h1')
    const uid = await cluster.field('pod web-h1', '.metadata.uid')
    t.match(await cluster.kubectl(['delete', 'pod', 'web-h1', '--timeout=20s']), { exitCode: 0 })
    await until('it is back', SOON, async () => {
      const now = await cluster.field('pod web-h1', '.metadata.uid')
      return now !== '' && now !== uid && (await cluster.phase('web-h1')) === 'Running'
    })
    await cluster.kubectl(['delete', 'pod', 'web-h1', '--force', '--grace-period=0'])
    await until('it is back again', SOON, async () => await cluster.isReady('web-h1'))
    t.strictSame(await running('web-h1'), [before])
    const debug = ['debug', 'web-h1', '--image=drover/busybox:1', '--attach=false', '--', 'true']
    t.match(await cluster.kubectl(debug), { exitCode: 1, stderr: /static pods do not support/ })
  })

  await t.test('its port of the host is its own', async t => {
    const pod = (name: string, more: object) => ({
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
      spec: {
        ...more,
        containers: [
          {
            ...{ name: 'main', image: 'drover/busybox:1', command: ['sleep', '100000'] },
            ports: [{ containerPort: 80, hostPort: 8000, hostIP: '127.0.0.1' }],
          },
        ],
      },
    })
    for (const each of [pod('placed', { nodeName: 'h1' }), pod('searching', {})])
      await cluster.apply(JSON.stringify(each))
    await cluster.until('it is not taken', 'placed', async () => (await cluster.phase('placed')) === 'Failed')
    t.equal(await cluster.field('pod placed', '.status.reason'), 'NodePorts')
    t.match(await cluster.field('pod placed', '.status.message'), /^Pod was rejected: .*free ports/)
    const told = async (reason: string, name: string) =>
      await cluster
        .field('events', `.items[?(@.reason=="${reason}")]['involvedObject.name','message']`)
        .then(text => text.includes(name) && /free ports|is published by/.test(text))
    await until('why is told', SOON, async () => await told('NodePorts', 'placed'))
    await until('nowhere is a free port', SOON, async () => await told('FailedScheduling', 'searching'))
    await cluster.kubectl(['delete', 'pod', 'placed', 'searching', '--now'])
    await put('second.yaml', manifest('second', 'x'))
    await until('another file waits', SOON, async () => await told('FailedCreatePodSandBox', 'second-h1'))
    t.equal(await cluster.phase('second-h1'), 'Pending')
    await remove('second.yaml')
    await until('it is forgotten', SOON, async () => (await cluster.phase('second-h1')) === '')
  })

  await t.test('a file that changes replaces its pod; bad ones are told about', async t => {
    const [before] = await running('web-h1')
    await put('bad.yaml', '{ this is no pod')
    await put('needy.yaml', manifest('needy', 'x').replace('spec:', 'spec:\n  serviceAccountName: robot'))
    await put('web.yaml', manifest('web', 'second'))
    await until('another one runs', SOON, async () => (await cluster.log('web-h1')) === 'second\n')
    t.equal((await running('web-h1')).includes(before ?? ''), false)
    await until('they are told about', SOON, async () => {
      const told = await cluster.field('events', '.items[?(@.reason=="InvalidStaticPod")].message')
      return /bad\.yaml/.test(told) && /needy\.yaml.*service account robot/.test(told)
    })
    t.match((await cluster.kubectl(['describe', 'node', 'h1'])).stdout, /InvalidStaticPod/)
    await remove('bad.yaml')
    await remove('needy.yaml')
  })

  await t.test('they need no server, also after the agent was away', async t => {
    await first.run('busybox', ['kill', '-9', String(await fleet.daemonPid('server'))])
    await put('alone.yaml', manifest('alone', 'alone').replace('hostPort: 8000', 'hostPort: 8001'))
    await until('a new one runs', SOON, async () => (await running('alone-h1')).length === 1)
    const before = await running('alone-h1')
    await first.run('busybox', ['kill', '-9', String(await fleet.daemonPid('agent'))])
    await remove('web.yaml')
    first.start('./drover', ['agent', '--data', '/var/lib/drover/agent'], 'agent')
    await until('the one without file ends', SOON, async () => (await running('web-h1')).length === 0)
    t.strictSame(await running('alone-h1'), before)
    await fleet.quickstart()
    await until('the server is shown it', SOON, async () => await cluster.isReady('alone-h1'))
    await until('and not what is gone', SOON, async () => (await cluster.phase('web-h1')) === '')
  })

  await t.test('a file that is gone ends its pod, and nothing is left', async t => {
    await remove('alone.yaml')
    await until('it has ended', SOON, async () => {
      const { stdout } = await first.run('docker', [
        'ps',
        '-aq',
        '--filter',
        'label=io.kubernetes.pod.name=alone-h1',
      ])
      const kept = await first.run('ls', ['/var/lib/drover/agent/pods'])
      return stdout.trim() === '' && kept.stdout.trim() === ''
    })
    await until(
      'and its mirror',
      SOON,
      async () => (await cluster.field('pods', '.items[*].metadata.name')) === '',
    )
    t.pass()
  })
})
