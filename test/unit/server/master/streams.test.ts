/** Connections that break off before they are what they asked to be leave no command behind. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { running } from './echo-node.ts'
import { eventually, pod, temporaryMaster } from './temporary-master.ts'

t.test('broken handshakes', async t => {
  const { ask, port } = await temporaryMaster(t)
  await ask('/api/v1/namespaces/default/pods', { method: 'POST', body: pod('web', { nodeName: 'n1' }) })
  const open = (headers: readonly string[]) => {
    const socket = connect({ host: '127.0.0.1', port })
    const path = '/k8s/clusters/c1/api/v1/namespaces/default/pods/web/exec?command=cat&stdin=true&stdout=true'
    const own = ['Host: test', 'Authorization: Bearer admin|c1', 'Connection: Upgrade', ...headers]
    socket.write(`GET ${path} HTTP/1.1\r\n${own.join('\r\n')}\r\n\r\n`)
    return socket
  }
  const websocket = [
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Protocol: v4.channel.k8s.io',
  ]

  await t.test('a key that is none', async t => {
    t.match(await text(open([...websocket, 'Sec-WebSocket-Key: none'])), /^HTTP\/1\.1 400 /)
    await eventually(async () => running.size === 0, 'the command is gone')
  })

  await t.test('a client that leaves in the middle of a command', async () => {
    const socket = open([...websocket, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='])
    await once(socket, 'data')
    await eventually(async () => running.size === 1, 'the command runs')
    socket.destroy()
    await eventually(async () => running.size === 0, 'the command is gone')
  })

  await t.test('a protocol that is not known', async t => {
    t.match(
      await text(open(['Upgrade: chat'])),
      /"message":"the connection must be upgraded to websocket or SPDY/,
    )
    t.equal(running.size, 0)
  })
})
