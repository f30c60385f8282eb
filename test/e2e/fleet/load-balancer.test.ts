/** A load balancer service on two hosts: from a compose file to answers through its published port. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { type ApiObject, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const COMPOSE = `version: "2"
services:
  web:
    scale: 2
    image: drover/busybox:1
    command:
      - sh
      - -c
      - |
        mkdir -p /var/www
        hostname > /var/www/index.html
        trap 'exit 0' TERM
        httpd -f -p 8080 -h /var/www &
        wait
  balancer:
    image: rancher/lb-service-haproxy:v0.9.13
    ports: ["8000:80"]
`

const RANCHER_COMPOSE = `version: "2"
services:
  balancer:
    scale: 1
    lb_config:
      port_rules:
        - source_port: 80
          protocol: http
          service: web
          target_port: 8080
`

/** Milliseconds. */
const SOON = 30_000

t.test('a load balancer', { skip, timeout: 240_000 }, async t => {
  const fleet = await Fleet.start(t, 'balancer', 2)
  await fleet.join(2)
  const files = ['docker-compose.yml', 'rancher-compose.yml'].map(name =>
    path.join(fleet.first.directory, name),
  )
  const [docker = '', rancher = ''] = files
  await writeFile(docker, COMPOSE)
  const up = async (...more: string[]) => {
    await fleet.drover(['stack', 'up', '-s', 'shop', '-f', docker, '-r', rancher, ...more])
  }
  const of = async (service: string): Promise<ApiObject[]> =>
    [...(await fleet.containers()).values()].filter(({ name }) => name.startsWith(`shop-${service}-`))
  const hostOf = async (container: ApiObject | undefined) => {
    const host = (await fleet.list('hosts')).find(({ id }) => id === container?.hostId)
    return fleet.lab.hosts.find(({ name }) => name === host?.hostname) ?? fleet.first
  }
  /** Who answers, of so many requests. */
  const answers = async (count: number, port = 8000): Promise<Set<string>> => {
    const { address } = await hostOf((await of('balancer'))[0])
    const found = new Set<string>()
    for (let index = 0; index < count; index += 1) {
      const { stdout } = await fleet.first.run(
        'wget',
        ['-q', '-T', '2', '-O', '-', `http://${address}:${port}/`],
        {
          acceptedExitCodes: [0, 1, 4, 8],
        },
      )
      if (stdout !== '') found.add(stdout.trim())
    }
    return found
  }
  const log = async () => {
    const host = await hostOf((await of('balancer'))[0])
    return await readFile(path.join(host.directory, 'agent.log'), 'utf8').catch(() => '')
  }

  await t.test('leads requests to the containers of a service', async t => {
    await writeFile(rancher, RANCHER_COMPOSE)
    await up()
    await until('both answer', SOON, async () => (await answers(4)).size === 2)
    t.pass()
  })
  void log
})
