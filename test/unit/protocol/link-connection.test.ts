/** Both ends of the link over a real websocket. */
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { createLogger, DroverError } from '../../../kit/index.ts'
import {
  type AgentMessage,
  agentMessage,
  LinkConnection,
  type LinkStream,
  MessagePacker,
  type OwnMessage,
  type ServerMessage,
  serverMessage,
} from '../../../protocol/index.ts'

const log = createLogger('test', 'silent')

type ServerEnd = LinkConnection<AgentMessage, ServerMessage>
type AgentEnd = LinkConnection<ServerMessage, AgentMessage>

interface Pair {
  readonly server: ServerEnd
  readonly agent: AgentEnd
  readonly rawAgent: WebSocket
  readonly atServer: OwnMessage<AgentMessage>[]
  readonly closed: Promise<string>
}

interface PairOptions {
  readonly onRequest?: (method: string, params: unknown) => Promise<unknown>
  readonly onStream?: (kind: string, params: unknown, stream: LinkStream) => void
}

async function connect(
  test: { teardown(work: () => unknown): void },
  options: PairOptions = {},
): Promise<Pair> {
  const listener = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise(resolve => listener.once('listening', resolve))
  test.teardown(() => listener.close())
  const atServer: OwnMessage<AgentMessage>[] = []
  const { promise: closed, resolve: close } = Promise.withResolvers<string>()
  const server = new Promise<ServerEnd>(resolve => {
    listener.once('connection', socket => {
      resolve(
        new LinkConnection<AgentMessage, ServerMessage>({
          socket,
          incoming: agentMessage,
          log,
          onMessage: message => atServer.push(message),
          onRequest: options.onRequest ?? (() => Promise.resolve(null)),
          onClose: close,
        }),
      )
    })
  })
  const rawAgent = new WebSocket(`ws://127.0.0.1:${(listener.address() as AddressInfo).port}`)
  await new Promise(resolve => rawAgent.once('open', resolve))
  const agent = new LinkConnection<ServerMessage, AgentMessage>({
    socket: rawAgent,
    incoming: serverMessage,
    log,
    onMessage: () => undefined,
    onRequest: options.onRequest ?? (() => Promise.resolve(null)),
    ...(options.onStream === undefined ? {} : { onStream: options.onStream }),
    onClose: () => undefined,
  })
  test.teardown(() => rawAgent.terminate())
  return { server: await server, agent, rawAgent, atServer, closed }
}

t.test('messages arrive in order', async t => {
  const { agent, atServer, server } = await connect(t)
  for (let load = 0; load < 5; load += 1) agent.send({ type: 'status', containers: [], load, memoryFree: 1 })
  await agent.request('anything', {}, 1000)
  t.strictSame(
    atServer.map(message => (message.type === 'status' ? message.load : -1)),
    [0, 1, 2, 3, 4],
  )
  server.close('done')
})

t.test('a request gets its answer, an error, or a deadline', async t => {
  const { agent } = await connect(t, {
    onRequest: async (method, params) => {
      if (method === 'echo') return params
      if (method === 'never') return await new Promise(() => undefined)
      throw new DroverError('NoAddressBlock', { status: 507, message: 'is full' })
    },
  })
  t.strictSame(await agent.request('echo', { a: [1] }, 1000), { a: [1] })
  await t.rejects(agent.request('fail', {}, 1000), { code: 'NoAddressBlock', status: 507 })
  await t.rejects(agent.request('never', {}, 10), { code: 'DeadlineExceeded' })
})

t.test('a closed connection answers everything that waits', async t => {
  const { agent, server, rawAgent } = await connect(t, { onRequest: () => new Promise(() => undefined) })
  const waiting = agent.request('never', {}, 60_000)
  const stream = agent.openStream('any', {})
  stream.on('error', () => undefined)
  const ended = new Promise(resolve => stream.once('close', resolve))
  rawAgent.terminate()
  await t.rejects(waiting, { code: 'LinkClosed' })
  await ended
  await t.rejects(agent.request('late', {}, 1000), { code: 'LinkClosed' })
  server.terminate('done')
})

t.test('a stream carries bytes both ways, whatever their number, and ends', async t => {
  const { server } = await connect(t, { onStream: (_kind, _params, stream) => void pipeline(stream, stream) })
  const stream = server.openStream('echo', {})
  const sent = Buffer.alloc(3_000_000, 'abcdefg')
  const received: Buffer[] = []
  stream.on('data', (data: Buffer) => received.push(data))
  const over = new Promise(resolve => stream.once('end', resolve))
  stream.end(sent)
  await over
  t.ok(Buffer.concat(received).equals(sent))
})

