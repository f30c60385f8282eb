/** What runs in pods of kubelets, against a server that speaks as they do: SPDY, and closes as soon as it is done. */
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { Duplex } from 'node:stream'
import t, { type Test } from 'tap'
import { createLogger } from '../../../../kit/index.ts'
import { CHANNEL, type ContainerCommand, encodeFrame, FrameDecoder } from '../../../../protocol/index.ts'
import { readFromKubelet } from '../../../../server/master/apiserver/kubelets/kubelet-request.ts'
import {
  connectAtKubelet,
  runAtKubelet,
} from '../../../../server/master/apiserver/kubelets/kubelet-streams.ts'
import { closeFrame } from '../../../../server/master/apiserver/streams/command.ts'
import { SpdySession, type SpdyStream } from '../../../../server/master/apiserver/streams/spdy/index.ts'

const silentLog = createLogger('test', 'silent')

type Streams = ReadonlyMap<string, SpdyStream>

/** Serves one request after the other. */
async function startKubelet(
  t: Test,
  expected: readonly string[],
  serve: (streams: Streams, request: IncomingMessage) => Promise<void>,
): Promise<() => Duplex> {
  const server = createServer()
  server.on('upgrade', (request, socket) => {
    const protocol = String(request.headers['x-stream-protocol-version'])
    const head = ['Upgrade: SPDY/3.1', 'Connection: Upgrade', `X-Stream-Protocol-Version: ${protocol}`]
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${head.join('\r\n')}\r\n\r\n`)
    const streams = new Map<string, SpdyStream>()
    const session = new SpdySession(socket, stream => {
      streams.set(stream.headers.get('streamtype') ?? '', stream)
      if (expected.some(name => !streams.has(name))) return
      void serve(streams, request).then(() => {
        // As the library of kubelets does: everything is reset, and the connection closed.
        for (const one of streams.values()) one.destroy()
        session.end()
      })
    })
    void session.run().catch(() => undefined)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return () => connect(port, '127.0.0.1')
}

const COMMAND: ContainerCommand = {
  ...{ namespace: 'default', pod: 'web', uid: 'u', container: 'main', command: ['cat', 'a b'] },
  ...{ stdin: true, stdout: true, stderr: true, tty: false },
}

function ended(stream: SpdyStream | undefined, text = ''): Promise<void> {
  return new Promise(resolve => stream?.end(text, () => resolve()))
}

/** @returns what came on each channel */
async function collect(client: Duplex): Promise<Map<number, string>> {
  const decoder = new FrameDecoder()
  const found = new Map<number, string>()
  for await (const bytes of client.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    for (const { kind, content } of decoder.decode(bytes))
      found.set(kind, `${found.get(kind) ?? ''}${content}`)
  }
  return found
}

t.test('a command: nothing is lost, however soon it ends', async t => {
  const paths: (string | undefined)[] = []
  const dial = await startKubelet(t, ['error', 'stdin', 'stdout', 'stderr'], async (streams, { url }) => {
    paths.push(url)
    const [stdin, stdout] = [streams.get('stdin'), streams.get('stdout')]
    if (stdin === undefined || stdout === undefined) return
    for await (const bytes of stdin.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)
      await new Promise(resolve => stdout.write(bytes, resolve))
    await Promise.all([ended(stdout), ended(streams.get('stderr'), 'warning')])
    await new Promise(resolve => streams.get('error')?.write('{"status":"Success"}', resolve))
  })
  for (let count = 0; count < 300; count += 1) {
    const input = 'x'.repeat(count % 10 === 0 ? 200_000 : count)
    const client = await runAtKubelet(dial(), COMMAND, silentLog)
    if (input !== '') client.write(encodeFrame(CHANNEL.input, Buffer.from(input)))
    client.write(closeFrame(CHANNEL.input))
    const found = await collect(client)
    client.destroy()
    const outcome = found.get(CHANNEL.outcome)
    if (outcome === '{"status":"Success"}' && (found.get(CHANNEL.output) ?? '') === input) continue
    t.fail(`run ${count}: ${outcome}, ${found.get(CHANNEL.output)?.length} bytes`)
    break
  }
  t.equal(paths[0], '/exec/default/web/main?command=cat&command=a+b&input=1&output=1&error=1')
})

t.test('a port of a pod', async t => {
  const paths: (string | undefined)[] = []
  const dial = await startKubelet(t, ['error', 'data'], async (streams, { url }) => {
    paths.push(url)
    const data = streams.get('data')
    if (data?.headers.get('port') === '81') {
      await Promise.all([ended(streams.get('error'), 'nobody listens'), ended(data)])
      return
    }
    const [question] = await Array.fromAsync(data?.iterator({ destroyOnReturn: false }) ?? [])
    await Promise.all([ended(data, `you said ${question}`), ended(streams.get('error'))])
  })
  const pod = { namespace: 'default', pod: 'web', uid: 'u' }
  const connection = await connectAtKubelet(dial(), { ...pod, port: 80 }, silentLog)
  connection.end('hello')
  t.equal(Buffer.concat(await Array.fromAsync(connection)).toString(), 'you said hello')
  const refused = await connectAtKubelet(dial(), { ...pod, port: 81 }, silentLog)
  await t.rejects(new Promise((_, reject) => refused.once('error', reject)), /nobody listens/)
  t.strictSame(paths, ['/portForward/default/web', '/portForward/default/web'])
})

t.test('what a kubelet refuses is told in its words', async t => {
  const server = createServer((_request, response) => {
    response.writeHead(404)
    response.end('pods "web" not found\n')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const dial = () => connect((server.address() as AddressInfo).port, '127.0.0.1')
  await t.rejects(runAtKubelet(dial(), COMMAND, silentLog), {
    code: 'NotFound',
    message: 'pods "web" not found',
  })
  await t.rejects(readFromKubelet(dial(), '/containerLogs/default/web/main'), { code: 'NotFound' })
})
