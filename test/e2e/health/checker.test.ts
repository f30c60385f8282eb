/** The health checker of a host against the real HAProxy; containers are servers, other hosts are beacons. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import t from 'tap'
import { BEACON_PORT, type CheckTarget, HealthChecker } from '../../../agent/health/index.ts'
import { createLogger } from '../../../kit/index.ts'
import type { HealthVerdict } from '../../../protocol/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.test('health checks', { skip }, async t => {
  const addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.11', '192.0.2.12', '192.0.2.13', '192.0.2.14']
  for (const address of addresses) execFileSync('ip', ['address', 'add', `${address}/32`, 'dev', 'lo'])
  const directory = await mkdtemp('/tmp/drover-health-')
  const status = new Map<string, number>()
  const listen = async (address: string, port: number) => {
    const server = createServer((request, response) => {
      response.writeHead(request.url === '/ping' ? (status.get(address) ?? 200) : 404).end()
    })
    server.listen(port, address)
    await once(server, 'listening')
    return server
  }
  const close = async (server: Server) => {
    server.close()
    server.closeAllConnections()
    await once(server, 'close')
  }
  const beacon = createServer((_request, response) => response.end('here')).listen(BEACON_PORT, '192.0.2.2')
  const servers = {
    http: await listen('192.0.2.11', 80),
    tcp: await listen('192.0.2.12', 81),
    local: await listen('192.0.2.13', 80),
  }
  const target = (
    address: string,
    port: number,
    requestLine?: string,
    more: Partial<CheckTarget> = {},
  ): CheckTarget => ({
    ...{ containerUuid: address, epoch: 1, address, local: false },
    check: {
      ...{ port, interval: 100, responseTimeout: 200, healthyThreshold: 2, unhealthyThreshold: 2 },
      initializingTimeout: 1000,
      ...(requestLine === undefined ? {} : { requestLine }),
    },
    ...more,
  })
  let targets = [
    target('192.0.2.11', 80, 'GET "/ping" "HTTP/1.0"'),
    target('192.0.2.12', 81),
    target('192.0.2.13', 80, 'GET /ping HTTP/1.0', { local: true }),
    target('192.0.2.14', 80),
  ]
  let others = [{ hostUuid: 'other', address: '192.0.2.2' }]
  const reports: HealthVerdict[] = []
  const waiting = new Set<() => void>()
  const said = async (container: string, verdict: string, from: number) => {
    for (;;) {
      const found = reports
        .slice(from)
        .find(report => report.containerUuid === container && report.verdict === verdict)
      if (found !== undefined) return found
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting.add(resolve)
      await promise
      waiting.delete(resolve)
    }
  }
  const checker = new HealthChecker({
    directory,
    address: '192.0.2.1',
    targets: () => targets,
    others: () => others,
    report: verdicts => {
      reports.push(...verdicts)
      for (const wake of waiting) wake()
    },
    log: createLogger('test', 'silent'),
  })
  await checker.start()
  t.teardown(async () => {
    await checker.stop()
    await Promise.all([...Object.values(servers), beacon].filter(server => server.listening).map(close))
    await rm(directory, { recursive: true })
  })

  await t.test('what answers is up, what never did is down', async t => {
    for (const container of ['192.0.2.11', '192.0.2.12', '192.0.2.13']) {
      t.match(await said(container, 'up', 0), { epoch: 1, validFor: 30_000 })
    }
    t.match(await said('192.0.2.14', 'down', 0), {
      proof: { hostUuid: 'other' },
      reason: /\w/,
    })
    t.notOk(
      reports.some(({ containerUuid, verdict }) => containerUuid !== '192.0.2.14' && verdict === 'down'),
    )
    const answer = await fetch(`http://192.0.2.1:${BEACON_PORT}/`)
    t.equal(await answer.text(), 'here', 'other hosts find this one')
  })

  await t.test('a wrong answer and no answer are down', async t => {
    const from = reports.length
    status.set('192.0.2.11', 500)
    t.match(await said('192.0.2.11', 'down', from), { proof: { hostUuid: 'other' } })
    await close(servers.tcp)
    await said('192.0.2.12', 'down', from)
    const back = reports.length
    status.set('192.0.2.11', 200)
    await said('192.0.2.11', 'up', back)
  })

  await t.test('a new run is looked at anew', async t => {
    const from = reports.length
    targets = targets.map(one => (one.containerUuid === '192.0.2.12' ? { ...one, epoch: 2 } : one))
    servers.tcp = await listen('192.0.2.12', 81)
    checker.targetsChanged()
    t.match(await said('192.0.2.12', 'up', from), { epoch: 2 })
    t.equal(
      reports.slice(from).some(({ epoch, verdict }) => epoch === 2 && verdict === 'down'),
      false,
    )
  })

  await t.test('who reaches nobody says unknown, but knows its own containers', async t => {
    const from = reports.length
    others = [{ hostUuid: 'gone', address: '192.0.2.77' }]
    status.set('192.0.2.11', 500)
    t.notOk('proof' in (await said('192.0.2.11', 'unknown', from)))
    status.set('192.0.2.13', 500)
    await said('192.0.2.13', 'down', from)
    t.notOk(
      reports
        .slice(from)
        .some(({ containerUuid, verdict }) => containerUuid === '192.0.2.11' && verdict === 'down'),
    )
  })

  await t.test('what is not assigned any more is forgotten', async t => {
    targets = []
    checker.targetsChanged()
    while (checker.verdicts().length > 0) await new Promise(done => setImmediate(done))
    t.strictSame(checker.verdicts(), [])
    await checker.stop()
    t.strictSame(await readdir(directory), [], 'nothing is left when it stops')
  })
})
