/** Probes and hooks against real servers of this process. */
import { once } from 'node:events'
import { createServer as createGrpcServer, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import { PassThrough } from 'node:stream'
import t, { type Test } from 'tap'
import { type HandlerTarget, perform } from '../../../../agent/runtime/handlers.ts'
import { createHttpServer } from '../../../../kit/index.ts'
import type { LifecycleHandler, Probe } from '../../../../protocol/kubernetes/index.ts'

async function portOf(test: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  test.teardown(() => new Promise(resolve => server.close(resolve)))
  return (server.address() as AddressInfo).port
}

/** An engine whose commands say `output` and end with `exitCode`, after being looked at `looks` times. */
function engine(output: string, exitCode: number, looks = 0) {
  let left = looks
  return {
    exec: async () => {
      const stream = new PassThrough()
      stream.end(Buffer.concat([Buffer.alloc(8), Buffer.from(output)]))
      return {
        ...{ stream, resize: async () => {}, exitCode: async () => exitCode },
        isRunning: async () => {
          left -= 1
          return left >= 0
        },
      }
    },
  }
}

const target = (port: number): HandlerTarget => ({
  container: { name: 'a', image: 'i', ports: [{ name: 'web', containerPort: port }] },
  dockerId: 'd',
  podIp: '127.0.0.1',
})
const outcome = (action: Probe & LifecycleHandler, port = 1, milliseconds = 5_000.5) =>
  perform(engine('', 0) as never, action, target(port), milliseconds)

t.test('requests', async t => {
  const seen: unknown[] = []
  const port = await portOf(
    t,
    createHttpServer((request, response) => {
      seen.push([request.url, request.headers.host, request.headers['x-a'], request.headers['user-agent']])
      response.statusCode = request.url === '/bad' ? 500 : request.url === '/moved' ? 302 : 200
      if (request.url !== '/slow') response.end()
    }),
  )
  const get = (path: string, milliseconds?: number) =>
    outcome(
      {
        httpGet: {
          path,
          port: 'web',
          httpHeaders: [
            { name: 'Host', value: 'h' },
            { name: 'X-A', value: '1' },
          ],
        },
      },
      port,
      milliseconds,
    )
  t.ok((await get('/')).successful)
  t.match(seen[0], ['/', 'h', '1', /^kube-probe/])
  t.ok((await get('/moved')).successful)
  t.match(await get('/bad'), { successful: false, message: /statuscode: 500/ })
  t.notOk((await get('/slow', 20)).successful)
  t.match(await outcome({ httpGet: { port: 'nobody' } }), {
    successful: false,
    message: /has no port nobody/,
  })
})

t.test('connections', async t => {
  const port = await portOf(
    t,
    createTcpServer(socket => socket.destroy()),
  )
  t.ok((await outcome({ tcpSocket: { port } })).successful)
  t.notOk((await outcome({ tcpSocket: { port: 1 } })).successful)
})

t.test('questions over gRPC', async t => {
  const port = await portOf(
    t,
    createGrpcServer().on('stream', (stream: ServerHttp2Stream, headers) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const service = Buffer.concat(chunks).subarray(7).toString()
        t.equal(headers[':path'], '/grpc.health.v1.Health/Check')
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
        stream.end(Buffer.from([0, 0, 0, 0, 2, 8, service === 'good' ? 1 : 2]))
      })
    }) as unknown as Server,
  )
  t.ok((await outcome({ grpc: { port, service: 'good' } })).successful)
  t.match(await outcome({ grpc: { port, service: 'bad' } }), {
    successful: false,
    message: 'service unhealthy',
  })
  t.notOk((await outcome({ grpc: { port: 1 } })).successful)
})

t.test('commands', async t => {
  const run = (fake: object, milliseconds = 5_000) =>
    perform(fake as never, { exec: { command: ['x'] } }, target(1), milliseconds)
  t.ok((await run(engine('', 0))).successful)
  t.match(await run(engine('why not', 1)), { successful: false, message: 'why not' })
  t.match(await run(engine('', 3)), { successful: false, message: 'exit code 3' })
  t.ok((await run(engine('', 0, 2))).successful, 'it ends later than its output')
  t.notOk((await run(engine('', 0, 1_000), 80)).successful)
  t.ok((await outcome({ sleep: { seconds: 0 } })).successful)
})
