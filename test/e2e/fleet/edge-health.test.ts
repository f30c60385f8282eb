/** Three hosts whose server is gone: a container that fails leaves names and balancers of every host, and comes back. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { type ApiObject, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const server = `
    scale: 2
    image: drover/busybox:1
    command:
      - sh
      - -c
      - |
        mkdir -p /var/www
        echo here > /var/www/ping
        hostname > /var/www/index.html
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
      strategy: none
`

const COMPOSE = `version: "2"
services:
  web:${server}
  mortal:${server}    restart: "no"
  client:
    scale: 3
    image: drover/busybox:1
    command: ["sleep", "100000"]
  balancer:
    image: drover/lb:1
    ports: ["8000:80"]
    lb_config:
      port_rules:
        - {source_port: 80, service: web, target_port: 80}
        - {source_port: 80, hostname: mortal, service: mortal, target_port: 80}
`

/** Milliseconds. */
const SOON = 20_000

t.test('without a server', { skip, timeout: 240_000 }, async t => {
  const fleet = await Fleet.start(t, 'edge', 3)
  await fleet.join(2)
  await fleet.join(3)
  const file = path.join(fleet.first.directory, 'docker-compose.yml')
  await writeFile(file, COMPOSE)
  await fleet.drover(['stack', 'up', '-s', 'shop', '-f', file])
  const hosts = await fleet.list('hosts')
  const hostOf = (container: ApiObject): VirtualHost => {
    const name = hosts.find(({ id }) => id === container.hostId)?.hostname
    return fleet.lab.hosts.find(host => host.name === name) ?? fleet.first
  }
  const of = async (service: string) =>
    [...(await fleet.containers()).values()].filter(({ name }) => name.startsWith(`shop-${service}-`))
  const inside = async (container: ApiObject, ...command: string[]) =>
    await hostOf(container).run('docker', ['exec', String(container.externalId), ...command], {
      acceptedExitCodes: [0, 1],
    })
  await until('both are healthy', SOON, async () =>
    [...(await of('web')), ...(await of('mortal'))].every(
      ({ state, healthState }) => state === 'running' && healthState === 'healthy',
    ),
  )
  const [[victim, other], [killed, survivor], clients, [balancer]] = await Promise.all([
    of('web'),
    of('mortal'),
    of('client'),
    of('balancer'),
  ])
  if (
    killed === undefined ||
    survivor === undefined ||
    victim === undefined ||
    other === undefined ||
    balancer === undefined
  )
    throw new Error('containers are missing')
  t.ok(new Set(clients.map(hostOf)).size > 1, 'clients are on several hosts')
  /** How many addresses every client finds. */
  const found = async (service: string): Promise<string[][]> =>
    await Promise.all(
      clients.map(async client => {
        const { stdout } = await inside(client, 'nslookup', `${service}.shop.default.discover.internal`)
        return [...stdout.matchAll(/^Address(?: \d+)?: (10\.42\.\S+)/gm)].map(([, address = '']) => address)
      }),
    )
  const allFind = async (service: string, ...addresses: unknown[]) =>
    (await found(service)).every(
      each => JSON.stringify(each.toSorted()) === JSON.stringify(addresses.toSorted()),
    )
  const everybodyFinds = async (...addresses: unknown[]) => await allFind('web', ...addresses)
  const both = [victim.primaryIpAddress, other.primaryIpAddress]
  await until('everybody finds both', SOON, async () => await everybodyFinds(...both))
  await until('hosts can talk to each other', SOON, async () => {
    const listening = await Promise.all(fleet.lab.hosts.map(host => host.run('ss', ['-ltn'])))
    return listening.every(({ stdout }) => stdout.includes(':9349'))
  })
  const { address } = hostOf(balancer)
  const answers = async (name = 'web') => {
    const bodies = new Set<string>()
    for (let index = 0; index < 4; index += 1) {
      const { stdout } = await fleet.first.run(
        'curl',
        ['--silent', '--header', `Host: ${name}`, '--max-time', '5', `http://${address}:8000/`],
        { acceptedExitCodes: [0, 7, 28, 52, 56] },
      )
      if (stdout !== '') bodies.add(stdout.trim())
    }
    return bodies
  }
  await until('the balancer uses both', SOON, async () => (await answers()).size === 2)

  await fleet.first.run('busybox', ['kill', '-9', String(await fleet.daemonPid('server'))])

  await t.test('what fails is left out everywhere', async t => {
    await inside(victim, 'mv', '/var/www/ping', '/var/www/pong')
    await until('nobody finds it', SOON, async () => await everybodyFinds(other.primaryIpAddress))
    await until('the balancer leaves it out', SOON, async () => (await answers()).size === 1)
    t.pass()
  })

  await t.test('and comes back', async t => {
    await inside(victim, 'mv', '/var/www/pong', '/var/www/ping')
    await until('everybody finds both', SOON, async () => await everybodyFinds(...both))
    await until('the balancer uses both', SOON, async () => (await answers()).size === 2)
    t.pass()
  })

  await t.test('a killed one leaves names and balancers everywhere', async t => {
    await until('the balancer uses both', SOON, async () => (await answers('mortal')).size === 2)
    await hostOf(killed).run('docker', ['kill', String(killed.externalId)])
    await until('nobody finds it', SOON, async () => await allFind('mortal', survivor.primaryIpAddress))
    await until('the balancer leaves it out', SOON, async () => (await answers('mortal')).size === 1)
    t.pass()
  })

  await t.test('a host outside cannot say anything', async t => {
    const { stdout } = await fleet.first.run(
      'curl',
      [
        '--silent',
        '--insecure',
        '--max-time',
        '5',
        '--write-out',
        '%{http_code}',
        '--data',
        '{"verdicts":[]}',
        `https://${address}:9349/v1/verdicts`,
      ],
      { acceptedExitCodes: [0, 35, 52, 56] },
    )
    t.equal(stdout, '000')
  })

  await t.test('a server that comes back decides again', async t => {
    await inside(victim, 'mv', '/var/www/ping', '/var/www/pong')
    await until('nobody finds it', SOON, async () => await everybodyFinds(other.primaryIpAddress))
    await fleet.quickstart()
    await until('the server knows', SOON, async () =>
      (await of('web')).some(({ id, healthState }) => id === victim.id && healthState === 'unhealthy'),
    )
    t.ok(await everybodyFinds(other.primaryIpAddress))
    await inside(victim, 'mv', '/var/www/pong', '/var/www/ping')
    await until('everybody finds both', SOON, async () => await everybodyFinds(...both))
  })
})
