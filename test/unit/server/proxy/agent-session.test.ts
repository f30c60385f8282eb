/** One connected agent: what is begun for it is begun once, and not for one that is gone. */
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { createLogger } from '../../../../kit/index.ts'
import { LINK_VERSION, MessagePacker } from '../../../../protocol/index.ts'
import { AgentSession } from '../../../../server/proxy/agent-session.ts'

const HELLO = JSON.stringify({
  type: 'hello',
  version: LINK_VERSION,
  session: 's',
  host: {
    ...{ hostname: 'h', address: '192.0.2.1', labels: {}, memory: 1, milliCpu: 1, localStorageMb: 1 },
    ...{ kernelVersion: '', operatingSystem: '', dockerVersion: '', agentVersion: '', bootId: 'b' },
  },
})
const NETWORK = {
  ...{ clusterBlock: '10.42.0.0/16', blocks: [], hostKeys: { current: 'k' } },
  network: { kind: 'bridge', options: {}, hostPorts: true },
}

/** An agent whose host is being written down until `written` is resolved. */
async function connect(t: Test) {
  const listener = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise(resolve => listener.once('listening', resolve))
  t.teardown(() => listener.close())
  const written = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<void>()
  const host = { id: '1h1', uuid: 'u', clusterId: '1c1', nodeName: 'h' }
  let subscriptions = 0
  const context = {
    model: { hosts: { require: () => host } },
    hosts: {
      describe: async () => {
        begun.resolve()
        await written.promise
        return host
      },
    },
    blocks: { ensure: async () => [] },
    networks: { of: () => NETWORK },
    metadata: {
      subscribe: () => {
        subscriptions += 1
        return { close: () => undefined, resync: () => undefined }
      },
    },
    packer: new MessagePacker(),
    log: createLogger('test', 'silent'),
  } as unknown as ConstructorParameters<typeof AgentSession>[2]
  listener.once('connection', socket => {
    new AgentSession(socket, { hostId: host.id, keyId: 'k' }, context, {
      onHello: () => undefined,
      onWelcome: () => undefined,
      onClose: () => closed.resolve(),
    })
  })
  const agent = new WebSocket(`ws://127.0.0.1:${(listener.address() as AddressInfo).port}`)
  await new Promise(resolve => agent.once('open', resolve))
  t.teardown(() => agent.terminate())
  return {
    agent,
    begun: begun.promise,
    write: written.resolve,
    closed: closed.promise,
    count: () => subscriptions,
  }
}

/** Whatever has been begun has its turn. */
const settled = () => new Promise(resolve => setTimeout(resolve, 0))

t.test('an agent that says hello twice is greeted once', async t => {
  const { agent, begun, write, count } = await connect(t)
  const welcomes: string[] = []
  agent.on('message', data => welcomes.push(data.toString()))
  agent.send(HELLO)
  agent.send(HELLO)
  await begun
  const answered = new Promise(resolve => agent.once('pong', resolve))
  agent.ping()
  await answered
  write()
  while (welcomes.length === 0) await settled()
  await settled()
  t.equal(welcomes.length, 1)
  t.equal(count(), 1)
})

t.test('nothing is begun for one that has gone meanwhile', async t => {
  const { agent, begun, write, closed, count } = await connect(t)
  agent.send(HELLO)
  await begun
  agent.terminate()
  await closed
  write()
  await settled()
  t.equal(count(), 0, 'what nobody would end')
})
