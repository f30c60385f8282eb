/** Links of pages that come through the proxy. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { deflateRawSync, gunzipSync, gzipSync, inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { linkThroughProxy, PageLinks } from '../../../../server/master/apiserver/streams/page-links.ts'
import { pod, temporaryMaster } from './temporary-master.ts'

const PREFIX = '/api/v1/namespaces/default/pods/web/proxy'
const place = { prefix: PREFIX, hosts: { asked: 'api.test:8443', answering: '10.42.0.5:80' } }

async function rewritten(page: string, pieces: readonly number[] = []): Promise<string> {
  const bytes = Buffer.from(page)
  const chunks: Buffer[] = []
  let at = 0
  for (const length of [...pieces, bytes.length]) {
    chunks.push(bytes.subarray(at, at + length))
    at += length
  }
  return await text(Readable.from(chunks).pipe(new PageLinks(place)))
}

async function packedAnswer(port: number, path: string): Promise<Buffer> {
  const outgoing = request({ host: '127.0.0.1', port, path, headers: { authorization: 'Bearer admin|c1' } })
  const [answer] = (await once(outgoing.end(), 'response')) as [IncomingMessage]
  return await buffer(answer)
}

t.test('links', async t => {
  const cases: readonly (readonly [string, string])[] = [
    ['/a?b=c#d', `${PREFIX}/a?b=c#d`],
    ['/', `${PREFIX}/`],
    ['a/b', 'a/b'],
    ['#top', '#top'],
    ['', ''],
    ['?a=/b', '?a=/b'],
    [`${PREFIX}/a`, `${PREFIX}/a`],
    ['http://10.42.0.5:80/a', `${PREFIX}/a`],
    ['//10.42.0.5:80/a', `${PREFIX}/a`],
    ['https://api.test:8443/a', `https://api.test:8443${PREFIX}/a`],
    ['//api.test:8443/a', `//api.test:8443${PREFIX}/a`],
    ['https://elsewhere.example/a', 'https://elsewhere.example/a'],
    ['//elsewhere.example/a', '//elsewhere.example/a'],
    ['mailto:a@b', 'mailto:a@b'],
    ['javascript:go()', 'javascript:go()'],
  ]
  for (const [link, expected] of cases) t.equal(linkThroughProxy(link, place), expected, link)
  const sly = { ...place, prefix: `/a"b'<c>&` }
  t.equal(linkThroughProxy('/x', sly), '/a%22b%27%3cc%3e%26/x')
})

t.test('pages', async t => {
  const cases: readonly (readonly [string, string])[] = [
    ['<a href="/b">/b</a>', `<a href="${PREFIX}/b">/b</a>`],
    ["<A  HREF = '/b' >", `<A  HREF = '${PREFIX}/b' >`],
    ['<img src=/b/c alt=/d>', `<img src=${PREFIX}/b/c alt=/d>`],
    ['<link rel=x href="/s.css"/>', `<link rel=x href="${PREFIX}/s.css"/>`],
    ['<form action="/go" data-x="/y" hidden>', `<form action="${PREFIX}/go" data-x="/y" hidden>`],
    ['<a title="a > b" href="/c">', `<a title="a > b" href="${PREFIX}/c">`],
    ['<p href="/b">', '<p href="/b">'],
    ['<!-- <a href="/b"> --><a href="/c">', `<!-- <a href="/b"> --><a href="${PREFIX}/c">`],
    ['<!--><a href="/c">', `<!--><a href="${PREFIX}/c">`],
    [
      '<script src="/a.js">var x = \'<a href="/b">\'</script><a href="/c">',
      `<script src="${PREFIX}/a.js">var x = '<a href="/b">'</script><a href="${PREFIX}/c">`,
    ],
    ['1 < 2 <a href="/b">ä</a> <', `1 < 2 <a href="${PREFIX}/b">ä</a> <`],
    ['<a href="/b', '<a href="/b'],
    ['<a href="/b" href', '<a href="/b" href'],
    ['<a =x href="/b">', `<a =x href="${PREFIX}/b">`],
  ]
  for (const [page, expected] of cases) {
    t.equal(await rewritten(page), expected, page)
    t.equal(await rewritten(page, Array(page.length).fill(1)), expected, `${page}, byte by byte`)
  }
  const long = `<a title="${'x'.repeat(20_000)}" href="/b"><a href="/c">`
  const inPieces = await rewritten(long, Array(30).fill(1_000))
  t.equal(inPieces, long.replace('"/c"', `"${PREFIX}/c"`), 'a tag that is too long')
  const worst = `<a ${'x '.repeat(8_000)}>`
  t.equal(await rewritten(worst.repeat(50)), worst.repeat(50))
})

t.test('what has no links stays as it is, however it is cut', async () => {
  const parts = fc.constantFrom(
    '<',
    '>',
    '"',
    "'",
    '=',
    '/',
    '-',
    '!',
    ' ',
    'a',
    'script',
    'href',
    '\n',
    '<!--',
    '-->',
    'ü',
  )
  await fc.assert(
    fc.asyncProperty(fc.array(parts), fc.array(fc.nat(7)), async (words, pieces) => {
      const page = words.join('')
      const whole = await rewritten(page)
      const withoutPrefix = whole.replaceAll(PREFIX, '')
      return withoutPrefix === page && (await rewritten(page, pieces)) === whole
    }),
    { numRuns: 500 },
  )
})

t.test('through the API', async t => {
  const page = '<a href="/b">b</a>'
  const seen: IncomingMessage['headers'][] = []
  const answers: Readonly<Record<string, (response: ServerResponse) => void>> = {
    '/plain': response => response.writeHead(200, { 'content-type': 'text/plain' }).end(page),
    '/html': response =>
      response
        .writeHead(200, {
          'content-type': 'text/html; charset=utf-8',
          'content-length': String(page.length),
          'access-control-allow-origin': '*',
        })
        .end(page),
    '/gzip': response =>
      response
        .writeHead(200, { 'content-type': 'text/html', 'content-encoding': 'gzip' })
        .end(gzipSync(page)),
    '/deflate': response =>
      response
        .writeHead(200, { 'content-type': 'text/html', 'content-encoding': 'deflate' })
        .end(deflateRawSync(page)),
    '/br': response =>
      response.writeHead(200, { 'content-type': 'text/html', 'content-encoding': 'br' }).end(page),
    '/moved': response =>
      response.writeHead(302, { location: '/b?c=d', 'content-type': 'text/html' }).end(page),
    '/away': response => response.writeHead(302, { location: 'https://elsewhere.example/b' }).end(),
  }
  const server = createServer((asked, response) => {
    seen.push(asked.headers)
    answers[asked.url ?? '']?.(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close().closeAllConnections())
  const { ask, port } = await temporaryMaster(t, {
    connectToPod: async () => connect((server.address() as AddressInfo).port, '127.0.0.1'),
  })
  await ask('/api/v1/namespaces/default/pods', { method: 'POST', body: pod('web', { nodeName: 'n1' }) })
  const prefix = `/k8s/clusters/c1${PREFIX}`
  const expected = `<a href="${prefix}/b">b</a>`
  const html = await ask(`${PREFIX}/html`)
  t.equal(html.text, expected)
  t.equal(html.headers['access-control-allow-origin'], undefined)
  t.equal(seen.at(-1)?.['x-forwarded-uri'], `${prefix}/html`)
  t.equal((await ask(`${PREFIX}/plain`)).text, page)
  t.equal((await ask(`${PREFIX}/br`)).text, page, 'what cannot be read is left alone')
  t.match(await ask(`${PREFIX}/moved`), { status: 302, text: page, headers: { location: `${prefix}/b?c=d` } })
  t.match(await ask(`${PREFIX}/away`), { headers: { location: 'https://elsewhere.example/b' } })
  t.match(await ask(PREFIX), { status: 301, headers: { location: `${prefix}/` } })
  for (const path of ['gzip', 'deflate']) {
    const packed = await packedAnswer(port, `${prefix}/${path}`)
    t.equal(String(path === 'gzip' ? gunzipSync(packed) : inflateRawSync(packed)), expected)
  }
})
