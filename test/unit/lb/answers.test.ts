import t from 'tap'
import { refusal } from '../../../lb/generation.ts'
import { parseStatistics, parseTable } from '../../../lb/index.ts'
import { packCommands, splitAnswers } from '../../../lb/runtime-client.ts'

t.test('statistics', async t => {
  const rows = parseStatistics(
    '# pxname,svname,status,last_chk,\nb,s1,UP 1/2,"a, ""b""",\nb,BACKEND,UP,,\n\n',
  )
  t.match(rows, [
    { proxy: 'b', server: 's1', status: 'UP 1/2', columns: { last_chk: 'a, "b"' } },
    { proxy: 'b', server: 'BACKEND', status: 'UP' },
  ])
})

t.test('stick tables', async t => {
  const answer =
    '# table: t, type: ip, size:1024, used:1\n0x55d: key=192.0.2.1 use=0 exp=59 server_id=2 http_req_rate(10000)=3\n\n'
  t.strictSame(parseTable(answer), [
    { key: '192.0.2.1', values: { use: '0', exp: '59', server_id: '2', 'http_req_rate(10000)': '3' } },
  ])
})

t.test('requests and answers of several commands', async t => {
  t.strictSame(packCommands(['a', 'b', 'set <<\nx\n', 'c']), [['a', 'b'], ['set <<\nx\n'], ['c']])
  t.equal(
    packCommands(Array.from({ length: 100 }, () => 'x'.repeat(500))).every(
      request => request.join(';').length < 9000,
    ),
    true,
  )
  t.strictSame(
    splitAnswers('no need\n\n\n\nNo such server.\n\n'),
    ['no need', '', '', 'No such server.'].slice(0, 4),
  )
})

t.test('a refusal names the line', async t => {
  const stderr = `[NOTICE]   (1) : version\n[ALERT]    (1) : config : parsing [/d/generation-2/haproxy.cfg:2] : unknown keyword 'xx' in 'global' section\n`
  t.match(refusal(stderr, 'global\n  xx yy\n'), {
    code: 'ConfigurationRefused',
    message: /^line 2: xx yy: unknown keyword 'xx'/,
  })
  t.match(refusal('[ALERT] (1) : config : something\n', ''), { message: 'configuration: config : something' })
})
