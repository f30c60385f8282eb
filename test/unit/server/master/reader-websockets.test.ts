/** Watches and logs over websockets, as programs in browsers ask for them. */
import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import { BoundedQueue } from '../../../../kit/index.ts'
import { eventually, pod, temporaryMaster } from './temporary-master.ts'

interface Message {
  readonly data: Buffer
  readonly binary: boolean
}

interface OpenSocket {
  readonly websocket: WebSocket
  /** Undefined when there are no more. */
  next(): Promise<Message | undefined>
}

const MAPS = '/api/v1/namespaces/default/configmaps'

async function open(port: number, path: string, protocols: readonly string[] = []): Promise<OpenSocket> {
  const websocket = new WebSocket(`ws://127.0.0.1:${port}/k8s/clusters/c1${path}`, [...protocols], {
    headers: { authorization: 'Bearer admin|c1' },
  })
  const messages = new BoundedQueue<Message>('messages', 100_000, 'reject')
  websocket.on('message', (data: Buffer, binary: boolean) => messages.push({ data, binary }))
  websocket.on('close', () => messages.close())
  await once(websocket, 'open')
  return { websocket, next: async () => (await messages.next()).value }
}

async function refusal(port: number, path: string, protocols: readonly string[], token = 'admin|c1') {
  const websocket = new WebSocket(`ws://127.0.0.1:${port}/k8s/clusters/c1${path}`, [...protocols], {
    headers: { authorization: `Bearer ${token}` },
  })
  websocket.on('error', () => undefined)
  const [, response] = (await once(websocket, 'unexpected-response')) as [unknown, { statusCode: number }]
  return response.statusCode
}

t.test('watches', async t => {
  const { ask, port, master } = await temporaryMaster(t)
  const make = (name: string, data: object = {}) =>
    ask(MAPS, { method: 'POST', body: { metadata: { name, labels: { watched: '' } }, data } })
  const parse = (message: Message | undefined) => JSON.parse(String(message?.data))
  await make('first')

  await t.test('an event is a message of text, and what the client says is not read', async t => {
    const { websocket, next } = await open(port, `${MAPS}?watch=true&labelSelector=watched`)
    t.equal(websocket.protocol, '')
    websocket.send('what?')
    const initial = await next()
    t.notOk(initial?.binary)
    t.match(parse(initial), { type: 'ADDED', object: { metadata: { name: 'first' } } })
    await ask(MAPS, { method: 'POST', body: { metadata: { name: 'other' } } })
    await make('second', { line: 'one\ntwo\n' })
    t.match(parse(await next()), { type: 'ADDED', object: { data: { line: 'one\ntwo\n' } } })
    await ask(`${MAPS}/second`, { method: 'DELETE' })
    t.match(parse(await next()), { type: 'DELETED' })
    websocket.close()
    await once(websocket, 'close')
    await eventually(async () => master.openWatches === 0, 'the watch is over')
  })

  await t.test('a burst arrives whole and in order', async t => {
    const { websocket, next } = await open(port, `${MAPS}?watch=true&labelSelector=burst`)
    const names = Array.from({ length: 300 }, (_, index) => `burst-${index}`)
    const data = { text: 'x'.repeat(10_000) }
    websocket.pause()
    for (const name of names)
      await ask(MAPS, { method: 'POST', body: { metadata: { name, labels: { burst: '' } }, data } })
    websocket.resume()
    for (const name of names) t.equal(parse(await next()).object.metadata.name, name)
    websocket.terminate()
  })

  await t.test('it ends in its time', async t => {
    const { websocket, next } = await open(port, `${MAPS}?watch=true&timeoutSeconds=1&labelSelector=none`)
    const [code] = await once(websocket, 'close')
    t.equal(code, 1000)
    t.equal(await next(), undefined)
  })

  await t.test('what is too old is told, and the end', async t => {
    const { next } = await open(port, `${MAPS}?watch=true&resourceVersion=99999999`)
    t.match(parse(await next()), { type: 'ERROR' })
    t.equal(await next(), undefined)
  })

  await t.test('as a browser: a token among the protocols, another one spoken', async t => {
    const token = `base64url.bearer.authorization.k8s.io.${Buffer.from('admin|c1').toString('base64url')}`
    const websocket = new WebSocket(
      `ws://127.0.0.1:${port}/k8s/clusters/c1${MAPS}?watch=true`,
      [token, 'base64.binary.k8s.io'],
      { headers: { origin: 'http://127.0.0.1' } },
    )
    const [message] = await once(websocket, 'message')
    t.equal(websocket.protocol, 'base64.binary.k8s.io')
    t.match(JSON.parse(String(message)), { type: 'ADDED' })
    websocket.terminate()
  })

  await t.test('refusals', async t => {
    t.equal(await refusal(port, `${MAPS}?watch=true`, [], 'nobody'), 401)
    t.equal(await refusal(port, `${MAPS}?watch=true`, [], 'group|strangers|c1'), 403)
    t.equal(await refusal(port, MAPS, []), 400)
    t.equal(await refusal(port, `${MAPS}/first`, []), 400)
    t.equal(await refusal(port, `${MAPS}?watch=true`, ['chat']), 400)
    t.equal(await refusal(port, `${MAPS}?watch=true&labelSelector=!!`, []), 400)
    t.equal(await refusal(port, '/apis', []), 400)
    await eventually(async () => master.openWatches === 0, 'none is left')
  })
})

t.test('logs', async t => {
  const { ask, port, logRequests } = await temporaryMaster(t)
  const containers = ['main', 'endless'].map(name => ({ name, image: 'x' }))
  await ask('/api/v1/namespaces/default/pods', {
    method: 'POST',
    body: pod('web', { nodeName: 'n1', containers }),
  })
  await ask('/api/v1/namespaces/default/pods', { method: 'POST', body: pod('nowhere') })
  const log = (container: string, more = '') =>
    `/api/v1/namespaces/default/pods/web/log?container=${container}${more}`

  for (const [protocol, binary, expected] of [
    ['binary.k8s.io', true, 'line of main\n'],
    ['base64.binary.k8s.io', false, Buffer.from('line of main\n').toString('base64')],
    ['', true, 'line of main\n'],
  ] as const) {
    await t.test(protocol === '' ? 'without a protocol' : protocol, async t => {
      const { websocket, next } = await open(
        port,
        log('main', '&tailLines=5'),
        protocol === '' ? [] : [protocol],
      )
      t.equal(websocket.protocol, protocol)
      t.strictSame(await next(), { data: Buffer.alloc(0), binary }, 'it has begun')
      t.strictSame(await next(), { data: Buffer.from(expected), binary })
      t.equal(await next(), undefined)
      t.match(logRequests.at(-1), { container: 'main', options: { tailLines: 5, follow: false } })
    })
  }

  await t.test('one that is followed ends with its reader', async t => {
    const { websocket, next } = await open(port, log('endless', '&follow=true'), ['binary.k8s.io'])
    await next()
    t.match(String((await next())?.data), /line of endless/)
    websocket.close()
    t.equal(await next(), undefined)
  })

  await t.test('refusals', async t => {
    t.equal(await refusal(port, log('main'), ['v4.channel.k8s.io']), 400)
    t.equal(await refusal(port, log('absent'), []), 400)
    t.equal(await refusal(port, '/api/v1/namespaces/default/pods/nowhere/log', []), 400)
    t.equal(await refusal(port, '/api/v1/namespaces/default/pods/absent/log', []), 404)
    t.equal(await refusal(port, log('main'), [], 'group|strangers|c1'), 403)
  })
})
