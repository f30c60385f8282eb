/** What a real host answers about itself through its cluster's API, and who may ask. */
import t from 'tap'
import { Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { missingKubectl } from '../master/kubectl.ts'

const skip = (await missingKubectl()) || inPrivateNetwork(import.meta.filename)

const WEB = `
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  containers:
  - name: main
    image: drover/busybox:1
    imagePullPolicy: Never
    command: [sh, -c, 'echo hello; sleep 100000']
`

t.test('nodes/NAME/proxy', { skip, timeout: 240_000 }, async t => {
  const fleet = await Fleet.start(t, 'node-proxy')
  const [{ id = '' } = {}] = await fleet.list('clusters')
  // Some versions of kubectl drop the prefix of a path that they are given.
  await fleet.first.run('sh', ['-c', 'echo "127.0.0.1 $1.k8s.localhost" >> /etc/hosts', 'sh', id])
  const server = `--server=https://${id}.k8s.localhost:8443`
  const kubectl = async (...args: readonly string[]) => (await fleet.kubectl([server, ...args])).stdout
  await fleet.kubectl(['apply', '-f', '-'], { input: WEB })
  await kubectl('wait', '--for=condition=Ready', 'pod/web', '--timeout=60s')
  const node = (await kubectl('get', 'pod', 'web', '-o', 'jsonpath={.spec.nodeName}')).trim()
  const get = (path: string) => kubectl('get', '--raw', `/api/v1/nodes/${node}/proxy${path}`)

  t.equal(await get('/healthz'), 'ok')
  const list = JSON.parse(await get('/pods'))
  t.match(
    list.items.map((pod: { metadata: { name: string } }) => pod.metadata.name),
    ['web'],
  )
  const summary = await until('its memory is told', 20_000, async () => {
    const now = JSON.parse(await get('/stats/summary'))
    return now.pods[0]?.containers[0]?.memory.workingSetBytes > 0 && now
  })
  t.match(summary, {
    node: { nodeName: node, memory: { workingSetBytes: Number, availableBytes: Number } },
    pods: [{ podRef: { name: 'web', namespace: 'default' }, containers: [{ name: 'main' }] }],
  })
  t.match(
    await get('/metrics/resource'),
    /^container_memory_working_set_bytes\{container="main",namespace="default",pod="web"\} [1-9]/m,
  )
  t.match(await get('/metrics'), /^drover_/m)
  t.equal(await get('/containerLogs/default/web/main?tailLines=1'), 'hello\n')
  await t.rejects(get('/configz'), /not found|could not find/)
  const stranger = ['get', '--raw', `/api/v1/nodes/${node}/proxy/pods`, '--as=ann']
  await t.rejects(kubectl(...stranger), /forbidden|cannot get/i)
})
