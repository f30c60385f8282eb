/**
 * A great many HTTP requests that were good before their bytes were changed, over raw sockets. FUZZ_REQUESTS says how
 * many (10 000), FUZZ_SEED which (1).
 */
import { connect } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { FROM, get, serveWorld } from '../unit/agent/metadata/http-world.ts'
import { bytesInUse, megabytes } from './memory.ts'
import { countFrom, mutated, RandomNumbers } from './mutation.ts'

const REQUESTS = countFrom('FUZZ_REQUESTS', 10_000)
const SEED = countFrom('FUZZ_SEED', 1)
const CONCURRENCY = 96
/** How often a connection is tried that does not come about, and milliseconds in between. */
const ATTEMPTS = 150
const PAUSE = 500
/** Requests between two lines about how far it is. */
const REPORT_EVERY = 100_000
/** Milliseconds after which a client goes away: some requests have been made to wait for what never comes. */
const PATIENCE = 500
/** Bytes by which the second half may leave more behind than the first; the server keeps up to 16 MB of answers. */
const GROWTH = 24 * 1024 * 1024
/** Bytes of one answer that are looked at. */
const LONGEST = 1024 * 1024

const paths = [
  ...[
    '/',
    '/latest',
    '/latest/',
    '/2015-07-25/self/container',
    '/2015-12-19/containers',
    '/2016-07-29/services',
  ],
  ...[
    '/latest/self/container/name',
    '/latest/self/service/metadata/colour/levels/1',
    '/latest/containers/0/name',
  ],
  ...['/latest/services/web/containers/shop-web-1/primary_ip', '/latest/stacks/shop', '/latest/hosts/node1'],
  ...['/latest/self/service/metadata/a+key%2Fwith+space', '/latest/self/service/token', '/latest/version'],
  ...[
    '/latest/self/container/labels/constructor',
    '/latest/__proto__',
    '/latest/self/../..',
    '/latest/%00/%ff',
  ],
  ...[
    '/latest/version?wait=true&value=0&maxWait=1',
    '/latest/self/stack/name?wait=true&value=shop&maxWait=1',
  ],
  ...['/v1/stream?prefix=/latest/self', '/v1/stream?prefix=', '/v2/nothing', `/latest/${'x'.repeat(2_000)}`],
]

const pathBytes = paths.map(path => Buffer.from(path))

const HEADERS = [
  'Host: 169.254.169.250',
  ...['Accept: application/json', 'Accept: application/yaml;q=0.5, text/plain;q=0.1', 'Accept: */*'],
  ...[
    'If-None-Match: "x", W/"y", *',
    'Connection: close',
    'Connection: keep-alive',
    'X-Forwarded-For: 10.0.0.1',
  ],
  ...[
    'Expect: 100-continue',
    'Upgrade: websocket\r\nConnection: upgrade',
    'Last-Event-ID: 1',
    'Range: bytes=0-1',
  ],
  ...[
    'Content-Length: 3',
    'Transfer-Encoding: chunked',
    'Accept-Encoding: gzip',
    `Cookie: ${'c'.repeat(4_000)}`,
  ],
]

/** Good requests, and some that are not quite: every path, every header, bodies, several on one connection. */
function corpus(): readonly Buffer[] {
  const request = (method: string, path: string, headers: readonly string[], body = '', version = '1.1') =>
    Buffer.from(
      `${method} ${path} HTTP/${version}\r\n${headers.map(line => `${line}\r\n`).join('')}\r\n${body}`,
    )
  const host = HEADERS.slice(0, 1)
  const all = paths.flatMap(path => [
    request('GET', path, host),
    request('HEAD', path, host),
    request('GET', path, [...host, 'Accept: application/json']),
    request('GET', path, [...host, 'Accept: application/yaml']),
  ])
  const [, , second = Buffer.alloc(0), third = Buffer.alloc(0)] = all
  return [
    ...all,
    ...HEADERS.map(header => request('GET', '/latest/self/container', [...host, header], 'abc')),
    ...['POST', 'PUT', 'OPTIONS', 'CONNECT', 'PRI', 'M-SEARCH'].map(method =>
      request(method, '/latest', host),
    ),
    request('GET', '/latest/name', host, '', '1.0'),
    request('POST', '/latest', [...host, 'Transfer-Encoding: chunked'], '3\r\nabc\r\n0\r\n\r\n'),
    Buffer.concat([second, third, second]),
    request('GET', '/latest', []),
    request('GET', 'http://rancher-metadata/latest/name', ['Host: rancher-metadata']),
  ]
}

