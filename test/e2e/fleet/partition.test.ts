/** Four hosts, one of which loses its network: nobody else suffers, its containers are made elsewhere, and nothing runs twice. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { type ApiObject, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const SCALE = 8
/** At most a quarter of a service is replaced at a time. */
const CAP = SCALE / 4

const COMPOSE = `version: "2"
services:
  web:
    scale: ${SCALE}
    image: drover/busybox:1
    stop_grace_period: 0s
    command:
      - sh
      - -c
      - |
        mkdir -p /var/www
        echo here > /var/www/ping
        httpd -f -p 80 -h /var/www
    health_check:
      port: 80
      request_line: GET /ping HTTP/1.0
      interval: 500
      response_timeout: 500
      healthy_threshold: 2
      unhealthy_threshold: 3
      initializing_timeout: 20000
      strategy: recreate
`

/** Milliseconds. */
const SOON = 30_000
const LONG = 120_000

t.test('a host without network', { skip, timeout: 280_000 }, async t => {
  const fleet = await Fleet.start(t, 'partition', 4)
  await Promise.all([fleet.join(2), fleet.join(3), fleet.join(4)])
  const file = path.join(fleet.first.directory, 'docker-compose.yml')
  await writeFile(file, COMPOSE)
  const cordon = async (verb: string) => await fleet.kubectl([verb, 'h2', 'h3'])
  // More of them on the host that will be cut off than may be replaced at a time.
  await cordon('cordon')
  await fleet.drover(['stack', 'up', '-s', 'shop', '-f', file])
  await cordon('uncordon')
  const web = async () =>
    [...(await fleet.list('containers'))].filter(({ name }) => name.startsWith('shop-web-'))
  const healthy = (list: readonly ApiObject[]) =>
    list.filter(({ state, healthState }) => state === 'running' && healthState === 'healthy')
  await until('all are healthy', SOON, async () => healthy(await web()).length === SCALE)
  const cut = fleet.host(4)
  const cutId = (await fleet.list('hosts')).find(({ hostname }) => hostname === cut.name)?.id
  const before = await web()
  const lost = before.filter(({ hostId }) => hostId === cutId).map(({ id }) => id)
  const others = before.filter(({ hostId }) => hostId !== cutId).map(({ id }) => id)
  t.ok(lost.length > CAP)

  await t.test('loses its own containers to other hosts, and takes nobody else with it', async t => {
    await cut.run('ip', ['link', 'set', 'eth0', 'down'])
    const suspected = new Set<string>()
    const made = new Set<string>()
    let most = 0
    await until('all are healthy elsewhere', LONG, async () => {
      const now = await web()
      for (const { id, healthState } of now) {
        if (others.includes(id) && healthState !== 'healthy') suspected.add(id)
        if (!before.some(each => each.id === id)) made.add(id)
      }
      const fresh = now.filter(
        ({ id, state }) => !before.some(each => each.id === id) && state !== 'removing',
      )
      most = Math.max(most, fresh.length - healthy(fresh).length)
      const elsewhere = healthy(now).filter(({ hostId }) => hostId !== cutId)
      return elsewhere.length === SCALE
    })
    t.strictSame([...suspected], [], 'whom it checked is as healthy as before')
    const ids = (await web()).map(({ id }) => id)
    t.ok(
      others.every(id => ids.includes(id)),
      'nobody else was replaced',
    )
    t.ok(most <= CAP, `no more at a time than the cap: ${most}`)
    // Before anybody can know that the host is gone for longer, some may be sent there once more.
    t.ok(made.size <= lost.length + CAP, `no storm: ${made.size} for ${lost.length}`)
  })

  await t.test('has nothing that runs twice when it is back', async t => {
    await cut.run('ip', ['link', 'set', 'eth0', 'up'])
    const running = async () =>
      (
        await Promise.all(fleet.lab.hosts.map(host => fleet.docker(['io.rancher.stack.name=shop'], host)))
      ).flat()
    await until('it is active', LONG, async () =>
      (await fleet.list('hosts')).every(({ agentState }) => agentState === 'active'),
    )
    await until('its old containers are gone', LONG, async () => (await running()).length === SCALE)
    await until(
      'all know',
      SOON,
      async () => healthy(await web()).length === SCALE && (await web()).length === SCALE,
    )
    t.strictSame(
      (await fleet.docker(['io.rancher.stack.name=shop'], cut)).map(({ name }) => name),
      [],
    )
    const names = (await web()).map(({ name }) => name)
    t.equal(new Set(names).size, SCALE)
    await until('its node is ready', LONG, async () => {
      const { stdout } = await fleet.kubectl(['get', 'nodes', '--no-headers'])
      return stdout.match(/ Ready /g)?.length === 4
    })
  })
})
