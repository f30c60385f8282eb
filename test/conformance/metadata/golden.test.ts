/**
 * Every path of the metadata service, in every version and form, beside golden files. After a wanted change,
 * `UPDATE_GOLDEN=1` writes them anew; what changed is then seen in the difference.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { MetadataModel, MetadataServer, Requesters, SignalBoard } from '../../../agent/metadata/index.ts'
import { createLogger, systemClock } from '../../../kit/index.ts'
import { get } from '../../unit/agent/metadata/http-world.ts'
import { FROM, objects } from './world.ts'

const VERSIONS = ['2015-07-25', '2015-12-19', '2016-07-29', 'latest'] as const
const ASKING = ['web', 'native', 'testing', 'host'] as const
const NOW = 1_480_000_000_000

async function serve(t: Test): Promise<number> {
  const model = new MetadataModel()
  const signals = new SignalBoard(model)
  const addresses = {
    isHostAddress: (address: string) => address === FROM.host,
    isContainerAddress: () => false,
  }
  const requesters = new Requesters({ model, signals, addresses })
  requesters.setHost('host-node1')
  model.apply(objects, [])
  const log = createLogger('test', 'silent')
  // `version` grows from the time of the start.
  const clock = { ...systemClock, now: () => NOW, monotonic: systemClock.monotonic, after: systemClock.after }
  const server = new MetadataServer({ host: '127.0.0.1', port: 0, model, signals, requesters, log, clock })
  await server.start()
  t.teardown(() => server.stop())
  return server.port
}

/** Compares with the file, or writes it. */
function golden(t: Test, name: string, actual: string): void {
  const file = path.join(import.meta.dirname, 'golden', name)
  if (process.env.UPDATE_GOLDEN !== undefined) writeFileSync(file, actual)
  if (!existsSync(file)) t.fail(`${name} does not exist; write it with UPDATE_GOLDEN=1`)
  else t.equal(actual, readFileSync(file, 'utf8'), name)
}

function segment(key: string): string {
  return encodeURIComponent(key)
}

/** Every path below a value: maps by key, lists by index, objects in lists by name as well. */
function* pathsOf(value: unknown, base: string): Generator<string> {
  yield base
  if (Array.isArray(value)) {
    for (const [index, element] of value.entries()) yield* pathsOf(element, `${base}/${index}`)
  } else if (value !== null && typeof value === 'object') {
    for (const [key, part] of Object.entries(value)) yield* pathsOf(part, `${base}/${segment(key)}`)
  }
}

function valueAt(root: unknown, keys: readonly string[]): unknown {
  let value = root
  for (const key of keys) value = (value as Record<string, unknown>)[decodeURIComponent(key)]
  return value
}

/** Asks for every path below `/version`, as JSON and as text. @returns lines of `status path text`, and what was wrong */
async function walk(port: number, from: string, version: string, whole: unknown) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, localAddress: from })
  const wrong: string[] = []
  const texts: string[] = []
  for (const target of pathsOf(whole, `/${version}`)) {
    const part = await get(port, target, { from, agent, accept: 'application/json' })
    const expected = valueAt(whole, target.split('/').slice(2))
    if (!isDeepStrictEqual(JSON.parse(part.body), expected)) wrong.push(target)
    const text = await get(port, target, { from, agent })
    texts.push(`${text.status} ${target.replace(version, 'VERSION')} ${JSON.stringify(text.body)}`)
  }
  agent.destroy()
  return { wrong, text: `${texts.join('\n')}\n` }
}

for (const who of ASKING) {
  t.test(`everything that ${who} may see`, async t => {
    const port = await serve(t)
    const from = FROM[who]
    const texts = new Map<string, string>()
    for (const version of VERSIONS) {
      const json = await get(port, `/${version}`, { from, accept: 'application/json' })
      const whole = JSON.parse(json.body) as unknown
      const yaml = await get(port, `/${version}`, { from, accept: 'text/yaml' })
      t.same(parse(yaml.body), whole, 'YAML is the same data')
      const { wrong, text } = await walk(port, from, version, whole)
      t.strictSame(wrong, [], 'every path by itself is what the whole says of it')
      texts.set(version, text)
      if (version === 'latest') continue
      golden(t, `${who}-${version}.json`, `${JSON.stringify(whole)}\n`)
      if (who === 'web') golden(t, `${version}.txt`, text)
      if (who === 'web' && version === '2016-07-29') golden(t, `${version}.yaml`, yaml.body)
    }
    t.equal(texts.get('latest'), texts.get('2016-07-29'), 'latest is the newest')
  })
}

t.test('by name, in any case, and by uuid', async t => {
  const port = await serve(t)
  const names = {
    'containers/SHOP-web-1/name': 'shop-web-1',
    'containers/container-shop-web-2/name': 'shop-web-2',
    'services/web/containers/shop-web-2/primary_ip': '10.42.1.12',
    'stacks/shop/services/Web/sidekicks/0': 'logger',
    'stacks/SHOP/services/lb/kind': 'loadBalancerService',
    'hosts/node2/agent_ip': '192.0.2.2',
    'networks/managed/is_default': 'true',
    'services/monitor/global': 'true',
    'containers/on-host/primary_ip': '',
    'containers/sharing/primary_ip': FROM.native,
  }
  for (const [name, expected] of Object.entries(names)) {
    for (const slash of ['', '/']) {
      const answer = await get(port, `/latest/${name}${slash}`, { from: FROM.web })
      t.same([answer.status, answer.body], [200, expected], name)
    }
  }
})

t.test('tokens are below self only, and environments see nothing of each other', async t => {
  const port = await serve(t)
  for (const version of VERSIONS) {
    for (const who of ASKING) {
      const { body } = await get(port, `/${version}`, { from: FROM[who], accept: 'application/json' })
      const all = JSON.parse(body) as { self: Record<string, unknown> }
      t.notMatch(JSON.stringify({ ...all, self: {} }), /token-of/, `${version} ${who}`)
      const others = Object.entries(all.self).filter(([key]) => key !== 'service')
      t.notMatch(JSON.stringify(others), /token-of/)
      if (who === 'testing') t.notMatch(body, /Production|data-db|198\.51\.100/)
      if (who === 'web') t.notMatch(body, /Testing|container-testing/)
    }
  }
})
