/** The main path, the way a user walks it: from nothing to a stack that works, and back to nothing. */
import t from 'tap'
import { type ApiObject, Fleet, until, WEB_EXAMPLE } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

// tap gives a file 30 seconds unless told otherwise.
t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

const WEB = ['web-web-1', 'web-web-2', 'web-web-3']

/** Everything of the network that a stack could leave behind. */
async function kernelState(fleet: Fleet): Promise<Record<string, string[]>> {
  const lines = async (file: string, ...args: string[]) => {
    const { stdout } = await fleet.first.run(file, args)
    return stdout.split('\n').filter(line => line !== '')
  }
  const links = await lines('ip', '-o', 'link')
  return {
    links: links.map(line => line.split(': ')[1]?.split('@')[0] ?? ''),
    addresses: (await lines('ip', '-o', 'addr')).map(line =>
      line.replace(/^\d+: /, '').replace(/ valid_lft.*/, ''),
    ),
    rules: (await lines('iptables-save')).filter(line => line.startsWith('-A') && line.includes('CATTLE')),
    // Where the next address is looked for, the journal of everything that was, and what is followed of the cluster are
    // the host's own.
    files: await lines(
      'find',
      '/var/lib/drover/agent',
      '-type',
      'f',
      '!',
      '-name',
      'cursor',
      '!',
      '-path',
      '*/metadata/*',
      '!',
      '-path',
      '*/cluster/*',
    ),
    containers: await lines('docker', 'ps', '--all', '--quiet'),
  }
}

t.test('quickstart, a stack, and nothing left', { skip, timeout: 180_000 }, async t => {
  const fleet = await Fleet.start(t, 'main')
  const before = await kernelState(fleet)

  await t.test('stack up', async t => {
    await fleet.drover(['stack', 'up', '-f', WEB_EXAMPLE])
    const docker = await fleet.docker(['io.rancher.stack.name=web'])
    t.equal(docker.length, 4, 'docker ps shows them')
    const pods = await fleet.kubectl(['get', 'pods', '-A', '--no-headers'])
    t.equal(pods.stdout.match(/ 1\/1 +Running /g)?.length, 4, 'kubectl shows running pods')
    t.match((await fleet.kubectl(['get', 'nodes', '--no-headers'])).stdout, /^h1 +Ready /)
    const containers = await fleet.containers()
    t.strictSame([...containers.keys()].sort(), ['web-client-1', ...WEB])
    for (const { id } of docker) {
      const shown = [...containers.values()].find(({ externalId }) => externalId === id)
      t.match(
        shown,
        { state: 'running', nativeContainer: false, startCount: 1 },
        'the API agrees with Docker',
      )
    }
    const ps = JSON.parse((await fleet.drover(['ps', '--json'])).stdout) as ApiObject[]
    t.strictSame(
      ps.map(({ name, state }) => [name, state]).sort(),
      [...containers.values()].map(({ name, state }) => [name, state]).sort(),
    )
    const addresses = (
      await fleet.kubectl(['get', 'pods', '-o', 'jsonpath={.items[*].status.podIP}'])
    ).stdout.split(' ')
    t.strictSame(
      addresses.sort(),
      [...containers.values()].map(({ primaryIpAddress }) => String(primaryIpAddress)).sort(),
    )
  })

  await t.test('inside the client: names, HTTP, metadata', async t => {
    const lookup = await until('three addresses', 5_000, async () => {
      const { stdout } = await fleet.inContainer('web-client-1', ['nslookup', 'web'])
      const found = [...stdout.matchAll(/^Address(?: \d+)?: +(10\.42\.[\d.]+)/gm)].map(
        match => match[1] ?? '',
      )
      return new Set(found).size === 3 ? [...new Set(found)] : undefined
    })
    const containers = await fleet.containers()
    t.strictSame(lookup.sort(), WEB.map(name => String(containers.get(name)?.primaryIpAddress)).sort())
    for (const address of lookup) {
      const page = await fleet.inContainer('web-client-1', ['wget', '-q', '-O', '-', `http://${address}/`])
      t.match(page.stdout, /^hello from web-web-[123]\n$/)
    }
    t.match(
      (await fleet.inContainer('web-client-1', ['wget', '-q', '-O', '-', 'http://web/'])).stdout,
      'hello from',
    )
    const metadata = async (path: string) =>
      (
        await fleet.inContainer('web-client-1', [
          'wget',
          '-q',
          '-O',
          '-',
          `http://rancher-metadata/latest/${path}`,
        ])
      ).stdout
    t.equal(await metadata('self/container/name'), 'web-client-1')
    t.equal(await metadata('self/service/name'), 'client')
    t.equal(await metadata('self/stack/name'), 'web')
    t.equal(await metadata('self/host/hostname'), 'h1')
    t.equal(await metadata('self/container/primary_ip'), containers.get('web-client-1')?.primaryIpAddress)
  })

  await t.test('the published port answers, from the host and from outside', async t => {
    const outside = await fleet.lab.addMachine(9, 'out')
    for (const [host, url] of [
      [outside, `http://${fleet.first.address}:8081/`],
      [fleet.first, `http://${fleet.first.address}:8081/`],
      [fleet.first, 'http://127.0.0.1:8081/'],
    ] as const) {
      t.match(
        (await host.run('curl', ['--silent', '--max-time', '5', url])).stdout,
        'ask me',
        `${host.name} asks ${url}`,
      )
    }
  })

  await t.test('a container that is killed comes back, and both status paths say so', async t => {
    const [victim] = await fleet.docker(['io.rancher.container.name=web-web-2'])
    await fleet.first.run('docker', ['kill', victim?.id ?? ''])
    const after = await until('web-web-2 runs again', 5_000, async () => {
      const container = (await fleet.containers()).get('web-web-2')
      return container?.startCount === 2 && container.state === 'running' && container
    })
    t.not(after.externalId, victim?.id)
    await until('kubectl shows the restart', 5_000, async () =>
      /web-web-2-\S+ +1\/1 +Running +1 /.test((await fleet.kubectl(['get', 'pods', '--no-headers'])).stdout),
    )
    t.match((await fleet.kubectl(['get', 'pods', '-o', 'json'])).stdout, '"exitCode": 137')
    t.equal((await fleet.docker(['io.rancher.container.name=web-web-2'])).length, 1)
  })

  await t.test('scale 3 → 5 → 1', async t => {
    for (const scale of [5, 1]) {
      await fleet.drover(['scale', 'web/web', String(scale)])
      const { stdout } = await fleet.drover(['inspect', 'web/web'])
      t.match(JSON.parse(stdout), { type: 'service', name: 'web', scale })
      t.equal((await fleet.docker(['io.rancher.stack_service.name=web/web'])).length, scale)
      t.equal(
        [...(await fleet.containers()).keys()].filter(name => name.startsWith('web-web-')).length,
        scale,
      )
    }
  })

  await t.test('stack rm leaves nothing', async t => {
    await fleet.drover(['stack', 'rm', 'web'])
    t.strictSame(await fleet.list('containers'), [])
    t.strictSame(await fleet.list('stacks'), [])
    t.match((await fleet.kubectl(['get', 'pods', '-A'])).stderr, 'No resources found')
    t.strictSame(await kernelState(fleet), before)
  })
})
