/** How the API reaches a service inside of its cluster, and URLs outside. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { Duplex, duplexPair } from 'node:stream'
import t, { type Test } from 'tap'
import { createCertificateAuthority, issueCertificate } from '../../../../kit/x509/index.ts'
import {
  type Backend,
  BackendClient,
  type ClusterView,
  isRefusedAddress,
  outsideFinder,
} from '../../../../server/master/apiserver/backends/index.ts'

interface Known {
  readonly kind: string
  readonly name: string
  readonly object: object
}

function viewOf(known: readonly Known[]): ClusterView {
  const stored = known.map(({ kind, name, object }) => ({
    key: { kind, namespace: 'apps', name },
    revision: 1,
    createdRevision: 1,
    json: JSON.stringify(object),
  }))
  return {
    id: 'c1',
    closing: new AbortController().signal,
    find: (kind, namespace, name) =>
      stored.find(({ key }) => key.kind === kind && key.namespace === namespace && key.name === name),
    list: kind => stored.filter(({ key }) => key.kind === kind),
    read: ({ json }) => JSON.parse(json),
  }
}

const service = {
  kind: 'services',
  name: 'hook',
  object: {
    metadata: { name: 'hook', namespace: 'apps' },
    spec: { ports: [{ port: 443, protocol: 'TCP' }] },
  },
}

function pod(name: string, nodeName: string): Known {
  const metadata = { name, namespace: 'apps', uid: `uid-of-${name}` }
  return { kind: 'pods', name, object: { metadata, spec: { nodeName, containers: [] } } }
}

function slice(...endpoints: { readonly pod: string; readonly ready: boolean }[]): Known {
  const object = {
    metadata: { name: 'hook-1', namespace: 'apps', labels: { 'kubernetes.io/service-name': 'hook' } },
    ports: [{ port: 8443 }],
    endpoints: endpoints.map(({ pod, ready }) => ({
      conditions: { ready },
      targetRef: { kind: 'Pod', name: pod },
    })),
  }
  return { kind: 'discovery.k8s.io/endpointslices', name: 'hook-1', object }
}

const authority = await createCertificateAuthority('of the hook', 1)

async function serve(
  t: Test,
  dnsName: string,
  answer: Parameters<typeof createServer>[1] = (request, response) => {
    response.end(`${request.method} ${request.url} ${request.headers.host}`)
  },
): Promise<{ readonly server: Server; readonly port: number; connections(): number }> {
  const pair = await issueCertificate(authority, {
    commonName: dnsName,
    dnsNames: [dnsName],
    usage: 'server',
    validDays: 1,
  })
  const server = createServer({ cert: pair.certificate, key: pair.privateKey }, answer)
  let connections = 0
  server.on('secureConnection', () => {
    connections += 1
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, port: (server.address() as AddressInfo).port, connections: () => connections }
}

const backend: Backend = {
  address: { type: 'service', namespace: 'apps', name: 'hook', port: 443 },
  trust: { type: 'authority', certificates: authority.certificate },
}
const ask = { method: 'POST', path: '/a?b=c', body: '{}', deadline: 5_000, answerLimit: 1024 }

/** A client whose nodes lead to `port`, by a stream that is no socket, as the links of agents are. */
function clientTo(t: Test, port: number, asked: string[] = []): BackendClient {
  const client = new BackendClient({
    nodes: {
      connectToPod: async (cluster: string, node: string, request: { pod: string; port: number }) => {
        asked.push(`${cluster} ${node} ${request.pod}:${request.port}`)
        if (node === 'silent') throw new Error('the node is not connected')
        const [ours, theirs] = duplexPair()
        const socket: Socket = connect(port, '127.0.0.1')
        theirs.pipe(socket)
        socket.pipe(theirs)
        socket.on('error', () => theirs.destroy())
        socket.once('close', () => theirs.destroy())
        theirs.once('close', () => socket.destroy())
        return ours
      },
    } as never,
  })
  t.teardown(() => client.stop())
  return client
}

t.test('a service inside of the cluster', async t => {
  const { port, connections } = await serve(t, 'hook.apps.svc')
  const asked: string[] = []
  const client = clientTo(t, port, asked)
  const view = viewOf([
    service,
    pod('sick', 'n1'),
    pod('well', 'n2'),
    slice({ pod: 'sick', ready: false }, { pod: 'well', ready: true }),
  ])
  for (let turn = 0; turn < 3; turn += 1) {
    const { status, body } = await client.exchange(view, backend, ask)
    t.same([status, body.toString()], [200, 'POST /a?b=c hook.apps.svc:443'])
  }
  t.same(asked, ['c1 n2 well:8443'], 'through the node of a ready pod, and once')
  t.equal(connections(), 1)
})

t.test('another pod is asked when the first cannot be reached', async t => {
  const { port } = await serve(t, 'hook.apps.svc')
  const asked: string[] = []
  const client = clientTo(t, port, asked)
  const view = viewOf([
    service,
    pod('one', 'silent'),
    pod('two', 'n2'),
    slice({ pod: 'one', ready: true }, { pod: 'two', ready: true }),
  ])
  t.equal((await client.exchange(view, backend, ask)).status, 200)
})

