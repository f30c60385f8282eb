/** Hosts that enter their subnets into the route tables of a VPC, against a stand-in that checks every signature. */
import t, { type Test } from 'tap'
import { createLogger } from '../../../../kit/index.ts'
import { AwsRouteTables, InstanceMetadata, type RoutePlan } from '../../../../netplugins/routed/index.ts'
import { Ec2StandIn } from './ec2-stand-in.ts'

const log = createLogger('aws', 'silent')

const PLAN: RoutePlan = {
  address: '192.0.2.1',
  subnets: ['10.42.0.0/26', '10.42.7.0/26'],
  routes: [{ hostId: '1h2', destinations: ['10.42.1.0/26'], nextHop: '192.0.2.2' }],
}

interface World {
  readonly ec2: Ec2StandIn
  /** Another agent on the same host. */
  readonly provider: (change?: {
    readonly routeTableIds?: string[]
    readonly aws?: undefined
  }) => AwsRouteTables
}

async function makeWorld(t: Test): Promise<World> {
  const ec2 = new Ec2StandIn()
  await ec2.start()
  t.teardown(() => ec2.stop())
  ec2.routes.set('rtb-1', [{ destination: '0.0.0.0/0', target: 'igw-1', state: 'active' }])
  ec2.routes.set('rtb-2', [{ destination: '0.0.0.0/0', target: 'eni-0a', state: 'active' }])
  const directory = t.testdir()
  const aws = { region: 'eu-central-1', routeTableIds: ['rtb-1', 'rtb-2'], endpoint: ec2.endpoint }
  const provider: World['provider'] = (change = {}) =>
    new AwsRouteTables({
      aws: 'aws' in change ? undefined : { ...aws, ...change },
      directory,
      metadata: new InstanceMetadata({}, ec2.endpoint),
      log,
    })
  return { ec2, provider }
}

const DEFAULTS = ['rtb-1 0.0.0.0/0 igw-1', 'rtb-2 0.0.0.0/0 eni-0a']

function ours(table: string): string[] {
  return PLAN.subnets.map(subnet => `${table} ${subnet} eni-0a`)
}

t.test('subnets are entered once, and removed', async t => {
  const { ec2, provider } = await makeWorld(t)
  const agent = provider()
  const first = await agent.bring(PLAN, true)
  t.equal(first.changes, 5, 'four routes and the check of addresses')
  t.match(first.problems.get('1h2'), 'rtb-1 has no active route to 10.42.1.0/26')
  t.strictSame(ec2.lines().toSorted(), [...DEFAULTS, ...ours('rtb-1'), ...ours('rtb-2')].toSorted())
  t.equal(ec2.checking.size, 0)

  ec2.actions.length = 0
  t.equal((await agent.bring(PLAN, true)).changes, 0)
  t.strictSame(ec2.actions, [], 'nothing is asked again soon')
  t.equal((await provider().bring(PLAN, true)).changes, 0, 'another agent finds everything')
  t.notOk(ec2.actions.some(action => /Create|Replace|Modify/.test(action)))

  await provider({ aws: undefined }).remove()
  t.strictSame(ec2.lines().toSorted(), DEFAULTS, "somebody else's routes to this host stay")
  await provider().remove()
})

t.test('subnets change', async t => {
  const { ec2, provider } = await makeWorld(t)
  const agent = provider()
  await agent.bring(PLAN, true)
  await agent.bring({ ...PLAN, subnets: ['10.42.7.0/26', '10.42.9.0/26'] }, false)
  const at = (table: string) => [`${table} 10.42.7.0/26 eni-0a`, `${table} 10.42.9.0/26 eni-0a`]
  t.strictSame(ec2.lines().toSorted(), [...DEFAULTS, ...at('rtb-1'), ...at('rtb-2')].toSorted())
  await provider({ routeTableIds: ['rtb-1'] }).bring({ ...PLAN, subnets: ['10.42.7.0/26'] }, false)
  t.strictSame(ec2.lines().toSorted(), [...DEFAULTS, 'rtb-1 10.42.7.0/26 eni-0a'].toSorted())
})

t.test('routes that are there already', async t => {
  const { ec2, provider } = await makeWorld(t)
  ec2.routes.set('rtb-1', [
    { destination: '10.42.0.0/26', target: 'eni-0b', state: 'blackhole' },
    { destination: '10.42.7.0/26', target: 'eni-0a', state: 'active' },
    { destination: '10.42.1.0/26', target: 'eni-0b', state: 'active' },
  ])
  const plan = { ...PLAN, routes: [{ hostId: '1h2', destinations: ['10.42.1.0/26'], nextHop: '192.0.2.2' }] }
  const outcome = await provider({ routeTableIds: ['rtb-1'] }).bring(plan, true)
  t.equal(outcome.problems.size, 0)
  t.ok(ec2.lines().includes('rtb-1 10.42.0.0/26 eni-0a'), 'of a host that had the subnet before')
  ec2.routes.set('rtb-2', [{ destination: '10.42.0.0/26', target: 'pcx-1', state: 'active' }])
  await t.rejects(provider().bring(plan, true), {
    code: 'CloudRefused',
    message: /10\.42\.0\.0\/26 in rtb-2.*pcx-1/,
  })
  t.ok(ec2.lines().includes('rtb-2 10.42.0.0/26 pcx-1'))
  ec2.routes.set('rtb-2', [])
  t.equal((await provider().bring(plan, true)).changes, 2)
})

t.test('refusals', async t => {
  const { ec2, provider } = await makeWorld(t)
  ec2.failures.set('CreateRoute', 'RouteLimitExceeded')
  await t.rejects(provider().bring(PLAN, true), { code: 'CloudRefused', message: /RouteLimitExceeded/ })
  ec2.failures.clear()
  const agent = provider()
  t.equal((await agent.bring(PLAN, true)).changes, 4, 'is tried again, and the rest is done')
  await t.rejects(provider({ routeTableIds: ['rtb-9'] }).bring(PLAN, true), {
    code: 'CloudRefused',
    message: /InvalidRouteTableID\.NotFound/,
  })
  ec2.secret = 'another secret'
  const old = new InstanceMetadata(
    { AWS_ACCESS_KEY_ID: 'ASIAROLE', AWS_SECRET_ACCESS_KEY: 'guessed', AWS_SESSION_TOKEN: 'a session' },
    ec2.endpoint,
  )
  const stranger = new AwsRouteTables({
    aws: { region: 'eu-central-1', routeTableIds: ['rtb-1'], endpoint: ec2.endpoint },
    directory: t.testdir({}),
    metadata: old,
    log,
  })
  const error = await stranger.bring(PLAN, true).catch((cause: unknown) => String(cause))
  t.match(error, /SignatureDoesNotMatch/)
  t.notMatch(error, /guessed/)
  await t.rejects(provider({ aws: undefined }).bring(PLAN, true), {
    code: 'CloudRefused',
    expected: 'the option routed.aws',
  })
})

t.test('a host that is nowhere', async t => {
  const nowhere = new AwsRouteTables({
    aws: { region: 'eu-central-1', routeTableIds: ['rtb-1'] },
    directory: t.testdir(),
    metadata: new InstanceMetadata({}, 'http://127.0.0.1:1'),
    log,
  })
  await t.rejects(nowhere.bring(PLAN, true), { code: 'CloudRefused', expected: /instance of EC2/ })
  await nowhere.remove()
  t.equal(nowhere.concerns({ kind: 'lost' }), false)
  await nowhere.close()
})
