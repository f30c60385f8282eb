import t from 'tap'
import { planChange } from '../../../lb/index.ts'
import { commandsAfterLoading } from '../../../lb/plan.ts'
import { backend, endpoint, frontend, model } from './models.ts'

const files = { directory: '/d' }
const a = endpoint('a', 1)
const base = model({
  frontends: [frontend('f', 80, { defaultBackend: 'b', hostMap: 'hosts' })],
  backends: [backend('b', [a, undefined]), backend('c', [])],
  certificates: [{ name: 'one', pem: '-----BEGIN X-----\nAAAA\n-----END X-----\n' }],
  maps: [{ name: 'hosts', entries: [['x.example', 'b']] }],
})

function commands(after: Partial<typeof base>): readonly string[] | string {
  const plan = planChange(base, { ...base, ...after }, files)
  return plan.how === 'commands' ? plan.commands : plan.how === 'reload' ? plan.reason : plan.how
}

t.test('what needs no reload', async t => {
  t.equal(commands({}), 'nothing')
  t.equal(commands({ backends: [backend('b', [{ ...a }, undefined]), backend('c', [])] }), 'nothing')
  const withSlots = (...slots: Parameters<typeof backend>[1]) => ({
    backends: [backend('b', slots), backend('c', [])],
  })
  t.strictSame(commands(withSlots(a, endpoint('n', 2, { weight: 7, initially: 'down' }))), [
    'set server b/s2 addr 127.0.0.1 port 2',
    'set server b/s2 weight 7',
    'set server b/s2 state ready',
    'set server b/s2 health down',
  ])
  t.strictSame(commands(withSlots(undefined, undefined)), ['set server b/s1 state maint'])
  t.strictSame(commands(withSlots({ ...a, draining: true }, undefined)), ['set server b/s1 weight 0'])
  t.strictSame(commands(withSlots({ ...a, weight: 3 }, undefined)), ['set server b/s1 weight 3'])
  t.strictSame(commands(withSlots(endpoint('z', 1), undefined)), [
    'set server b/s1 state maint',
    'set server b/s1 addr 127.0.0.1 port 1',
    'set server b/s1 weight 100',
    'set server b/s1 state ready',
  ])
  const [set = '', commit] = commands({
    certificates: [{ name: 'one', pem: '-----BEGIN X-----\r\nBBBB\r\n\r\n-----END X-----' }],
  }) as string[]
  t.match(
    set,
    /^set ssl cert \/d\/certificate-[0-9a-f]{32}\.pem <<\n-----BEGIN X-----\nBBBB\n-----END X-----\n$/,
  )
  t.match(commit, /^commit ssl cert \/d\/certificate-/)
  const maps = [
    {
      name: 'hosts',
      entries: [
        ['x.example', 'c'],
        ['y.example', 'b'],
      ] as const,
    },
  ]
  t.strictSame(commands({ maps }), [
    'set map /d/map-hosts.map x.example c',
    'add map /d/map-hosts.map y.example b',
  ])
  t.strictSame(commands({ maps: [{ name: 'hosts', entries: [] }] }), ['del map /d/map-hosts.map x.example'])
})

t.test('what does', async t => {
  t.equal(
    commands({ backends: [backend('b', [a, undefined, undefined]), backend('c', [])] }),
    'backend b differs',
  )
  t.equal(commands({ backends: [backend('b', [a, undefined])] }), 'backend c is gone')
  t.equal(commands({ backends: [...base.backends, backend('d', [])] }), 'backend d is new here')
  t.equal(
    commands({ frontends: [frontend('f', 81, { defaultBackend: 'b', hostMap: 'hosts' })] }),
    'frontend f differs',
  )
  t.equal(commands({ global: ['maxconn 5'] }), 'the lines of global differ')
  t.equal(commands({ certificates: [] }), 'certificate one is gone')
  t.equal(commands({ maps: [] }), 'map hosts is gone')
})

t.test('servers that start as down are switched on afterwards', async t => {
  const started = model({ backends: [backend('b', [a, endpoint('n', 2, { initially: 'down' })])] })
  t.match(commandsAfterLoading(started), [/s2 addr/, /s2 weight/, /s2 state ready/, /s2 health down/])
})
