/** Pods that are given more or less while they run. */
import t from 'tap'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { PodCluster } from './cluster.ts'

t.setTimeout(160_000)

const skip = inPrivateNetwork(import.meta.filename)

const POD = `
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  containers:
  - name: main
    image: drover/busybox:1
    command: [sleep, "100000"]
    resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}, {resourceName: cpu, restartPolicy: NotRequired}]
    resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 500m, memory: 64Mi}}
`

t.test('resizing pods', { skip, timeout: 150_000 }, async t => {
  const cluster = await PodCluster.start(t, 'resize')
  await cluster.apply(POD)
  await cluster.ready('web')
  const status = (field: string) => cluster.field('pod web', `.status.containerStatuses[0]${field}`)
  const resize = (resources: object) =>
    cluster.kubectl([
      ...['patch', 'pod', 'web', '--subresource=resize', '-p'],
      JSON.stringify({ spec: { containers: [{ name: 'main', resources }] } }),
    ])
  const given = (field: string, value: string) =>
    cluster.until(`${field} is ${value}`, 'web', async () => (await status(field)) === value)
  const docker = async () => {
    const [found] = await cluster.fleet.docker([
      'io.kubernetes.pod.name=web',
      'io.kubernetes.container.name=main',
    ])
    const format = '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}}'
    const { stdout } = await cluster.fleet.first.run('docker', [
      'inspect',
      '--format',
      format,
      found?.id ?? '',
    ])
    return stdout.trim()
  }
  const condition = (type: string) =>
    cluster.field('pod web', `.status.conditions[?(@.type=="${type}")].reason`)

  await t.test('the processor, in place', async t => {
    t.equal(await status('.resources.limits.cpu'), '500m')
    t.equal(await status('.allocatedResources.memory'), '32Mi')
    const before = await status('.containerID')
    const answer = await resize({ requests: { cpu: '200m' }, limits: { cpu: '800m' } })
    t.equal(answer.exitCode, 0, answer.stderr)
    await given('.resources.limits.cpu', '800m')
    t.equal(await status('.allocatedResources.cpu'), '200m')
    t.equal(await docker(), `${64 * 2 ** 20} 800000000 205`)
    t.equal(await status('.containerID'), before)
    t.equal(await status('.restartCount'), '0')
  })

  await t.test('memory, by a container that is made anew', async t => {
    await resize({ limits: { memory: '96Mi' } })
    await given('.resources.limits.memory', '96Mi')
    await cluster.ready('web')
    t.equal(await status('.restartCount'), '1')
    t.equal(await docker(), `${96 * 2 ** 20} 800000000 205`)
  })

  await t.test('what there is no room for waits', async t => {
    await resize({ requests: { cpu: '500' }, limits: { cpu: '1000' } })
    await cluster.until(
      'it says so',
      'web',
      async () => (await condition('PodResizePending')) === 'Infeasible',
    )
    t.equal(await status('.resources.limits.cpu'), '800m')
    t.equal(await docker(), `${96 * 2 ** 20} 800000000 205`)
    await resize({ requests: { cpu: '300m' }, limits: { cpu: '900m' } })
    await given('.resources.limits.cpu', '900m')
    await cluster.until('nothing waits', 'web', async () => (await condition('PodResizePending')) === '')
    t.ok(await cluster.isReady('web'))
  })

  await t.test('what Kubernetes refuses', async t => {
    t.match(await resize({ limits: { cpu: null } }), {
      exitCode: 1,
      stderr: /resource limits cannot be removed/,
    })
    t.match(await resize({ requests: { cpu: '900m', memory: '96Mi' } }), { exitCode: 1, stderr: /QOS Class/ })
    await cluster.remove('web')
  })
})
