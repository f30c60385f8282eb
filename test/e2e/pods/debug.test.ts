/** kubectl debug: containers that are added to a running pod. */
import t from 'tap'
import { until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { PodCluster, SOON } from './cluster.ts'

t.setTimeout(200_000)

const skip = inPrivateNetwork(import.meta.filename)

const POD = `
apiVersion: v1
kind: Secret
metadata: {name: access}
stringData: {password: canary-51c2}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: drover/busybox:1
    command: [sh, -c, 'mkdir -p /www; echo served > /www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /www']
  - name: other
    image: drover/busybox:1
    command: [sleep, "100000"]
`

t.test('containers to look at a pod', { skip, timeout: 180_000 }, async t => {
  const cluster = await PodCluster.start(t, 'debug')
  await cluster.apply(POD)
  await cluster.ready('web')
  const debug = (name: string, command: readonly string[], ...options: string[]) =>
    cluster.kubectl([
      // Its input is kept open, and there is no terminal.
      ...['debug', 'web', '-it=false', '--image=drover/busybox:1', `--container=${name}`, ...options],
      ...['--', ...command],
    ])
  const status = (name: string, field: string) =>
    cluster.field('pod web', `.status.ephemeralContainerStatuses[?(@.name=="${name}")]${field}`)
  const exited = (name: string) =>
    cluster.until(`${name} ends`, 'web', async () => (await status(name, '.state.terminated.reason')) !== '')
  const before = await cluster.field('pod web', '.status.containerStatuses[*].containerID')

  await t.test('one sees the network of the pod, ends, and stays ended', async t => {
    t.match(await debug('fetch', ['wget', '-q', '-O', '-', 'http://127.0.0.1:8080/']), { exitCode: 0 })
    await exited('fetch')
    t.equal(await cluster.log('web', 'fetch'), 'served\n')
    t.match(await debug('fail', ['sh', '-c', 'echo failed; exit 3']), { exitCode: 0 })
    await exited('fail')
    t.equal(await status('fail', '.state.terminated.exitCode'), '3')
    t.equal(await status('fail', '.restartCount'), '0')
    t.ok(await cluster.isReady('web'))
  })

  await t.test('one sees the processes of its target, and those of no other', async t => {
    const look = 'for each in /proc/[0-9]*; do tr "\\0" " " < $each/cmdline; echo; done'
    t.match(await debug('near', ['sh', '-c', look], '--target=main'), { exitCode: 0 })
    await exited('near')
    const seen = await cluster.log('web', 'near')
    t.match(seen, 'httpd -f')
    t.notMatch(seen, 'sleep 100000')
    await debug('apart', ['sh', '-c', look])
    await exited('apart')
    t.notMatch(await cluster.log('web', 'apart'), 'httpd')
    t.match(await debug('lost', ['true'], '--target=nobody'), { exitCode: 1, stderr: /nobody/ })
  })

  await t.test('one runs on, and can be attached to and used', async t => {
    await debug('echo', ['sh', '-c', 'read line; echo "heard $line"'], '--attach=false')
    await cluster.until(
      'it runs',
      'web',
      async () => (await status('echo', '.state.running.startedAt')) !== '',
    )
    t.match(await cluster.kubectl(['exec', 'web', '-c', 'echo', '--', 'echo', 'inside']), {
      stdout: 'inside',
    })
    const { stdout } = await cluster.kubectl(['attach', '-i', 'web', '-c', 'echo'], 'hello\n')
    t.match(stdout, 'heard hello')
    const events = await cluster.field('events', '.items[*].involvedObject.fieldPath')
    t.match(events, 'spec.ephemeralContainers{echo}')
  })

  await t.test('one may refer to secrets that the pod does not', async t => {
    const added = {
      name: 'secretive',
      image: 'drover/busybox:1',
      command: ['sh', '-c', 'echo $PASSWORD'],
      env: [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'access', key: 'password' } } }],
    }
    const patch = JSON.stringify({ spec: { ephemeralContainers: [added] } })
    const answer = await cluster.kubectl([
      'patch',
      'pod',
      'web',
      '--subresource=ephemeralcontainers',
      '-p',
      patch,
    ])
    t.equal(answer.exitCode, 0, answer.stderr)
    await exited('secretive')
    t.equal(await cluster.log('web', 'secretive'), 'canary-51c2\n')
  })

  await t.test('another agent starts none of them again, and they go with the pod', async t => {
    const { fleet } = cluster
    const count = async () => (await fleet.docker(['io.kubernetes.pod.name=web'])).length
    const running = await count()
    await fleet.first.run('busybox', ['kill', '-9', String(await fleet.daemonPid('agent'))])
    fleet.first.start('./drover', ['agent', '--data', '/var/lib/drover/agent'], 'agent')
    await debug('last', ['true'])
    await exited('last')
    t.equal(await count(), running)
    t.equal(await status('fail', '.restartCount'), '0')
    t.equal(await cluster.field('pod web', '.status.containerStatuses[*].containerID'), before)
    await cluster.remove('web')
    await until('nothing is left', SOON, async () => {
      const { stdout } = await fleet.first.run('docker', [
        'ps',
        '-aq',
        '--filter',
        'label=io.kubernetes.pod.name=web',
      ])
      return stdout.trim() === ''
    })
    t.pass()
  })
})
