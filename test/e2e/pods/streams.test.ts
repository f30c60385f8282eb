/** kubectl exec, cp, attach and port-forward into containers of real pods. */
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

t.setTimeout(200_000)

const skip = inPrivateNetwork(import.meta.filename)

const KUBECONFIG = '/var/lib/drover/kubeconfig'

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', labels: { app: 'web' } },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: 'main',
        image: 'drover/busybox:1',
        // Its service listens on the pod's loopback only.
        command: [
          'sh',
          '-c',
          'mkdir /www; echo served > /www/index.html; httpd -f -p 127.0.0.1:8080 -h /www',
        ],
      },
      {
        name: 'echo',
        image: 'drover/busybox:1',
        command: ['sh', '-c', 'echo started; while read line; do echo "heard $line"; done'],
        stdin: true,
        stdinOnce: true,
      },
    ],
  },
}

t.test('streams of pods', { skip, timeout: 120_000 }, async t => {
  const fleet = await Fleet.start(t, 'streams')
  /** @param websockets what newer versions of kubectl speak; otherwise SPDY, as older ones do */
  const kubectlOver = async (websockets: boolean, args: readonly string[], input?: string) => {
    const choice = ['REMOTE_COMMAND', 'PORT_FORWARD'].map(use => `KUBECTL_${use}_WEBSOCKETS=${websockets}`)
    return await fleet.first.run('env', [...choice, 'kubectl', '--kubeconfig', KUBECONFIG, ...args], {
      acceptedExitCodes: [0, 1, 3, 126, 127],
      ...(input === undefined ? {} : { input }),
    })
  }
  const kubectl = (args: readonly string[], input?: string) => kubectlOver(true, args, input)
  t.match(await kubectl(['apply', '-f', '-'], JSON.stringify(pod)), { exitCode: 0 })
  t.match(await kubectl(['wait', '--for=condition=Ready', 'pod/web', '--timeout=30s']), { exitCode: 0 })

  const { stdout: clusters } = await fleet.drover(['cluster', 'ls', '--json'])
  const [{ id }] = JSON.parse(clusters) as [{ id: string }]
  // kubectl asks for raw paths at the root.
  const named = ['--server', `https://${id}.k8s.localhost:8443`]

  for (const websockets of [true, false]) {
    const over = (args: readonly string[], input?: string) => kubectlOver(websockets, args, input)
    const name = websockets ? 'websockets' : 'SPDY'

    await t.test(`exec over ${name}`, async t => {
      t.match(await over(['exec', 'web', '-c', 'main', '--', 'cat', '/www/index.html']), {
        exitCode: 0,
        stdout: 'served',
      })
      const both = await over([
        'exec',
        'web',
        '-c',
        'main',
        '--',
        'sh',
        '-c',
        'echo out; echo err >&2; exit 3',
      ])
      t.match(both, { exitCode: 3, stdout: 'out', stderr: /^err$/m })
      const piped = await over(['exec', '-i', 'web', '-c', 'main', '--', 'wc', '-c'], 'x'.repeat(3_000_000))
      t.equal(piped.stdout.trim(), '3000000')
      t.match(await over(['exec', 'web', '-c', 'main', '--', 'no-such-command']), { exitCode: /^12[67]$/ })
      const large = await over(['exec', 'web', '-c', 'main', '--', 'dd', 'if=/dev/zero', 'bs=1M', 'count=8'])
      t.equal(large.stdout.length, 8 * 1024 * 1024)
    })

    await t.test(`port-forward over ${name} reaches what listens on the loopback`, async t => {
      const script = `
        KUBECTL_PORT_FORWARD_WEBSOCKETS=$2 kubectl --kubeconfig "$1" port-forward pod/web 18080:8080 > /run/forward.log 2>&1 &
        forward=$!
        trap 'kill $forward; rm -f /run/forward.log' EXIT
        until grep -q Forwarding /run/forward.log; do sleep 0.05; done
        curl --silent --max-time 5 http://127.0.0.1:18080/ http://127.0.0.1:18080/`
      const { stdout } = await fleet.first.run('sh', ['-c', script, 'sh', KUBECONFIG, String(websockets)])
      t.equal(stdout.trim(), 'served\nserved')
    })
  }

  await t.test('cp', async t => {
    const content = 'copied\n'.repeat(10_000)
    await fleet.first.run('sh', ['-c', 'cat > /run/there'], { input: content })
    t.match(await kubectl(['cp', '/run/there', 'web:/www/there', '-c', 'main']), { exitCode: 0 })
    t.match(await kubectl(['cp', 'web:/www/there', '/run/back', '-c', 'main']), { exitCode: 0 })
    t.match(await fleet.first.run('cmp', ['/run/there', '/run/back']), { exitCode: 0 })
  })

  await t.test("by the cluster's own server name, and by a service account at the root", async t => {
    await fleet.first.run('sh', ['-c', 'echo "127.0.0.1 $1.k8s.localhost" >> /etc/hosts', 'sh', id])
    t.match(await kubectl([...named, 'get', '--raw', '/api/v1/namespaces/default/pods/web']), { exitCode: 0 })
    t.match(await kubectl([...named, 'exec', 'web', '-c', 'main', '--', 'echo', 'there']), {
      stdout: 'there',
    })
    const token = (await kubectl(['create', 'token', 'default'])).stdout.trim()
    const who = async (url: string) => {
      const body = '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'
      const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
      const options = [
        '--silent',
        '--cacert',
        '/var/lib/drover/tls/ca.crt',
        '--header',
        'content-type: application/json',
      ]
      const headers = ['--header', `authorization: Bearer ${token}`]
      return (await fleet.first.run('curl', [...options, ...headers, '--data', body, `${url}${path}`])).stdout
    }
    t.match(await who('https://localhost:8443'), /"username":\s*"system:serviceaccount:default:default"/)
    t.match(await who(`https://${id}.k8s.localhost:8443`), /"system:serviceaccounts:default"/)
    t.match(await who('https://other.k8s.localhost:8443'), /"code":\s*401/)
  })

  await t.test('a watch and a log for a page in a browser', async t => {
    const token = (await kubectl(['create', 'token', 'default'])).stdout.trim()
    await kubectl([
      ...['create', 'rolebinding', 'page', '--clusterrole=view', '--serviceaccount=default:default'],
    ])
    const read = async (target: string, origin: string, proof = token) =>
      JSON.parse(
        (
          await fleet.first.run(process.execPath, [
            fileURLToPath(new URL('read-websocket.ts', import.meta.url)),
            `wss://localhost:8443/k8s/clusters/${id}/api/v1/namespaces/default/${target}`,
            ...[origin, proof],
          ])
        ).stdout,
      )
    const own = 'https://localhost:8443'
    const watched = await read('pods?watch=true&timeoutSeconds=1', own)
    t.match(JSON.parse(watched.messages[0]), { type: 'ADDED', object: { metadata: { name: 'web' } } })
    const log = await read('pods/web/log?container=echo&follow=true&tailLines=1', own)
    t.match(log, {
      protocol: 'base64.binary.k8s.io',
      messages: ['', Buffer.from('started\n').toString('base64')],
    })
    t.match(await read('pods?watch=true', 'https://other.example'), { refused: 403 })
    t.match(await read('pods?watch=true', own, 'nonsense'), { refused: 401 })
    t.match(await read('secrets?watch=true', own), { refused: 403 })
  })

  await t.test('proxied requests', async t => {
    const pods = '/api/v1/namespaces/default/pods'
    const get = async (path: string) => await kubectl([...named, 'get', '--raw', path])
    t.match(await get(`${pods}/web:8080/proxy/`), { exitCode: 0, stdout: 'served' })
    t.match(await get(`${pods}/web:8080/proxy/absent?a=b`), { exitCode: 1 })
    t.match(await get(`${pods}/web:9/proxy/`), { exitCode: 1, stderr: /error trying to reach|ECONNREFUSED/ })
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    }
    await kubectl(['apply', '-f', '-'], JSON.stringify(service))
    const path = '/api/v1/namespaces/default/services/web:http/proxy/index.html'
    await until('the service has an endpoint', 10_000, async () => /^served/.test((await get(path)).stdout))
  })

  await t.test('attach', async t => {
    const { stdout } = await kubectl(['attach', '-i', 'web', '-c', 'echo'], 'a word\n')
    t.match(stdout, /heard a word/)
  })

  await t.test('a container that is not there', async t => {
    t.match(await kubectl(['exec', 'web', '-c', 'none', '--', 'true']), { exitCode: 1, stderr: /none/ })
    await kubectl(['delete', 'pod', 'web', '--wait=false'])
    await until('the pod is gone', 20_000, async () => (await kubectl(['get', 'pod', 'web'])).exitCode === 1)
    t.match(await kubectl(['exec', 'web', '--', 'true']), { exitCode: 1, stderr: /not found/ })
  })
})
