/** The client against servers that say what charon would, or what it would not. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import path from 'node:path'
import t, { type Test } from 'tap'
import { encodeMessage, type ViciSection } from '../../../../netplugins/ipsec/vici/message.ts'
import { SegmentReader } from '../../../../netplugins/ipsec/vici/packet.ts'
import { ViciClient } from '../../../../netplugins/ipsec/vici/vici-client.ts'

function segment(...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const header = Buffer.alloc(4)
  header.writeUInt32BE(content.length)
  return Buffer.concat([header, content])
}

const response = (message: ViciSection) => segment(Buffer.from([1]), encodeMessage(message))
const event = (name: string, message: ViciSection) =>
  segment(Buffer.from([7, name.length]), Buffer.from(name), encodeMessage(message))
const CONFIRM = segment(Buffer.from([5]))

/** @param answer to every packet of a client, given its type and name */
async function serve(
  t: Test,
  answer: (socket: Socket, type: number, name: string) => void,
): Promise<ViciClient> {
  const directory = mkdtempSync('/tmp/drover-vici-')
  const server: Server = createServer(socket => {
    const segments = new SegmentReader()
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      for (const packet of segments.push(chunk)) {
        answer(socket, packet[0] ?? -1, packet.subarray(2, 2 + (packet[1] ?? 0)).toString())
      }
    })
  })
  const file = path.join(directory, 'vici')
  server.listen(file)
  await once(server, 'listening')
  const client = await ViciClient.connect(file)
  t.teardown(() => {
    client.close()
    server.close()
    rmSync(directory, { recursive: true })
  })
  return client
}

t.test('requests are answered in order', async t => {
  const client = await serve(t, (socket, _, name) => socket.write(response({ said: name })))
  const answers = await Promise.all(['a', 'b', 'c'].map(name => client.request(name)))
  t.same(
    answers.map(answer => answer.said),
    ['a', 'b', 'c'],
  )
})

t.test('what charon refuses is an error with what it said', async t => {
  const client = await serve(t, (socket, _, name) =>
    socket.write(
      name === 'unknown' ? segment(Buffer.from([2])) : response({ success: 'no', errmsg: 'not today' }),
    ),
  )
  await t.rejects(client.request('load-conn'), { code: 'CharonRefused', message: /not today/ })
  await t.rejects(client.request('unknown'), { code: 'CharonRefused', message: /not a command/ })
})

t.test('an answer in parts', async t => {
  const client = await serve(t, (socket, type) => {
    if (type !== 0) return socket.write(CONFIRM)
    return socket.write(
      Buffer.concat([event('list-sa', { n: '1' }), event('list-sa', { n: '2' }), response({})]),
    )
  })
  for (const _ of [1, 2]) {
    const parts = await client.stream('list-sas', 'list-sa')
    t.same(
      parts.map(part => part.n),
      ['1', '2'],
    )
  }
})

t.test('events until they are not wanted any more', async t => {
  const heard: unknown[] = []
  const client = await serve(t, (socket, type) => {
    if (type === 3) socket.write(Buffer.concat([CONFIRM, event('log', { n: '1' })]))
    else if (type === 0) socket.write(Buffer.concat([event('log', { n: '2' }), response({})]))
    else socket.write(CONFIRM)
  })
  const stop = await client.listen('log', message => heard.push(message.n))
  await client.request('version')
  await stop()
  await client.request('version')
  t.equal(heard.at(-1), '2')
  t.equal(heard.filter(number => number === '2').length, 1)
})

t.test('silence ends the connection: the next answer could be to the last question', async t => {
  const client = await serve(t, () => undefined)
  await t.rejects(client.request('version', {}, 50), { code: 'DeadlineExceeded' })
  await t.rejects(client.request('version'), { code: 'DeadlineExceeded' })
  t.match(await client.closed, { code: 'DeadlineExceeded' })
})

t.test('nonsense, and an answer to nothing, end the connection', async t => {
  for (const bytes of [
    segment(Buffer.from([99])),
    Buffer.from([255, 255, 255, 255]),
    Buffer.concat([CONFIRM, CONFIRM]),
  ]) {
    const client = await serve(t, socket => socket.write(bytes))
    await client.listen('log', () => undefined).catch(() => undefined)
    t.match(await client.closed, { code: 'MalformedVici' })
  }
})

t.test('a server that ends', async t => {
  const client = await serve(t, socket => socket.destroy())
  await t.rejects(client.request('version'), { code: 'Stopped' })
  await t.rejects(ViciClient.connect('/nowhere/vici'), { code: 'ENOENT' })
})
