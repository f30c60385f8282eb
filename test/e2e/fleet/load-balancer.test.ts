/** A load balancer service on two hosts: from a compose file to answers through its published ports. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { createCertificateAuthority, issueCertificate } from '../../../kit/x509/index.ts'
import { type ApiObject, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { Peer } from '../network/lab.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const COMPOSE = `version: "2"
services:
  web:
    scale: 2
    drain_timeout_ms: 60000
    image: drover/busybox:1
    command:
      - sh
      - -c
      - |
        mkdir -p /var/www/cgi-bin
        hostname > /var/www/index.html
        printf '#!/bin/sh\\necho\\nsleep 7\\nhostname\\n' > /var/www/cgi-bin/slow
        chmod +x /var/www/cgi-bin/slow
        trap 'exit 0' TERM
        httpd -f -p 8080 -h /var/www &
        wait
  balancer:
    image: rancher/lb-service-haproxy:v0.9.13
    ports: ["8000:80", "9443:443", "5300:53/udp"]
    labels: {io.rancher.lb_service.cert_dir: /certs}
    volumes: ["/run/certificates:/certs:ro"]
`

const rancherCompose = (scale: number, more = '') => `version: "2"
services:
  web: {scale: ${scale}}
  balancer:
    lb_config:
      port_rules:
        - {source_port: 80, service: web, target_port: 8080}
${more}`

const UDP = `        - {source_port: 53, protocol: udp, service: web, target_port: 5353}
`

const HTTPS = `        - {source_port: 443, protocol: https, service: web, target_port: 8080}
      default_cert: site
`

/** Milliseconds. */
const SOON = 30_000

interface BalancerContainer extends ApiObject {
  readonly balancerProblem: string | null
  readonly balancerStatistics: readonly {
    name: string
    kind: string
    requestsTotal: number
    sessionsTotal: number
  }[]
}

