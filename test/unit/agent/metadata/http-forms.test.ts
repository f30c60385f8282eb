/** The newer forms of answers: YAML, entity tags, streams of changes. */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { textCases } from './http-cases.ts'
import { db1, FROM, get, serveWorld, web, web1 } from './http-world.ts'

t.test('as YAML: the same data as JSON', async t => {
  const { port } = await serveWorld(t)
  const paths = new Set(['/latest', ...textCases.map(({ path }) => path)])
  for (const path of paths) {
    for (const from of path === '/latest' ? [FROM.web, FROM.host] : [FROM.web]) {
      const json = await get(port, path, { from, accept: 'application/json' })
      const yaml = await get(port, path, { from, accept: 'application/yaml' })
      t.equal(yaml.status, json.status, path)
      if (json.status !== 200) continue
      t.equal(yaml.headers['content-type'], 'application/yaml')
      t.same(parse(yaml.body), JSON.parse(json.body), path)
    }
  }
  for (const accept of [
    'application/x-yaml',
    'text/yaml',
    'text/x-yaml',
    'application/json;q=0.1, text/yaml',
  ]) {
    t.match((await get(port, '/latest/name', { accept })).headers, { 'content-type': 'application/yaml' })
  }
  const missing = await get(port, '/latest/nope', { accept: 'text/yaml' })
  t.same(parse(missing.body), { code: 404, message: 'Not found', type: 'error' })
})

t.test('words that YAML would take for something else are quoted', async t => {
  const { port, model } = await serveWorld(t)
  const metadata = { no: 'yes', '1': 'null', 'a: b': '- x', empty: '', list: [], map: {}, many: '1\n2' }
  model.apply([{ ...web, metadata }], [])
  const { body } = await get(port, '/latest/self/service/metadata', { accept: 'text/yaml' })
  t.same(parse(body, { version: '1.1' }), metadata)
})

t.test('an answer that the client has is not sent again', async t => {
  const { port, model } = await serveWorld(t)
  for (const accept of ['text/plain', 'application/json', 'text/yaml']) {
    const first = await get(port, '/latest/self/container', { accept })
    const etag = String(first.headers.etag)
    t.match(etag, /^"[\w-]{20}"$/)
    const ask = (value: string) =>
      get(port, '/latest/self/container', { accept, headers: { 'if-none-match': value } })
    for (const value of [etag, `"other", W/${etag}`, '*']) {
      const again = await ask(value)
      t.same([again.status, again.body, again.headers.etag], [304, '', etag])
    }
    t.equal((await ask('"other"')).status, 200)
  }
  const path = '/latest/self/container/health_state'
  const before = await get(port, path)
  model.apply([{ ...web1, healthState: 'healthy' }], [])
  const after = await get(port, path, { headers: { 'if-none-match': String(before.headers.etag) } })
  t.same([after.status, after.body], [200, 'healthy'])
})

interface StreamEvent {
  readonly id: string
  readonly data: Record<string, unknown>
}

/** Opens a stream. @returns the response, and a function that waits for the next event */
async function openStream(t: Test, port: number, query: string, headers: Record<string, string> = {}) {
  const outgoing = request({
    host: '127.0.0.1',
    port,
    path: `/v1/stream${query}`,
    localAddress: FROM.web,
    headers,
  }).end()
  t.teardown(() => outgoing.destroy())
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  let text = ''
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    response.emit('more')
  })
  const next = async (): Promise<StreamEvent> => {
    for (;;) {
      const match = /^id: (.+)\nevent: change\ndata: (.+)\n\n/m.exec(text)
      if (match === null) {
        await once(response, 'more')
        continue
      }
      text = text.slice(match.index + match[0].length)
      return { id: match[1] ?? '', data: JSON.parse(match[2] ?? '') as Record<string, unknown> }
    }
  }
  return { response, next }
}

t.test('changes below a prefix', async t => {
  const { port, model } = await serveWorld(t)
  const path = '/latest/self/container/state'
  const { response, next } = await openStream(t, port, `?prefix=${path}`)
  t.match(response.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  const first = await next()
  t.same(first.data, { path, value: 'running' })
  // Something else changes, and is not told.
  model.apply([{ ...db1, state: 'stopped' }], [])
  model.apply([{ ...web1, state: 'stopping' }], [])
  const second = await next()
  t.same(second.data, { path, value: 'stopping' })
  t.not(second.id, first.id)
  const again = await openStream(t, port, `?prefix=${path}`, { 'last-event-id': second.id })
  model.apply([{ ...web1, state: 'running' }], [])
  t.same((await again.next()).data, { path, value: 'running' }, 'what is known already is not told')
})

t.test('everything, and what is not there', async t => {
  const { port, model } = await serveWorld(t)
  const all = await openStream(t, port, '')
  t.match((await all.next()).data, { path: '/latest', value: { name: 'Production' } })
  const gone = await openStream(t, port, '?prefix=/latest/containers/data-db-1/name')
  t.match((await gone.next()).data, { value: 'data-db-1' })
  model.apply([], [db1.uuid])
  t.match((await gone.next()).data, { removed: true })
  t.match((await all.next()).data, { path: '/latest' })
  t.equal((await get(port, '/v1/stream?prefix=latest')).status, 400)
  t.equal((await get(port, '/v1/streams')).status, 404)
  t.equal((await get(port, '/v1/stream', { from: FROM.outside })).status, 403)
})
