/** Killed at any moment: containers go on, and what comes back finds its way without starting anything anew. */
import t from 'tap'
import { sleep } from '../../../kit/index.ts'
import { DATA, Fleet, until, WEB_EXAMPLE } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

// tap gives a file 30 seconds unless told otherwise.
t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const STACK = ['io.rancher.stack.name=web']

/** Milliseconds within which everything is as it should be after a restart. */
const CONVERGED = 5_000

async function kill(fleet: Fleet, daemon: 'server' | 'agent'): Promise<void> {
  await fleet.first.run('busybox', ['kill', '-9', String(await fleet.daemonPid(daemon))])
}

function ids(containers: readonly { id: string }[]): string[] {
  return containers.map(({ id }) => id).sort()
}

/** Starts the agent again, without a server. */
function startAgent(fleet: Fleet): void {
  fleet.first.start('./drover', ['agent', '--data', `${DATA}/agent`], 'agent-alone')
}

/** Everything agrees: Docker, both APIs, and the host is active. */
async function settled(fleet: Fleet, expected: number): Promise<boolean> {
  const [hosts, containers, docker, pods] = await Promise.all([
    fleet.list('hosts'),
    fleet.list('containers'),
    fleet.docker(STACK),
    fleet.kubectl(['get', 'pods', '--no-headers']),
  ])
  const dockerIds = new Set(docker.map(({ id }) => id))
  return (
    hosts.every(({ agentState }) => agentState === 'active') &&
    docker.length === expected &&
    containers.length === expected &&
    containers.every(({ state, externalId }) => state === 'running' && dockerIds.has(String(externalId))) &&
    (pods.stdout.match(/ 1\/1 +Running /g) ?? []).length === expected
  )
}

t.test('killed while everything runs', { skip, timeout: 120_000 }, async t => {
  const fleet = await Fleet.start(t, 'kill')
  await fleet.drover(['stack', 'up', '-f', WEB_EXAMPLE])
  const before = ids(await fleet.docker(STACK))
  const fetch = (url: string) =>
    fleet.inContainer('web-client-1', ['timeout', '3', 'wget', '-q', '-O', '-', url])

  await t.test('without a server, containers talk, names resolve, metadata answers', async t => {
    await kill(fleet, 'server')
    t.match((await fetch('http://web/')).stdout, 'hello from')
    t.equal((await fetch('http://rancher-metadata/latest/self/container/name')).stdout, 'web-client-1')
    t.strictSame(ids(await fleet.docker(STACK)), before)
  })

  await t.test('without a server, a container that ends is started again', async t => {
    const [victim] = await fleet.docker(['io.rancher.container.name=web-web-3'])
    await fleet.first.run('docker', ['kill', victim?.id ?? ''])
    await until(
      'web-web-3 runs again',
      CONVERGED,
      async () => (await fleet.docker(['io.rancher.container.name=web-web-3'])).length === 1,
    )
    t.pass()
  })

  await t.test(
    'without a server, an agent that is killed and started again serves from its disk',
    async t => {
      const running = ids(await fleet.docker(STACK))
      await kill(fleet, 'agent')
      t.strictSame(ids(await fleet.docker(STACK)), running, 'nothing ended with the agent')
      const address = (await fleet.inContainer('web-web-1', ['hostname', '-i'])).stdout.trim()
      t.match((await fetch(`http://${address}/`)).stdout, 'hello from', 'containers talk without an agent')
      startAgent(fleet)
      await until('names resolve', CONVERGED, async () =>
        (await fetch('http://web/')).stdout.includes('hello from'),
      )
      t.equal((await fetch('http://rancher-metadata/latest/self/container/name')).stdout, 'web-client-1')
      t.strictSame(ids(await fleet.docker(STACK)), running)
    },
  )

  await t.test(
    'an agent that was killed between two steps leaves nothing that stands in the way',
    async t => {
      const [client] = await fleet.docker(['io.rancher.container.name=web-client-1'])
      const binds = ['inspect', '--format', '{{json .HostConfig.Binds}}', client?.id ?? '']
      const { stdout } = await fleet.first.run('docker', binds)
      const hosts =
        (JSON.parse(stdout) as string[]).find(bind => bind.includes(':/etc/hosts'))?.split(':')[0] ?? ''
      t.not(hosts, '')
      await kill(fleet, 'agent')
      // It has its sandbox, but not yet the file of its names: Docker makes a directory in its place.
      await fleet.first.run('docker', ['rm', '--force', client?.id ?? ''])
      await fleet.first.run('rm', [hosts])
      await fleet.first.run('mkdir', [hosts])
      startAgent(fleet)
      await until(
        'it runs again',
        2 * CONVERGED,
        async () => (await fleet.docker(['io.rancher.container.name=web-client-1'])).length === 1,
      )
      t.match((await fetch('http://web/')).stdout, 'hello from')
    },
  )

  await t.test('the server comes back', async t => {
    const running = ids(await fleet.docker(STACK))
    await fleet.quickstart()
    await until('everything agrees', CONVERGED, () => settled(fleet, 4))
    t.strictSame(ids(await fleet.docker(STACK)), running, 'no container was made anew')
    t.equal((await fleet.containers()).get('web-web-3')?.startCount, 2, 'what happened meanwhile is known')
  })

  await t.test('both are killed', async t => {
    const running = ids(await fleet.docker(STACK))
    await kill(fleet, 'server')
    await kill(fleet, 'agent')
    await fleet.quickstart()
    await until('everything agrees', CONVERGED, () => settled(fleet, 4))
    t.strictSame(ids(await fleet.docker(STACK)), running)
  })
})

t.test('killed in the middle of work', { skip, timeout: 240_000 }, async t => {
  const fleet = await Fleet.start(t, 'mid')
  for (const [round, victims] of ([['server'], ['agent'], ['server', 'agent']] as const).entries()) {
    await t.test(`round ${round}: ${victims.join(' and ')}`, { timeout: 60_000 }, async t => {
      // The command line loses its server in the middle; what it asked for is on disk or was never said to be.
      const up = fleet.drover(['stack', 'up', '-f', WEB_EXAMPLE]).catch(() => undefined)
      await sleep(Math.random() * 1500)
      for (const victim of victims) await kill(fleet, victim)
      await fleet.quickstart()
      await up
      await fleet.drover(['stack', 'up', '-f', WEB_EXAMPLE])
      await until('everything agrees', CONVERGED, () => settled(fleet, 4))
      const all = (await fleet.first.run('docker', ['ps', '--quiet'])).stdout.trim().split('\n')
      t.equal(all.length, 8, 'four containers and their four sandboxes')

      const down = fleet.drover(['stack', 'rm', 'web']).catch(() => undefined)
      await sleep(Math.random() * 1000)
      for (const victim of victims) await kill(fleet, victim)
      await fleet.quickstart()
      await down
      await fleet.drover(['stack', 'rm', 'web']).catch(() => undefined)
      await until('nothing is left', 2 * CONVERGED, async () => {
        const { stdout } = await fleet.first.run('docker', ['ps', '--all', '--quiet'])
        const links = (await fleet.first.run('ip', ['-o', 'link'])).stdout
        return (
          stdout.trim() === '' && !links.includes('vethr') && (await fleet.list('containers')).length === 0
        )
      })
      const files = (await fleet.first.run('find', [`${DATA}/agent`, '-path', '*addresses/10.*'])).stdout
      t.equal(files, '', 'every address is free again')
    })
  }
})
