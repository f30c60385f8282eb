/** Health checks on three hosts: from a compose file to DNS, and to another container in place of one that fails. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { type ApiObject, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const server = `
    image: drover/busybox:1
    command:
      - sh
      - -c
      - |
        mkdir -p /var/www
        echo here > /var/www/ping
        trap 'exit 0' TERM
        httpd -f -p 80 -h /var/www &
        wait
    health_check:
      port: 80
      request_line: GET /ping HTTP/1.0
      interval: 500
      response_timeout: 500
      healthy_threshold: 2
      unhealthy_threshold: 2
      initializing_timeout: 60000`

const COMPOSE = `version: "2"
services:
  web:
    scale: 3${server}
      strategy: recreate
  kept:
    scale: 2${server}
      strategy: none
  client:
    image: drover/busybox:1
    command: ["sleep", "100000"]
`

/** Milliseconds for what takes a few checks. */
const SOON = 20_000

interface CheckedContainer extends ApiObject {
  readonly healthcheckStates: readonly { readonly hostId: string; readonly healthState: string }[]
}

t.test('health checks', { skip, timeout: 240_000 }, async t => {
  const fleet = await Fleet.start(t, 'health', 3)
  await fleet.join(2)
  await fleet.join(3)
  const file = path.join(fleet.first.directory, 'docker-compose.yml')
  await writeFile(file, COMPOSE)
  const of = async (service: string): Promise<CheckedContainer[]> =>
    [...(await fleet.containers()).values()]
      .filter(({ name }) => name.startsWith(`shop-${service}-`))
      .toSorted((a, b) => a.name.localeCompare(b.name)) as CheckedContainer[]
  const healthy = async (service: string) =>
    (await of(service)).filter(({ state, healthState }) => state === 'running' && healthState === 'healthy')
  const hostOf = async (container: ApiObject) => {
    const host = (await fleet.list('hosts')).find(({ id }) => id === container.hostId)
    return fleet.lab.hosts.find(({ name }) => name === host?.hostname) ?? fleet.first
  }
  const inside = async (container: ApiObject, ...command: string[]) =>
    await (await hostOf(container)).run('docker', ['exec', String(container.externalId), ...command])
  const addresses = async (name: string) => {
    const [client] = await of('client')
    if (client === undefined) return []
    const { stdout } = await (await hostOf(client)).run(
      'docker',
      ['exec', String(client.externalId), 'nslookup', `${name}.shop.default.discover.internal`],
      { acceptedExitCodes: [0, 1] },
    )
    return [...stdout.matchAll(/^Address(?: \d+)?: (10\.42\.\S+)/gm)].map(match => match[1])
  }
  await fleet.drover(['stack', 'up', '-s', 'shop', '-f', file])

  await t.test('are made by the other hosts', async t => {
    await until('all are healthy', SOON, async () => (await healthy('web')).length === 3)
    await until('and the others', SOON, async () => (await healthy('kept')).length === 2)
    for (const container of await of('web')) {
      const checkers = container.healthcheckStates.map(({ hostId }) => hostId)
      t.equal(new Set(checkers).size, 2)
      t.notOk(checkers.includes(String(container.hostId)))
    }
    await until('the stack is healthy', SOON, async () =>
      (await fleet.list('stacks')).some(
        ({ name, healthState }) => name === 'shop' && healthState === 'healthy',
      ),
    )
    await until('all have a name', SOON, async () => (await addresses('web')).length === 3)
  })

  await t.test('take one that fails out of DNS, and bring it back', async t => {
    const [first, second] = await of('kept')
    if (first === undefined || second === undefined) throw new Error('containers are missing')
    await inside(first, 'mv', '/var/www/ping', '/var/www/pong')
    await until('one name less', SOON, async () => {
      const found = await addresses('kept')
      return found.length === 1 && found[0] === second.primaryIpAddress
    })
    t.equal((await of('kept'))[0]?.healthState, 'unhealthy')
    t.equal((await fleet.list('services')).find(({ name }) => name === 'kept')?.healthState, 'degraded')
    await inside(first, 'mv', '/var/www/pong', '/var/www/ping')
    await until('both names', SOON, async () => (await addresses('kept')).length === 2)
    t.strictSame(
      (await of('kept')).map(({ id }) => id),
      [first.id, second.id],
      'none was replaced',
    )
  })

  await t.test('replace one that fails', async t => {
    const before = await of('web')
    const [victim] = before
    if (victim === undefined) throw new Error('there is no container')
    await inside(victim, 'rm', '/var/www/ping')
    await until('another one is healthy', SOON, async () => {
      const ids = (await healthy('web')).map(({ id }) => id)
      return ids.length === 3 && !ids.includes(victim.id)
    })
    const ids = (await of('web')).map(({ id }) => id)
    t.ok(
      before.slice(1).every(({ id }) => ids.includes(id)),
      'the others are the same',
    )
  })

  await t.test('say nothing when the server is away, and go on when it is back', async t => {
    const before = (await of('web')).map(({ id }) => id)
    await fleet.drover(['stop'])
    await fleet.quickstart()
    await until('all have been checked again', SOON, async () =>
      (await of('web')).every(({ healthcheckStates }) =>
        healthcheckStates.every(({ healthState }) => healthState === 'healthy'),
      ),
    )
    t.strictSame(
      (await of('web')).map(({ id }) => id),
      before,
    )
    t.equal((await healthy('web')).length, 3)
  })
})
