import t from 'tap'
import { parseCheckRequest } from '../../../lb/index.ts'

t.test('request lines', async t => {
  const plain = { method: 'GET', uri: '/ping', version: 'HTTP/1.0', headers: [] }
  t.strictSame(parseCheckRequest('GET /ping HTTP/1.0'), plain)
  t.strictSame(parseCheckRequest('GET "/ping" "HTTP/1.0"'), plain)
  t.strictSame(parseCheckRequest('  GET /ping  '), plain)
  t.strictSame(parseCheckRequest('/up'), { ...plain, method: 'OPTIONS', uri: '/up' })
  t.strictSame(parseCheckRequest('GET / HTTP/1.1\\r\\nHost:\\ www.example.com\\r\\nX-A:\\ 1'), {
    ...{ method: 'GET', uri: '/', version: 'HTTP/1.1' },
    headers: [
      ['Host', 'www.example.com'],
      ['X-A', '1'],
    ],
  })
})

t.test('what is not one request is refused', async t => {
  for (const line of [
    '',
    'G(ET /',
    'GET "/a b"',
    'GET / HTTP/2',
    'GET / HTTP/1.1\\r\\nno-header',
    'GET /\\n HTTP/1.0',
  ]) {
    t.throws(() => parseCheckRequest(line), { code: 'InvalidModel' }, line)
  }
})