t.test('a connection that ended while it was not used is replaced', async t => {
  const { server, port, connections } = await serve(t, 'hook.apps.svc')
  const client = clientTo(t, port)
  const view = viewOf([service, pod('one', 'n1'), slice({ pod: 'one', ready: true })])
  t.equal((await client.exchange(view, backend, ask)).status, 200)
  server.closeAllConnections()
  t.equal((await client.exchange(view, backend, ask)).status, 200)
  t.equal(connections(), 2)
})

t.test('what is refused', async t => {
  const view = viewOf([service, pod('one', 'n1'), slice({ pod: 'one', ready: true })])
  await t.rejects(clientTo(t, 1).exchange(viewOf([]), backend, ask), { message: /services "hook" not found/ })
  await t.rejects(clientTo(t, 1).exchange(viewOf([service]), backend, ask), {
    message: /no endpoints available for service "hook"/,
  })
  const otherPort: Backend = { ...backend, address: { ...backend.address, port: 444 } as never }
  await t.rejects(clientTo(t, 1).exchange(view, otherPort, ask), { message: /no endpoints available/ })
  const misnamed = await serve(t, 'another.apps.svc')
  await t.rejects(clientTo(t, misnamed.port).exchange(view, backend, ask), {
    message: /x509: certificate is not valid for hook.apps.svc/,
  })
  const right = await serve(t, 'hook.apps.svc')
  const stranger = await createCertificateAuthority('stranger', 1)
  const wrongTrust: Backend = {
    ...backend,
    trust: { type: 'authority', certificates: stranger.certificate },
  }
  await t.rejects(clientTo(t, right.port).exchange(view, wrongTrust, ask), {
    message: /x509: certificate signed by unknown authority/,
  })
  const anyone: Backend = { ...backend, trust: { type: 'anyone' } }
  t.equal((await clientTo(t, misnamed.port).exchange(view, anyone, ask)).status, 200)
})

t.test('answers are bounded, in size and time', async t => {
  const view = viewOf([service, pod('one', 'n1'), slice({ pod: 'one', ready: true })])
  const large = await serve(t, 'hook.apps.svc', (_, response) => response.end('x'.repeat(2000)))
  await t.rejects(clientTo(t, large.port).exchange(view, backend, ask), {
    message: 'the answer has more than 1024 bytes',
  })
  const silent = await serve(t, 'hook.apps.svc', () => undefined)
  await t.rejects(clientTo(t, silent.port).exchange(view, backend, { ...ask, deadline: 50 }), {
    code: 'DeadlineExceeded',
  })
  const connection = new Duplex({ read() {}, write() {} })
  const mute = new BackendClient({ nodes: { connectToPod: async () => connection } as never })
  t.teardown(() => mute.stop())
  await t.rejects(mute.exchange(view, backend, { ...ask, deadline: 50 }), { code: 'DeadlineExceeded' })
  connection.destroy()
})

t.test('URLs', async t => {
  const { port } = await serve(t, 'hook.example')
  const outside: Backend = {
    ...backend,
    address: { type: 'url', url: new URL(`https://hook.example:${port}/`) },
  }
  const nodes = {} as never
  const found: string[] = []
  const client = new BackendClient({
    nodes,
    findOutside: async host => {
      found.push(host)
      return { address: '127.0.0.1', family: 4 }
    },
  })
  t.teardown(() => client.stop())
  t.equal(
    (await client.exchange(viewOf([]), outside, ask)).body.toString(),
    `POST /a?b=c hook.example:${port}`,
  )
  t.same(found, ['hook.example'])
  const guarded = new BackendClient({ nodes })
  t.teardown(() => guarded.stop())
  for (const host of [
    '127.0.0.1',
    'localhost',
    '[::1]',
    '169.254.169.254',
    '10.43.0.1',
    '[::ffff:127.0.0.1]',
  ]) {
    const address = { type: 'url', url: new URL(`https://${host}:${port}/`) } as const
    await t.rejects(
      guarded.exchange(viewOf([]), { ...backend, address }, ask),
      { message: /which clusters do not reach/ },
      host,
    )
  }
  t.notOk(isRefusedAddress('203.0.113.7'))
  t.notOk(isRefusedAddress('2001:db8::7'))
})

t.test('names that lead to several places, or to others each time', async t => {
  const answers = [
    ['169.254.169.254', '203.0.113.7'],
    ['127.0.0.1'],
    ['::ffff:127.0.0.1', 'fe80::1', '10.42.0.7'],
  ]
  let asked = 0
  const find = outsideFinder(async () => {
    const addresses = answers[asked] ?? []
    asked += 1
    return addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
  })
  t.same(await find('two-faced.test'), { address: '203.0.113.7', family: 4 })
  t.equal(asked, 1, 'what was found is what is connected to')
  for (let turn = 0; turn < 3; turn += 1)
    await t.rejects(find('two-faced.test'), {
      reason: 'ServiceUnavailable',
      message: /clusters do not reach/,
    })
  const unknown = outsideFinder(async () => {
    throw new Error('ENOTFOUND')
  })
  await t.rejects(unknown('nowhere.test'), { message: 'dial tcp: lookup nowhere.test: no such host' })
})
