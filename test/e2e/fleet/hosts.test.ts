/** A fleet of three hosts: joining, spreading, and everything that can be wrong with joining. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { DATA, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const COMPOSE =
  'version: "2"\nservices:\n  spread:\n    image: drover/busybox:1\n    scale: 6\n    command: sleep 1000\n    stop_grace_period: 0s\n'

t.test('three hosts', { skip, timeout: 240_000 }, async t => {
  const fleet = await Fleet.start(t, 'three', 3)
  const scratch = await mkdtemp(path.join(tmpdir(), 'drover-hosts-'))
  t.teardown(() => rm(scratch, { recursive: true }))
  /** Runs an agent that is expected to give up, in a data directory of its own. */
  const failingAgent = async (host: VirtualHost, name: string, args: readonly string[]) => {
    const directory = path.join(scratch, name)
    const result = await host.run('./drover', ['agent', '--data', directory, ...args], {
      acceptedExitCodes: [1],
      deadline: 30_000,
    })
    return { text: result.stderr, files: await readdir(directory).catch((): string[] => []) }
  }

  await t.test('a token joins a host', async t => {
    await Promise.all([fleet.join(2), fleet.join(3)])
    const hosts = await fleet.list('hosts')
    t.strictSame(
      hosts.map(({ hostname, agentState, agentIpAddress }) => [hostname, agentState, agentIpAddress]).sort(),
      [
        ['h1', 'active', '192.0.2.1'],
        ['h2', 'active', '192.0.2.2'],
        ['h3', 'active', '192.0.2.3'],
      ],
    )
    const blocks = hosts.flatMap(({ blocks }) => blocks as string[])
    t.equal(new Set(blocks).size, 3, 'each has a block of addresses of its own')
    await until('three nodes are ready', 10_000, async () => {
      const nodes = (await fleet.kubectl(['get', 'nodes', '--no-headers'])).stdout
      return nodes.match(/ Ready /g)?.length === 3
    })
    t.match((await fleet.drover(['hosts'])).stdout, /h3 .* active/)
  })

  await t.test('a service of six is spread over them', async t => {
    await fleet.first.run('tee', ['/etc/spread.yml'], { input: COMPOSE })
    await fleet.drover(['stack', 'up', '-f', '/etc/spread.yml', '-s', 'six'])
    const counts = await Promise.all(
      fleet.lab.hosts.map(async host => (await fleet.docker(['io.rancher.stack.name=six'], host)).length),
    )
    t.strictSame(counts, [2, 2, 2])
    const addresses = (await fleet.list('containers')).map(({ primaryIpAddress }) => primaryIpAddress)
    t.equal(new Set(addresses).size, 6)
    await fleet.drover(['stack', 'rm', 'six'])
  })

  await t.test('tokens that are wrong, expired, revoked or for another server', async t => {
    const host = fleet.host(2)
    const server = ['--server', fleet.serverUrl]
    const good = await fleet.token()
    const [publicValue, expires, signature, checksum] = good.split(':')
    const forged = [publicValue, Number(expires) + 1, signature, checksum].join(':')
    const elsewhere = [publicValue, expires, signature, 'ab'.repeat(32)].join(':')
    const brief = (await fleet.drover(['token', '--ttl', '1s'])).stdout.trim()
    const revoked = await fleet.token()
    const tokens = await fleet.list('registrationtokens')
    await fleet.api('DELETE', `registrationtokens/${tokens.at(-1)?.id}`)
    await until('the token expires', 3_000, async () => Number(brief.split(':')[1]) < Date.now())

    const cases = [
      ['nonsense', 'nonsense', /form of a registration token/],
      ['forged', forged, /not a registration token of this server/],
      ['revoked', revoked, /not a registration token of this server/],
      ['expired', brief, /expired at/],
      ['elsewhere', elsewhere, /authority other than the one in the registration token/],
    ] as const
    for (const [name, token, message] of cases) {
      const { text, files } = await failingAgent(host, name, [...server, '--token', token])
      t.match(text, message, name)
      t.match(text, 'drover token', 'says how to get a good one')
      t.notOk(files.includes('membership.json'), 'nothing half done')
    }
    t.equal((await fleet.list('hosts')).length, 3)
  })

  await t.test('a server that is not there, or is none', async t => {
    const host = fleet.host(2)
    const token = await fleet.token()
    const nobody = await failingAgent(host, 'nobody', [
      '--server',
      'https://192.0.2.77:8443',
      '--token',
      token,
    ])
    t.match(nobody.text, /192\.0\.2\.77:8443.*cannot be reached/)
    const closed = await failingAgent(host, 'closed', ['--server', 'https://192.0.2.1:9', '--token', token])
    t.match(closed.text, /cannot be reached.*ECONNREFUSED/)
    t.match(
      (await failingAgent(host, 'missing', [])).text,
      /belongs to no server yet.*--server URL and --token TOKEN/,
    )
  })

  await t.test('a second agent with the same data directory', async t => {
    const { stderr } = await fleet.first.run('./drover', ['agent', '--data', `${DATA}/agent`], {
      acceptedExitCodes: [1],
    })
    t.match(stderr, /is in use by another agent \(process \d+\)/)
  })

  await t.test('a copied machine is refused', async t => {
    await fleet.host(2).run('cp', ['-a', `${DATA}/agent`, `${scratch}/copy`])
    await fleet.host(3).run('rm', ['-f', `${scratch}/copy/cni.sock`])
    const copy = fleet
      .host(3)
      .start(
        'unshare',
        [
          '--mount',
          'sh',
          '-c',
          `echo 11111111-2222-3333-4444-555555555555 > ${scratch}/boot && mount --bind ${scratch}/boot /proc/sys/kernel/random/boot_id && exec ./drover agent --data ${scratch}/copy`,
        ],
        'copy',
      )
    await until(
      'the server says so',
      10_000,
      async () =>
        (
          await fleet.first.run('grep', ['-c', 'is connected from another machine', `${DATA}/server.log`], {
            acceptedExitCodes: [0, 1],
          })
        ).exitCode === 0,
    )
    t.equal(
      (await fleet.list('hosts')).find(({ hostname }) => hostname === 'h2')?.agentState,
      'active',
      'the real one stays',
    )
    copy.kill('SIGTERM')
  })

  await t.test('a host that is removed is out, and leaves no trace when uninstalled', async t => {
    const host = fleet.host(3)
    const rules = async () => (await host.run('iptables-save', [])).stdout
    t.match(await rules(), 'CATTLE_')
    const id = (await fleet.list('hosts')).find(({ hostname }) => hostname === 'h3')?.id
    await fleet.api('DELETE', `hosts/${id}`)
    await until('it is gone', 10_000, async () => (await fleet.list('hosts')).length === 2)
    t.notMatch((await fleet.kubectl(['get', 'nodes', '--no-headers'])).stdout, 'h3')
    const pid = (await host.run('cat', [`${DATA}/agent/agent.lock`])).stdout.trim()
    await host.run('busybox', ['kill', pid])
    await until(
      'its agent ended',
      10_000,
      async () =>
        (await host.run('busybox', ['kill', '-0', pid], { acceptedExitCodes: [0, 1] })).exitCode === 1,
    )
    await host.run('./drover', ['agent', '--uninstall'])
    t.notMatch(await rules(), 'CATTLE_')
    const links = (await host.run('ip', ['-o', 'addr'])).stdout
    t.notMatch(links, /drover0|vethr|169\.254\.169\.250/)
    t.equal((await host.run('find', [`${DATA}/agent`], { acceptedExitCodes: [0, 1] })).stdout.trim(), '')
  })
})
