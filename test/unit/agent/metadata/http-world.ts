/** A metadata server with a model of two environments, asked from several addresses of the loopback. */
import { type Agent, type IncomingHttpHeaders, request } from 'node:http'
import type { Test } from 'tap'
import { MetadataModel, MetadataServer, Requesters, SignalBoard } from '../../../../agent/metadata/index.ts'
import { type Clock, createLogger, systemClock } from '../../../../kit/index.ts'
import { container, environment, host, network, service, stack } from './objects.ts'

/** Source addresses: who asks. */
export const FROM = {
  host: '127.0.0.1',
  web: '127.0.0.11',
  db: '127.0.0.12',
  native: '127.0.0.13',
  testing: '127.0.0.14',
  /** On a bridge of the host, but nobody knows it. */
  unknown: '127.0.0.99',
  outside: '127.0.0.200',
} as const

export const system = environment('System', { system: true })
export const production = environment('Production')
export const testing = environment('Testing')
export const node1 = host('node1')
export const node2 = host('node2', { agentIp: '192.0.2.2' })
export const managed = network('managed')
export const shop = stack('Shop', production)
export const data = stack('data', production)
export const shopOfTesting = stack('shop', testing)
export const db = service('db', data)
export const web = service('Web', shop, {
  scale: 2,
  sidekicks: ['Logger'],
  links: [
    { alias: 'Database', name: 'data/db' },
    { alias: 'gone', name: 'nothing' },
    { alias: 'far', name: 'testing/shop/web' },
  ],
  ports: ['80:8080/tcp'],
  labels: { tier: 'front' },
  metadata: { colour: { shade: 'blue', levels: [1, 2.5, 'x'] }, 'a key/with space': true },
})
export const webOfTesting = service('web', shopOfTesting)

const here = { hostUuid: node1.uuid, networkUuid: managed.uuid }

export const web1 = container('Shop-Web-1', web, {
  ...here,
  primaryIp: FROM.web,
  primaryMacAddress: '02:d0:0a:2a:00:0b',
  externalId: 'e'.repeat(64),
  serviceIndex: '1',
  labels: { tier: 'front', constructor: 'of houses' },
  ports: [
    {
      bindIpAddress: '0.0.0.0',
      agentIpAddress: '192.0.2.1',
      publicPort: 80,
      privatePort: 8080,
      protocol: 'tcp',
    },
    {
      bindIpAddress: '198.51.100.1',
      agentIpAddress: '192.0.2.1',
      publicPort: 53,
      privatePort: 53,
      protocol: 'udp',
    },
  ],
})
export const web2 = container('Shop-Web-2', web, {
  hostUuid: node2.uuid,
  primaryIp: '10.42.1.12',
  primaryIpv6: 'fd42::a2a:10c',
  serviceIndex: '2',
  createIndex: 2,
})
export const logger1 = container('Shop-Web-Logger-1', web, {
  ...here,
  sidekick: 'Logger',
  primaryIp: FROM.web,
})
export const db1 = container('data-db-1', db, { ...here, primaryIp: FROM.db })
export const native = container('by-hand', production, {
  ...here,
  nativeContainer: true,
  primaryIp: FROM.native,
})
export const sharing = container('sharing', production, {
  hostUuid: node1.uuid,
  networkFromContainerUuid: native.uuid,
})
export const hostNetwork = container('on-host', production, { hostUuid: node1.uuid })
export const testing1 = container('shop-web-1', webOfTesting, {
  uuid: 'container-testing-1',
  ...here,
  primaryIp: FROM.testing,
})
/** Has on another host the address that a container has here. */
export const elsewhere = container('elsewhere', testing, { hostUuid: node2.uuid, primaryIp: FROM.web })

export const objects = [
  ...[system, production, testing, node1, node2, managed, shop, data, shopOfTesting, db, web, webOfTesting],
  ...[web1, web2, logger1, db1, native, sharing, hostNetwork, testing1, elsewhere],
]

export interface HttpWorld {
  readonly model: MetadataModel
  readonly server: MetadataServer
  readonly port: number
}

export async function serveWorld(t: Test, clock: Clock = systemClock): Promise<HttpWorld> {
  const model = new MetadataModel()
  const signals = new SignalBoard(model)
  const requesters = new Requesters({
    model,
    signals,
    addresses: {
      isHostAddress: address => address === FROM.host,
      isContainerAddress: address => address === FROM.unknown,
    },
    clock,
  })
  requesters.setHost(node1.uuid)
  model.apply(objects, [])
  const log = createLogger('test', 'silent')
  const server = new MetadataServer({ host: '127.0.0.1', port: 0, model, signals, requesters, log, clock })
  await server.start()
  t.teardown(() => server.stop())
  return { model, server, port: server.port }
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface HttpQuestion {
  readonly from?: string
  readonly accept?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  /** Keeps connections; every question has one of its own when absent. */
  readonly agent?: Agent
}

export function get(port: number, path: string, question: HttpQuestion = {}): Promise<HttpAnswer> {
  const { from = FROM.web, accept, method = 'GET', headers = {}, signal, agent = false } = question
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method,
        localAddress: from,
        agent,
        headers: { ...(accept === undefined ? {} : { accept }), ...headers },
        ...(signal === undefined ? {} : { signal }),
      },
      response => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (text: string) => {
          body += text
        })
        response.on('error', reject)
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        )
      },
    )
    outgoing.on('error', reject)
    outgoing.end()
  })
}
