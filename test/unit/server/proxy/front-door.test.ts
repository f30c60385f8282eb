/** Who is let through the front door to speak another protocol: nobody by what a browser adds by itself. */
import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import type { Duplex } from 'node:stream'
import t from 'tap'
import { createLogger, HttpListener } from '../../../../kit/index.ts'
import { FrontDoor, type FrontDoorParts } from '../../../../server/proxy/front-door.ts'
import { refuseUpgrade } from '../../../../server/proxy/upgrade.ts'

const PATHS = [
  '/v3/connect',
  '/v1/exec/?token=t',
  '/v1/logs/?token=t',
  '/k8s/clusters/1c1/api/v1/namespaces/default/pods/p/exec',
]

interface Door {
  /** The status of an answer to an upgrade. */
  upgrade(path: string, headers: Readonly<Record<string, string>>, encrypted?: boolean): Promise<number>
  /** Who was asked to take connections over. */
  readonly asked: string[]
}

/** A door behind which everybody refuses with 418, having been asked. */
async function door(test: { teardown(work: () => Promise<void>): unknown }): Promise<Door> {
  const asked: string[] = []
  const take = (who: string, socket: Duplex) => {
    asked.push(who)
    refuseUpgrade(socket, 418, 'asked')
  }
  const parts = {
    links: { upgrade: (_request: IncomingMessage, socket: Duplex) => take('agents', socket) },
    streams: {
      upgrade: (kind: string, _token: string, _request: IncomingMessage, socket: Duplex) =>
        take(kind, socket),
    },
    kubernetes: {
      upgrade: async (cluster: string, _path: string, _request: IncomingMessage, socket: Duplex) =>
        take(cluster, socket),
    },
    log: createLogger('test', 'silent'),
  } as unknown as FrontDoorParts
  const front = new FrontDoor(parts)
  const ports = new Map<boolean, number>()
  for (const encrypted of [true, false]) {
    const listener = new HttpListener({
      name: 'test',
      host: '127.0.0.1',
      port: 0,
      onRequest: (_request, response) => response.end(),
      onUpgrade: (incoming, socket, head) => front.upgrade(incoming, socket, head, encrypted),
    })
    await listener.start()
    test.teardown(() => listener.stop())
    ports.set(encrypted, listener.port)
  }
  return {
    asked,
    upgrade: (path, headers, encrypted = true) =>
      new Promise((resolve, reject) => {
        const outgoing = request({
          host: '127.0.0.1',
          port: ports.get(encrypted),
          path,
          headers: { connection: 'Upgrade', upgrade: 'websocket', ...headers },
        })
        outgoing.once('response', ({ statusCode = 0 }) => resolve(statusCode))
        outgoing.once('upgrade', () => resolve(101))
        outgoing.once('error', reject)
        outgoing.end()
      }),
  }
}

t.test('pages of other sites', async t => {
  const { upgrade, asked } = await door(t)
  for (const path of PATHS) {
    for (const origin of ['https://elsewhere.example', 'null', 'https://drover.example.evil.example', 'x y'])
      t.equal(await upgrade(path, { host: 'drover.example', origin }), 403, `${path} from ${origin}`)
  }
  t.equal(
    await upgrade('/api/v1/pods', { host: '1c1.k8s.drover.example', origin: 'https://drover.example' }),
    403,
  )
  t.same(asked, [], 'nobody was asked')
})

t.test('programs, and pages of this server', async t => {
  const { upgrade, asked } = await door(t)
  for (const path of PATHS) t.equal(await upgrade(path, { host: 'drover.example' }), 418, path)
  const origin = 'https://drover.example'
  for (const path of PATHS) t.equal(await upgrade(path, { host: 'drover.example', origin }), 418, path)
  t.same(asked, ['agents', 'exec', 'logs', '1c1', 'agents', 'exec', 'logs', '1c1'])
})

t.test('agents come encrypted, and nothing else is spoken', async t => {
  const { upgrade, asked } = await door(t)
  t.equal(await upgrade('/v3/connect', {}, false), 404)
  for (const path of ['/', '/v3', '/v3/clusters', '/v1/other/']) t.equal(await upgrade(path, {}), 404, path)
  t.same(asked, [])
})
