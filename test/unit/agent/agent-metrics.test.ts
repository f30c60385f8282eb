/** The agent's metrics, from a metadata server and a resolver that were asked something. */
import t from 'tap'
import { agentMetrics } from '../../../agent/agent-metrics.ts'
import { LateListener } from '../../../agent/metadata/index.ts'
import { Forwarder } from '../../../dns/index.ts'
import { Resolver } from '../../../dns/resolver.ts'
import { createLogger } from '../../../kit/index.ts'
import { MetricsRegistry, MetricsServer } from '../../../kit/metrics/index.ts'
import { queryMessage } from '../dns/messages.ts'
import { SmallDirectory, shopClient } from '../dns/small-world.ts'
import { FROM, get, serveWorld } from './metadata/http-world.ts'

const CLIENT = '10.42.0.5'

function startResolver(): Resolver {
  const clients = new SmallDirectory()
  clients.set(CLIENT, shopClient)
  return new Resolver({
    clients,
    forwarder: new Forwarder({ upstreams: [] }),
    log: createLogger('test', 'silent'),
  })
}

t.test('all of them', async t => {
  const { model, port, server } = await serveWorld(t)
  const resolver = startResolver()
  const { signal } = new AbortController()
  const peer = { hostId: '1h1', name: 'node1', address: '192.0.2.1' }
  const registry = agentMetrics({
    metadata: server,
    replica: { model, position: { sequence: 42 }, fullSyncs: 2 },
    dns: resolver,
    balancers: {
      reports: () => [
        {
          containerUuid: 'c1',
          problems: ['a "problem"'],
          statistics: [
            {
              ...{ name: '80', kind: 'backend', sessions: 3, sessionsTotal: 9, requestsTotal: 8 },
              ...{ bytesIn: 1, bytesOut: 2, connectionErrors: 0, retries: 0, serversUp: 2 },
              responses: { '2xx': 7, '3xx': 0, '4xx': 1, '5xx': 0 },
            },
          ],
        },
      ],
    },
    network: {
      kind: 'vxlan',
      failure: 'firewall: is gone',
      attachments: () => [{}, {}, {}],
      peerStates: () => [
        { ...peer, state: 'up' },
        { ...peer, state: 'up' },
        { ...peer, state: 'refused' },
      ],
    },
  })
  const value = (name: string) => {
    const line = registry
      .text()
      .split('\n')
      .find(one => one.startsWith(`${name} `))
    return line === undefined ? undefined : Number(line.slice(name.length + 1))
  }
  const requests = (outcome: string) => value(`drover_metadata_requests_total{outcome="${outcome}"}`)
  const queries = (outcome: string) => value(`drover_dns_queries_total{outcome="${outcome}"}`)

  await t.test('balancers', async t => {
    const part = 'container="c1",kind="backend",name="80"'
    t.equal(value('drover_balancer_problems{container="c1"}'), 1)
    t.equal(value(`drover_balancer_sessions{${part}}`), 3)
    t.equal(value(`drover_balancer_servers_up{${part}}`), 2)
    t.equal(value(`drover_balancer_responses_total{${part},status="4xx"}`), 1)
    t.equal(value(`drover_balancer_bytes_total{${part},direction="out"}`), 2)
  })

  await t.test('metadata', async t => {
    t.equal(requests('answered'), 0)
    const path = '/latest/self/container/name'
    await get(port, path)
    await get(port, path)
    await get(port, '/latest/nothing')
    await get(port, path, { method: 'POST' })
    await get(port, path, { from: FROM.outside })
    t.same(['answered', 'not_found', 'malformed', 'refused', 'failed'].map(requests), [2, 1, 1, 1, 0])
    const end = new AbortController()
    const poll = get(port, `${path}?wait=true&value=shop-web-1&maxWait=60`, { signal: end.signal })
    while (value('drover_metadata_waiting') === 0) await get(port, '/latest/version')
    t.equal(value('drover_metadata_waiting'), 1)
    end.abort()
    await t.rejects(poll)
    t.equal(value('drover_metadata_objects'), model.size)
    t.equal(value('drover_metadata_sequence'), 42)
    t.equal(value('drover_metadata_full_syncs_total'), 2)
  })

  await t.test('DNS', async t => {
    const ask = (message: Buffer, from = CLIENT) => resolver.answer(message, from, 'udp', signal)
    ask(queryMessage('web.shop'))
    ask(queryMessage('nobody.rancher.internal'))
    ask(queryMessage('web.shop'), '192.0.2.99')
    ask(queryMessage('web.shop', { type: 255 }))
    await ask(queryMessage('www.example'))
    t.same(['own', 'forwarded', 'refused', 'failed'].map(queries), [2, 0, 2, 1])
    resolver.counts.forwardTimes.add(0.003)
    resolver.counts.forwardTimes.add(3)
    t.equal(value('drover_dns_forward_seconds_bucket{le="0.001"}'), 0)
    t.equal(value('drover_dns_forward_seconds_bucket{le="0.005"}'), 1)
    t.equal(value('drover_dns_forward_seconds_bucket{le="2"}'), 1)
    t.equal(value('drover_dns_forward_seconds_bucket{le="+Inf"}'), 2)
  })

  await t.test('network and process', async t => {
    const peers = (state: string) => value(`drover_network_peers{state="${state}"}`)
    t.same(['up', 'connecting', 'down', 'refused'].map(peers), [2, 0, 0, 1])
    t.equal(value('drover_network_info{kind="vxlan"}'), 1)
    t.equal(value('drover_network_healthy'), 0)
    t.equal(value('drover_network_attachments'), 3)
    t.ok((value('process_resident_memory_bytes') ?? 0) > 1024 * 1024)
  })
})

t.test('a port that is taken stops nobody', async t => {
  const registry = new MetricsRegistry()
  const first = new MetricsServer({ host: '127.0.0.1', port: 0, registry })
  await first.start()
  const { port } = first
  const late = new LateListener({
    daemon: new MetricsServer({ host: '127.0.0.1', port, registry }),
    log: createLogger('test', 'silent'),
  })
  await late.start()
  t.teardown(() => late.stop())
  await first.stop()
  await late.listening
  t.equal((await fetch(`http://127.0.0.1:${port}/metrics`)).status, 200, 'listens as soon as it can')
})
