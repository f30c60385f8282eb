/** Runs on a host: makes pods one after the other, and prints how long each took to run, beside a plain container. */
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { runCommand } from '../../../kit/index.ts'
import { KubernetesClient, type Pod } from '../../../protocol/kubernetes/index.ts'

const [kubeconfig = '', count = '0'] = process.argv.slice(2)
const PODS = '/api/v1/namespaces/default/pods'
const DEADLINE = 60_000

interface Kubeconfig {
  readonly clusters: readonly [{ cluster: { server: string; 'certificate-authority-data': string } }]
  readonly users: readonly [{ user: { token: string } }]
}

const config = parse(await readFile(kubeconfig, 'utf8')) as Kubeconfig
const { server, 'certificate-authority-data': authority } = config.clusters[0].cluster
const client = new KubernetesClient({
  url: server,
  bearerToken: config.users[0].user.token,
  authority: Buffer.from(authority, 'base64').toString('utf8'),
})

async function podStart(name: string): Promise<number> {
  const begin = performance.now()
  await client.create(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image: 'drover/busybox:1', command: ['sleep', '100000'] }],
    },
  })
  const signal = AbortSignal.timeout(DEADLINE)
  for await (const { object } of client.watch<Pod>(
    PODS,
    { fieldSelector: `metadata.name=${name}` },
    signal,
    DEADLINE,
  )) {
    if ((object as Pod).status?.phase === 'Running') break
  }
  const taken = performance.now() - begin
  await client.delete(`${PODS}/${name}`, { gracePeriodSeconds: 0 })
  return taken
}

async function containerStart(name: string): Promise<number> {
  const begin = performance.now()
  await runCommand('docker', ['run', '--detach', '--name', name, 'drover/busybox:1', 'sleep', '100000'])
  const taken = performance.now() - begin
  await runCommand('docker', ['rm', '--force', name])
  return taken
}

for (let index = 0; index < Number(count); index += 1) {
  const pod = await podStart(`bench-${index}`)
  const container = await containerStart(`plain-${index}`)
  process.stdout.write(`${JSON.stringify({ pod, container })}\n`)
}
client.close()