t.test('a reader that stops makes its writer wait, and nobody else', async t => {
  let written = 0
  const { server } = await connect(t, {
    onStream: (kind, _params, stream) => {
      if (kind === 'quick') {
        stream.end('here')
        return
      }
      const chunk = Buffer.alloc(64 * 1024)
      const more = () => {
        while (written < 20_000_000 && stream.write(chunk)) written += chunk.length
        if (written < 20_000_000) stream.once('drain', more)
      }
      more()
    },
  })
  const slow = server.openStream('slow', {})
  slow.on('error', () => undefined)
  const quick = server.openStream('quick', {})
  const text = await new Promise<string>(resolve =>
    quick.once('data', (data: Buffer) => resolve(data.toString())),
  )
  t.equal(text, 'here')
  await server.request('anything', {}, 1000)
  t.ok(written < 2_000_000, `only ${written} bytes were taken`)
  slow.resume()
  let got = 0
  await new Promise<void>(resolve => {
    slow.on('data', (data: Buffer) => {
      got += data.length
      if (got > 5_000_000) resolve()
    })
  })
  slow.destroy()
  t.pass('goes on when it is read')
})

t.test('what was sent before a stream was ended and closed is read, however late', async t => {
  const { server } = await connect(t, {
    onStream: (_kind, _params, stream) => {
      stream.end('all of it')
      // As a connection that is carried by it, and that is closed as soon as everything is sent.
      stream.once('finish', () => stream.destroy(new Error('closed')))
    },
  })
  const stream = server.openStream('any', {})
  // By then, its end and its error are there too.
  await server.request('anything', {}, 1000)
  t.equal(stream.write('for nobody'), true)
  const chunks: Buffer[] = await Array.fromAsync(stream)
  t.equal(Buffer.concat(chunks).toString(), 'all of it')
})

t.test('an error ends a stream on both sides', async t => {
  const { server } = await connect(t, {
    onStream: (_kind, _params, stream) =>
      stream.destroy(new DroverError('Nope', { status: 404, message: 'is not here' })),
  })
  const stream = server.openStream('any', {})
  const error = await new Promise<Error>(resolve => stream.once('error', resolve))
  t.match(error, { code: 'Nope', message: 'is not here' })
})

t.test('errors of any length are told, and the connection goes on', async t => {
  const message = `exec: "${'long'.repeat(10_000)}": not found`
  const { agent, server } = await connect(t, {
    onRequest: () => Promise.reject(new Error(message)),
    onStream: (_kind, _params, stream) => stream.destroy(new Error(message)),
  })
  await t.rejects(agent.request('any', {}, 5_000), { message: message.slice(0, 4_096) })
  const stream = server.openStream('any', {})
  const error = await new Promise<Error>(resolve => stream.once('error', resolve))
  t.equal(error.message, message.slice(0, 4_096))
  await t.rejects(agent.request('again', {}, 5_000), { code: 'RequestFailed' })
})

t.test('whoever asks too much at once is told, and no more is begun', async t => {
  let begun = 0
  const { agent } = await connect(t, {
    onRequest: () => {
      begun += 1
      return new Promise(() => undefined)
    },
  })
  for (let count = 0; count < 1024; count += 1) agent.request('slow', {}, 60_000).catch(() => undefined)
  await t.rejects(agent.request('one more', {}, 5_000), { code: 'QueueFull' })
  t.equal(begun, 1024)
})

t.test('a connection is closed for reasons in any script', async t => {
  const { agent, closed } = await connect(t)
  agent.close('für immer geschlossen 再见'.repeat(20))
  t.match(await closed, /^für immer geschlossen/)
})

t.test('a message that breaks the protocol ends the connection', async t => {
  for (const message of [
    '{',
    '{"type":"nothing"}',
    '{"type":"status"}',
    '[]',
    `{"type":"status","containers":${'['.repeat(5000)}`,
  ]) {
    const { rawAgent, closed } = await connect(t)
    rawAgent.send(message)
    t.match(await closed, /breaks the protocol/)
  }
})

t.test('large messages are packed, once for all, and come in order', async t => {
  const packer = new MessagePacker()
  const text = (reason: string) => JSON.stringify({ type: 'metadata.resync', reason })
  t.equal(packer.pack(text('short')), text('short'))
  // The longest message of an agent that its schema lets pass is short; padding is no part of it.
  const large = `${text('large')}${' '.repeat(100_000)}`
  const packed = packer.pack(large)
  t.ok(packed instanceof Buffer && packed.length < 1_000, 'smaller')
  t.equal(packer.pack(large), packed, 'packed once')

  const { agent, atServer, rawAgent, closed } = await connect(t)
  agent.sendEncoded(packed)
  agent.sendEncoded(text('after'))
  while (atServer.length < 2) await new Promise(resolve => setImmediate(resolve))
  t.same(
    atServer.map(message => (message as { reason?: string }).reason),
    ['large', 'after'],
  )
  rawAgent.send(Buffer.from([0, 0, 0, 0, 1, 2, 3]))
  t.match(await closed, /breaks the protocol/, 'what cannot be unpacked ends the connection')
})