t.test('a load balancer', { skip, timeout: 240_000 }, async t => {
  const fleet = await Fleet.start(t, 'balancer', 2)
  await fleet.join(2)
  const [docker = '', rancher = ''] = ['docker-compose.yml', 'rancher-compose.yml'].map(name =>
    path.join(fleet.first.directory, name),
  )
  await writeFile(docker, COMPOSE)
  const up = async (text: string) => {
    await writeFile(rancher, text)
    await fleet.drover(['stack', 'up', '-s', 'shop', '-f', docker, '-r', rancher])
  }
  const of = async (service: string): Promise<ApiObject[]> =>
    [...(await fleet.containers()).values()].filter(({ name }) => name.startsWith(`shop-${service}-`))
  const hostOf = async (container: ApiObject | undefined) => {
    const host = (await fleet.list('hosts')).find(({ id }) => id === container?.hostId)
    return fleet.lab.hosts.find(({ name }) => name === host?.hostname) ?? fleet.first
  }
  let place = fleet.first
  const curl = async (url: string, ...options: string[]) =>
    await fleet.first.run('curl', ['--silent', '--insecure', '--max-time', '10', ...options, url], {
      acceptedExitCodes: [0, 7, 28, 35, 52, 56],
    })
  /** Who answers, of so many requests; `failed` for those that got no answer. */
  const answers = async (count: number): Promise<Set<string>> => {
    const found = new Set<string>()
    for (let index = 0; index < count; index += 1) {
      const { stdout } = await curl(`http://${place.address}:8000/`)
      found.add(/^shop-web/.test(stdout) ? stdout.trim() : 'failed')
    }
    return found
  }
  /** Which configuration the balancer has. */
  const generation = async () =>
    (
      await place.run('find', [
        '/var/lib/drover',
        '-path',
        '*balancers*',
        '-name',
        'current',
        '-printf',
        '%l',
      ])
    ).stdout
  const authority = await createCertificateAuthority('test', 2)
  const certificate = async (commonName: string) => {
    const { certificate: cert, privateKey: key } = await issueCertificate(authority, {
      commonName,
      dnsNames: [commonName],
      usage: 'server',
      validDays: 2,
    })
    return { cert, key }
  }
  const servedCertificate = async () =>
    /subject: CN=(\S+)/.exec((await curl(`https://${place.address}:9443/`, '--verbose')).stderr)?.[1]

  await t.test('leads requests to the containers of a service', async t => {
    await up(rancherCompose(2))
    place = await hostOf((await of('balancer'))[0])
    await until(
      'both answer',
      SOON,
      async () => (await answers(4)).size === 2 && !(await answers(2)).has('failed'),
    )
    t.pass()
  })

  await t.test('follows the scale of a service without a new configuration', async t => {
    const before = await generation()
    await up(rancherCompose(3))
    await until('all three answer', SOON, async () => (await answers(6)).size === 3)
    t.equal(await generation(), before)
    t.match(before, /^generation-/)
  })

  await t.test('has certificates, whose keys nobody else sees', async t => {
    const [project] = (await fleet.list('projects')).filter(
      ({ name }) => name === 'Default' || name === 'default',
    )
    const site = await certificate('site.example')
    const made = await fleet.api('POST', 'certificates', { name: 'site', accountId: project?.id, ...site })
    t.match(made, { state: 'active', cn: 'site.example', key: null })
    const wrong = {
      name: 'wrong',
      accountId: project?.id,
      cert: site.cert,
      key: (await certificate('x')).key,
    }
    t.match(await fleet.api('POST', 'certificates', wrong), { status: 422, fieldName: 'key' })
    await up(rancherCompose(3, HTTPS))
    await until('it is served', SOON, async () => (await servedCertificate()) === 'site.example')
    const before = await generation()
    await fleet.api('PUT', `certificates/${made.id}`, await certificate('renewed.example'))
    await until(
      'the renewed one is served',
      SOON,
      async () => (await servedCertificate()) === 'renewed.example',
    )
    t.equal(await generation(), before, 'without a new configuration')
    const secret = site.key.split('\n')[1] ?? ''
    const shown = JSON.stringify([await fleet.list('certificates'), await fleet.list('services')])
    t.notOk(shown.includes(secret))
    const { stdout } = await fleet.inContainer(
      'shop-web-1',
      ['wget', '-q', '-O', '-', 'http://169.254.169.250/latest'],
      await hostOf((await of('web'))[0]),
    )
    t.notOk(stdout.includes('PRIVATE'))
    t.match(await fleet.api('DELETE', `certificates/${made.id}`), { status: /4\d\d/ }, 'it is in use')
  })

  await t.test('has certificates that somebody renews in a directory', async t => {
    const served = async (name: string) =>
      /subject: CN=(\S+)/.exec(
        (await curl(`https://${name}:9443/`, '--verbose', '--resolve', `${name}:9443:${place.address}`))
          .stderr,
      )?.[1]
    const { cert, key } = await certificate('mounted.example')
    // As certbot lays them out: the directory has links to what was renewed last.
    for (const host of fleet.lab.hosts) {
      const files = path.join(host.directory, 'mounted')
      await mkdir(files, { recursive: true })
      await writeFile(path.join(files, 'fullchain1.pem'), cert)
      await writeFile(path.join(files, 'privkey1.pem'), key)
      await host.run('mkdir', ['-p', '/run/certificates/mounted.example', '/run/certificates/.archive'])
      for (const name of ['fullchain', 'privkey']) {
        await host.run('cp', [path.join(files, `${name}1.pem`), '/run/certificates/.archive/'])
        const link = `/run/certificates/mounted.example/${name}.pem`
        await host.run('ln', ['-s', `../.archive/${name}1.pem`, link])
      }
    }
    await until('it is served', 60_000, async () => (await served('mounted.example')) === 'mounted.example')
    t.not(await served('site.example'), 'mounted.example')
  })

  await t.test('leads UDP, too', async t => {
    await up(rancherCompose(3, UDP + HTTPS))
    const peers = await Promise.all(
      (await of('web')).map(async container => {
        const host = await hostOf(container)
        const format = ['inspect', '--format', '{{.State.Pid}}', String(container.externalId)]
        const { stdout } = await host.run('docker', format)
        const peer = await Peer.startIn(container.name, `/proc/${stdout.trim()}/ns/net`)
        await peer.listen('udp', 5353)
        return peer
      }),
    )
    const outside = await Peer.startIn(
      'outside',
      `/proc/${fleet.host(place === fleet.first ? 2 : 1).holder}/ns/net`,
    )
    t.teardown(async () => {
      for (const peer of [...peers, outside]) await peer.stop()
    })
    const found = new Set<string>()
    await until('all three answer', SOON, async () => {
      const answer = await outside.ask('udp', place.address, 5300, 500).catch(() => '')
      if (answer !== '') found.add(answer.split(' ')[0] ?? '')
      return found.size === 3
    })
    t.strictSame([...found].toSorted(), ['shop-web-1', 'shop-web-2', 'shop-web-3'])
    await until('in the API', SOON, async () =>
      ((await of('balancer')) as BalancerContainer[])[0]?.balancerStatistics.some(
        ({ name, sessionsTotal }) => name === '53/udp' && sessionsTotal > 0,
      ),
    )
  })

  await t.test("shows an owner's mistake, and goes on", async t => {
    await up(rancherCompose(3, `${HTTPS}      config: |-\n        defaults\n          timeout nonsense 5s\n`))
    const service = await until('it is shown', SOON, async () =>
      (await fleet.list('services')).find(
        ({ name, transitioningMessage }) =>
          name === 'balancer' && String(transitioningMessage).includes('nonsense'),
      ),
    )
    t.match(service.transitioningMessage, /line \d+: timeout nonsense 5s/)
    t.notOk((await answers(3)).has('failed'))
    await up(rancherCompose(3, HTTPS))
    await until('nothing is wrong any more', SOON, async () =>
      (await fleet.list('services')).some(
        ({ name, transitioningMessage }) => name === 'balancer' && transitioningMessage === null,
      ),
    )
  })

  await t.test('tells what it does', async t => {
    await until('in the API', SOON, async () =>
      ((await of('balancer')) as BalancerContainer[])[0]?.balancerStatistics.some(
        ({ name, kind, requestsTotal }) => name === '80' && kind === 'frontend' && requestsTotal > 0,
      ),
    )
    const { stdout } = await place.run('curl', ['--silent', 'http://127.0.0.1:9347/metrics'])
    t.match(stdout, /drover_balancer_requests_total\{container="[^"]+",kind="frontend",name="80"\} [1-9]/)
  })

  await t.test('leaves clients the containers that are to end, and ends those without clients', async t => {
    const slow = Promise.all(
      Array.from({ length: 6 }, () =>
        curl(`http://${place.address}:8000/cgi-bin/slow`, '--write-out', '%{http_code}'),
      ),
    )
    // All of them are being answered.
    await until('they are in progress', SOON, async () => {
      const { stdout } = await place.run('sh', [
        '-c',
        'ls /proc/[0-9]*/comm | xargs grep -l "^slow$" 2>/dev/null | wc -l',
      ])
      return Number(stdout) > 0
    })
    await up(rancherCompose(2, HTTPS))
    for (const { stdout } of await slow) t.match(stdout, /^shop-web-\d.*\n200$/)
    // Long before the minute that they may have.
    await until('two are left', SOON, async () => (await of('web')).length === 2)
    t.notOk((await answers(4)).has('failed'))
  })

  await t.test('goes on while server and agent are away, and follows both when they are back', async t => {
    const victim = (await of('web'))[0]
    const home = await hostOf(victim)
    await fleet.drover(['stop'])
    t.notOk((await answers(4)).has('failed'))
    await home.run('docker', ['kill', String(victim?.externalId)])
    t.notOk((await answers(6)).has('failed'), 'those that do not answer are left out')
    await fleet.quickstart()
    await up(rancherCompose(1, HTTPS))
    await until('one is left', SOON, async () => {
      const found = await answers(4)
      return found.size === 1 && !found.has('failed')
    })
    t.equal(await servedCertificate(), 'renewed.example')
  })

  await t.test('leaves nothing', async t => {
    // Nobody is left to say that there are no clients.
    const service = (await fleet.list('services')).find(({ name }) => name === 'web')
    await fleet.api('PUT', `services/${service?.id}`, { drainTimeoutMs: 0 })
    await fleet.drover(['stack', 'rm', 'shop'])
    await until('the containers are gone', SOON, async () => (await of('balancer')).length === 0)
    await until('its files are gone', SOON, async () => (await generation()) === '')
    t.strictSame(
      (await place.run('sh', ['-c', 'pgrep -x haproxy -a || true'])).stdout.match(/balancers/g),
      null,
    )
  })
})