/** A good request for a path that was changed: it gets past the reader of HTTP, to those who look for what it means. */
function changedPath(random: RandomNumbers): Buffer {
  const path = mutated(pathBytes, random)
    .toString('latin1')
    .replace(/[^!-~]/g, character => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
  const accept = random.oneOf(['text/plain', 'application/json', 'application/yaml'])
  return Buffer.from(`GET /${path.slice(1)} HTTP/1.1\r\nHost: 169.254.169.250\r\nAccept: ${accept}\r\n\r\n`)
}

/** What a server says to some bytes until it, or the client's patience, ends; undefined when it was not reached. */
function send(port: number, bytes: Buffer, from: string): Promise<string | undefined> {
  return new Promise(resolve => {
    const socket = connect({ host: '127.0.0.1', port, localAddress: from })
    let text = ''
    let reached = false
    socket.once('connect', () => {
      reached = true
    })
    const timer = globalThis.setTimeout(() => socket.destroy(), PATIENCE)
    socket.on('data', data => {
      if (text.length < LONGEST) text += data.toString('latin1')
    })
    // A connection that the server resets, because it was sent more than it takes, has its answer in front of that.
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(reached ? text : undefined)
    })
    socket.end(bytes)
  })
}

/** Waits for a port of its own when all are taken: each is free again a minute after its connection has ended. */
async function sendSurely(port: number, bytes: Buffer, from: string): Promise<string | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const said = await send(port, bytes, from)
    if (said !== undefined) return said
    await setTimeout(PAUSE)
  }
  return undefined
}

/** The status of every answer on a connection. */
function statuses(text: string): readonly number[] {
  return [...text.matchAll(/(?:^|\n|[^ "])HTTP\/1\.1 (\d{3}) /g)].map(match => Number(match[1]))
}

t.test('changed requests', async t => {
  const { port } = await serveWorld(t)
  const random = new RandomNumbers(SEED)
  const seeds = corpus()
  const from = [FROM.web, FROM.db, FROM.native, FROM.host, FROM.testing, FROM.outside, FROM.unknown]
  const seen = new Map<number, number>()
  const complaints: string[] = []
  let sent = 0
  let unreached = 0
  const begin = performance.now()
  const progress = () => {
    const seconds = ((performance.now() - begin) / 1000).toFixed(0)
    t.comment(`${sent} requests in ${seconds} s, resident ${megabytes(process.memoryUsage.rss())}`)
  }
  const client = async (until: number) => {
    while (sent < until) {
      sent += 1
      // Who has to end it before its time still knows what it did.
      if (sent % REPORT_EVERY === 0) progress()
      const bytes = random.below(3) === 0 ? changedPath(random) : mutated(seeds, random)
      const said = await sendSurely(port, bytes, random.oneOf(from))
      if (said === undefined) unreached += 1
      for (const status of statuses(said ?? '')) {
        seen.set(status, (seen.get(status) ?? 0) + 1)
        const documented = status < 500 || status === 503
        if (!documented && complaints.length < 5) complaints.push(`${status}: ${bytes.toString('latin1')}`)
      }
    }
  }
  const clients = (until: number) => Promise.all(Array.from({ length: CONCURRENCY }, () => client(until)))
  await clients(REQUESTS / 2)
  const middle = bytesInUse()
  await clients(REQUESTS)
  const growth = bytesInUse() - middle
  const seconds = ((performance.now() - begin) / 1000).toFixed(1)
  t.comment(`${REQUESTS} requests in ${seconds} s, growth ${megabytes(growth)}`)
  t.comment(JSON.stringify(Object.fromEntries([...seen].toSorted())))
  t.same(complaints, [], 'no error of the server')
  t.equal(unreached, 0, 'every request was sent')
  t.ok(growth < GROWTH, `requests leave nothing behind (${megabytes(growth)})`)
  for (const status of [200, 400, 403, 404, 405]) t.ok((seen.get(status) ?? 0) > 0, `some get ${status}`)
  const { status, body } = await get(port, '/latest/self/container/name')
  t.same([status, body], [200, 'shop-web-1'], 'goes on answering')
})
