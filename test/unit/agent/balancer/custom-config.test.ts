/** Lines that owners of balancers write themselves. */
import t from 'tap'
import {
  mergeLines,
  parseCustomConfig,
  splitServerParameters,
} from '../../../../agent/balancer/custom-config.ts'

t.test('sections', async t => {
  const config = parseCustomConfig(`
# a comment
global
    maxconn 9
\tnbthread 1
defaults
    timeout client 1s

frontend 80
    accept-proxy
    http-request deny if { path /secret }
backend
    option httpclose
backend mine
    server $IP check maxconn 5
listen extra
    bind :9000
peers others
    peer one 192.0.2.1:1
`)
  t.strictSame(config.global, ['maxconn 9', 'nbthread 1'])
  t.strictSame(config.defaults, ['timeout client 1s'])
  t.strictSame(config.frontends.get('80'), ['accept-proxy', 'http-request deny if { path /secret }'])
  t.strictSame(config.backends.get(''), ['option httpclose'])
  t.strictSame(config.backends.get('mine'), ['server $IP check maxconn 5'])
  t.strictSame(config.sections, ['listen extra', 'bind :9000', 'peers others', 'peer one 192.0.2.1:1'])
  t.strictSame(config.problems, [])
})

t.test('lines before any section are a problem', async t => {
  t.match(parseCustomConfig('maxconn 1\nglobal\nmaxconn 2').problems, [/line 1 is in no section: maxconn 1/])
  t.strictSame(parseCustomConfig('').problems, [])
})

t.test("a user's line takes the place of one about the same", async t => {
  const defaults = [
    'option redispatch',
    'option forwardfor',
    'timeout client 50s',
    'timeout server 50s',
    'maxconn 1',
  ]
  t.strictSame(mergeLines(defaults, ['timeout client 1s', 'no option redispatch', 'maxconn 2']), [
    'option forwardfor',
    'timeout server 50s',
    'timeout client 1s',
    'no option redispatch',
    'maxconn 2',
  ])
  t.strictSame(mergeLines(['log global'], ['log 192.0.2.1 local0']), ['log global', 'log 192.0.2.1 local0'])
})

t.test('parameters of every server', async t => {
  t.strictSame(
    splitServerParameters(['server $IP check', 'balance source', 'server $IP:80 maxconn 5', 'server $IP']),
    {
      lines: ['balance source'],
      parameters: 'check maxconn 5',
    },
  )
})
