/** Ports that the agent holds, with real sockets on the loopback. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import t from 'tap'
import type { PublishedPort } from '../../../../agent/network/attachment.ts'
import { PublishedPorts } from '../../../../agent/network/published-ports.ts'
import { createLogger } from '../../../../kit/index.ts'

const log = createLogger('test', 'silent')

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function publisher(name: string, containerPort: number, ...ports: Partial<PublishedPort>[]) {
  return {
    containerId: name,
    interfaceName: 'eth0',
    address: '127.0.0.1',
    ports: ports.map(port => ({
      bindAddress: '127.0.0.1',
      hostPort: 1,
      protocol: 'tcp' as const,
      containerPort,
      ...port,
    })),
  }
}

async function ask(port: number, text: string, host = '127.0.0.1'): Promise<string> {
  const socket = connect({ host, port, allowHalfOpen: true })
  socket.end(text)
  let answer = ''
  for await (const chunk of socket) answer += String(chunk)
  return answer
}

t.test('TCP from the loopback reaches the container, with both ends of the conversation', async t => {
  const container = createServer({ allowHalfOpen: true }, socket => {
    let received = ''
    socket.on('data', chunk => (received += String(chunk)))
    socket.on('end', () => socket.end(`got ${received}`))
  }).listen(0, '127.0.0.1')
  await once(container, 'listening')
  const { port: containerPort } = container.address() as AddressInfo
  const hostPort = await freePort()
  const ports = new PublishedPorts(log)
  const one = publisher('one', containerPort, { hostPort })
  await ports.take(one)
  t.equal(await ask(hostPort, 'hello'), 'got hello')
  await t.rejects(ports.take(publisher('two', containerPort, { hostPort, bindAddress: '0.0.0.0' })), {
    code: 'PortInUse',
    message: /container one/,
  })
  await ports.release(one)
  await t.rejects(once(connect(hostPort, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
  await ports.take(publisher('two', containerPort, { hostPort }))
  container.close()
  await once(container, 'close')
  t.equal(await ask(hostPort, 'hello').catch(() => ''), '', 'a container that does not answer')
  await ports.close()
})

t.test('UDP from the loopback', async t => {
  const container = createSocket('udp4')
  container.on('message', (data, from) => container.send(`got ${data}`, from.port, from.address))
  container.bind(0, '127.0.0.1')
  await once(container, 'listening')
  const hostPort = await freePort()
  const ports = new PublishedPorts(log)
  await ports.take(publisher('one', container.address().port, { hostPort, protocol: 'udp' }))
  const client = createSocket('udp4')
  for (const text of ['first', 'second']) {
    client.send(text, hostPort, '127.0.0.1')
    t.equal(String((await once(client, 'message'))[0]), `got ${text}`)
  }
  client.close()
  container.close()
  await ports.close()
})

t.test('all ports of a container or none', async t => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const taken = (other.address() as AddressInfo).port
  const hostPort = await freePort()
  const ports = new PublishedPorts(log)
  await t.rejects(ports.take(publisher('one', 80, { hostPort }, { hostPort: taken })), {
    code: 'PortInUse',
    message: new RegExp(`port 127.0.0.1:${taken}/tcp`),
  })
  await t.rejects(ports.take(publisher('one', 80, { hostPort }, { hostPort, bindAddress: '192.0.2.123' })), {
    code: 'BindAddressMissing',
    message: /192\.0\.2\.123/,
  })
  const free = createServer().listen(hostPort, '127.0.0.1')
  await once(free, 'listening')
  free.close()
  await once(free, 'close')

  const early = publisher('early', 80, { hostPort: taken })
  t.equal(await ports.retake([early]), 1, 'it cannot be had yet')
  other.close()
  await once(other, 'close')
  t.equal(await ports.retake([early]), 0)
  t.equal(await ports.retake([early]), 0, 'what is held stays')
  const results = await Promise.allSettled([
    ports.take(publisher('a', 80, { hostPort })),
    ports.take(publisher('b', 80, { hostPort })),
  ])
  t.strictSame(results.map(result => result.status).toSorted(), ['fulfilled', 'rejected'])
  await ports.close()
})

const hasIpv6 = Object.values(networkInterfaces()).some(list =>
  list?.some(({ address }) => address === '::1'),
)

t.test('on IPv6, for everybody, beside IPv4', { skip: !hasIpv6 && 'needs IPv6' }, async t => {
  const container = createServer({ allowHalfOpen: true }, socket => {
    socket.resume()
    socket.on('end', () => socket.end('from the container'))
  }).listen(0, '127.0.0.1')
  await once(container, 'listening')
  const { port: containerPort } = container.address() as AddressInfo
  const datagrams = createSocket('udp4')
  datagrams.on('message', (data, from) => datagrams.send(`got ${data}`, from.port, from.address))
  datagrams.bind(containerPort, '127.0.0.1')
  await once(datagrams, 'listening')
  const hostPort = await freePort()
  const ports = new PublishedPorts(log)
  await ports.take(
    publisher(
      'one',
      containerPort,
      { hostPort, bindAddress: '0.0.0.0' },
      { hostPort, bindAddress: '::' },
      { hostPort, bindAddress: '::1', protocol: 'udp' },
    ),
  )
  for (const host of ['127.0.0.1', '::1'])
    t.equal(await ask(hostPort, 'hello', host), 'from the container', host)
  const client = createSocket('udp6')
  client.send('hello', hostPort, '::1')
  t.equal(String((await once(client, 'message'))[0]), 'got hello')
  client.close()
  await t.rejects(ports.take(publisher('two', 80, { hostPort, bindAddress: '::1' })), {
    code: 'PortInUse',
    message: /container one/,
  })
  await t.rejects(ports.take(publisher('two', 80, { hostPort: 1, bindAddress: '2001:db8::123' })), {
    code: 'BindAddressMissing',
    message: /\[2001:db8::123\]:1/,
  })
  container.close()
  datagrams.close()
  await ports.close()
})
