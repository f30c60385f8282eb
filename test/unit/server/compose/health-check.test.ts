import t from 'tap'
import { changedService } from '../../../../server/compose/executor.ts'
import { readStack } from '../../../../server/compose/index.ts'
import type { Service } from '../../../../server/model/index.ts'

const docker = 'version: "2"\nservices:\n  web:\n    image: nginx\n'
const rancher = (check: string) =>
  `version: "2"\nservices:\n  web:\n    scale: 2\n    health_check:\n${check}`
const read = (check: string) =>
  readStack({ 'docker-compose.yml': docker, 'rancher-compose.yml': rancher(check) }, {}).services[0]

t.test('every key', async t => {
  const check = `      port: 8080
      interval: 5000
      response_timeout: 1000
      healthy_threshold: 4
      unhealthy_threshold: 5
      request_line: GET "/ping" "HTTP/1.0"
      initializing_timeout: 60000
      reinitializing_timeout: 30000
      strategy: recreateOnQuorum
      recreate_on_quorum_strategy_config:
        quorum: 2
`
  t.strictSame(read(check)?.launchConfig.healthCheck, {
    port: 8080,
    interval: 5000,
    responseTimeout: 1000,
    healthyThreshold: 4,
    unhealthyThreshold: 5,
    requestLine: 'GET "/ping" "HTTP/1.0"',
    initializingTimeout: 60000,
    reinitializingTimeout: 30000,
    strategy: 'recreateOnQuorum',
    quorum: 2,
  })
})

t.test('what is not said', async t => {
  t.strictSame(read('      port: 80\n      request_line: ""\n')?.launchConfig.healthCheck, {
    port: 80,
    interval: 2000,
    responseTimeout: 2000,
    healthyThreshold: 2,
    unhealthyThreshold: 3,
    initializingTimeout: 120000,
    reinitializingTimeout: 60000,
    strategy: 'recreate',
  })
})

t.test('what does not fit is named with its place', async t => {
  const refused = (check: string, message: RegExp) =>
    t.throws(() => read(check), { code: /InvalidValue/, object: /^rancher-compose\.yml:\d+/, message })
  refused('      interval: 2000\n', /says no port/)
  refused('      port: 70000\n', /port has a value/)
  refused('      port: 80\n      colour: red\n', /colour is not known/)
  refused('      port: 80\n      strategy: restart\n', /is "restart"/)
  refused('      port: 80\n      interval: 1\n', /interval/)
  refused(
    '      port: 80\n      request_line: "GET / HTTP/1.0\\r\\n\\r\\nGET /other HTTP/1.0"\n',
    /one request/,
  )
  refused('      port: 80\n      recreate_on_quorum_strategy_config: {half: 1}\n', /half is not known/)
})

t.test('another check replaces no container', async t => {
  const before = read('      port: 80\n')
  const after = read('      port: 81\n')
  if (before === undefined || after === undefined) throw new Error('no service')
  const service = { ...before, launchVersion: '1', state: 'active' } as unknown as Service
  const changed = changedService(service, after)
  t.equal(changed.launchVersion, '1')
  t.equal(changed.launchConfig.healthCheck?.port, 81)
})
