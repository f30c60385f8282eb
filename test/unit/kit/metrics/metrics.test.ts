/** The text that Prometheus reads, and the server that gives it. */
import t from 'tap'
import { isDroverError } from '../../../../kit/index.ts'
import { MetricsRegistry, MetricsServer } from '../../../../kit/metrics/index.ts'

t.test('text', async t => {
  const registry = new MetricsRegistry()
  let sold = 3
  registry.add(
    { name: 'sold_total', help: 'Sold.\nAll of it \\ ever.', type: 'counter', read: () => sold },
    { name: 'unknown', help: 'Not there.', type: 'gauge', read: () => undefined },
    {
      name: 'stock',
      help: 'In stock.',
      type: 'gauge',
      read: () => [
        { labels: { kind: 'a "b"\\\n', place: 'x' }, value: 0.5 },
        { labels: {}, value: 2 },
      ],
    },
    {
      name: 'wait_seconds',
      help: 'Waited.',
      type: 'histogram',
      read: () => ({ bounds: [0.1, 1], counts: [2, 1], count: 4, sum: 7.5 }),
    },
    {
      name: 'ride_seconds',
      help: 'Rode.',
      type: 'histogram',
      read: () => [
        { labels: { by: 'bus' }, bounds: [1], counts: [2], count: 2, sum: 1 },
        { labels: {}, bounds: [1], counts: [0], count: 1, sum: 3 },
      ],
    },
  )
  sold += 1
  t.equal(
    registry.text(),
    [
      '# HELP sold_total Sold.\\nAll of it \\\\ ever.',
      '# TYPE sold_total counter',
      'sold_total 4',
      '# HELP unknown Not there.',
      '# TYPE unknown gauge',
      '# HELP stock In stock.',
      '# TYPE stock gauge',
      'stock{kind="a \\"b\\"\\\\\\n",place="x"} 0.5',
      'stock 2',
      '# HELP wait_seconds Waited.',
      '# TYPE wait_seconds histogram',
      'wait_seconds_bucket{le="0.1"} 2',
      'wait_seconds_bucket{le="1"} 3',
      'wait_seconds_bucket{le="+Inf"} 4',
      'wait_seconds_sum 7.5',
      'wait_seconds_count 4',
      '# HELP ride_seconds Rode.',
      '# TYPE ride_seconds histogram',
      'ride_seconds_bucket{by="bus",le="1"} 2',
      'ride_seconds_bucket{by="bus",le="+Inf"} 2',
      'ride_seconds_sum{by="bus"} 1',
      'ride_seconds_count{by="bus"} 2',
      'ride_seconds_bucket{le="1"} 0',
      'ride_seconds_bucket{le="+Inf"} 1',
      'ride_seconds_sum 3',
      'ride_seconds_count 1',
      '',
    ].join('\n'),
  )
  const again = { name: 'stock', help: '', type: 'gauge' as const, read: () => 1 }
  t.throws(() => registry.add(again), RangeError, 'a name is taken once')
  t.throws(() => registry.add({ ...again, name: 'in stock' }), RangeError)
  t.equal(new MetricsRegistry().text(), '')
})

t.test('server', async t => {
  const registry = new MetricsRegistry()
  registry.add({ name: 'one', help: 'One.', type: 'gauge', read: () => 1 })
  const server = new MetricsServer({ host: '127.0.0.1', port: 0, registry })
  await server.start()
  t.teardown(() => server.stop())
  const url = `http://127.0.0.1:${server.port}`
  const answer = await fetch(`${url}/metrics?name=one`)
  t.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  t.match(await answer.text(), /^one 1$/m)
  t.equal((await fetch(`${url}/`)).status, 404)
  t.equal((await fetch(`${url}/metrics`, { method: 'POST' })).status, 405)
  const second = new MetricsServer({ host: '127.0.0.1', port: server.port, registry })
  await t.rejects(second.start(), { code: 'AddressInUse' })
  t.ok(isDroverError(await second.start().catch(error => error), 'AddressInUse'), 'may be tried again')
})
