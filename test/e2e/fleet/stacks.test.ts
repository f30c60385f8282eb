/** Stacks over time: upgrade, rollback, environments, clusters, consoles. */
import t from 'tap'
import { DATA, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

function compose(version: string, scale = 3): string {
  return `version: "2"
services:
  app:
    image: drover/busybox:1
    scale: ${scale}
    environment: {VERSION: "${version}"}
    command: [sh, -c, "echo version $$VERSION; trap 'exit 0' TERM; sleep 1000 & wait"]
`
}

t.test('stacks over time', { skip, timeout: 240_000 }, async t => {
  const fleet = await Fleet.start(t, 'stacks')
  const write = (text: string) => fleet.first.run('tee', ['/etc/app.yml'], { input: text })
  const up = (...args: string[]) => fleet.drover(['stack', 'up', '-f', '/etc/app.yml', '-s', 'app', ...args])
  const versions = async () => {
    const running = await fleet.docker(['io.rancher.stack.name=app'])
    const outputs = await Promise.all(
      running.map(({ id }) => fleet.first.run('docker', ['exec', id, 'sh', '-c', 'echo $VERSION'])),
    )
    return outputs.map(({ stdout }) => stdout.trim()).sort()
  }
  const ids = async () => (await fleet.docker(['io.rancher.stack.name=app'])).map(({ id }) => id).sort()

  await t.test('upgrade: asked for, a batch at a time, undone by a rollback', async t => {
    await write(compose('1'))
    await up()
    const first = await ids()
    await up()
    t.strictSame(await ids(), first, 'the same files change nothing')

    await write(compose('2'))
    const refused = await fleet.drover(['stack', 'up', '-f', '/etc/app.yml', '-s', 'app'], {
      acceptedExitCodes: [1],
    })
    t.match(refused.stderr, /differs in what its containers are made from: app \(environment\)/)
    t.match(refused.stderr, /--upgrade/)
    t.strictSame(await ids(), first)

    let least = 3
    const upgrade = up('--upgrade')
    const watching = setInterval(() => {
      fleet.docker(['io.rancher.stack.name=app']).then(
        ({ length }) => {
          least = Math.min(least, length)
        },
        () => undefined,
      )
    }, 100)
    await upgrade
    clearInterval(watching)
    t.ok(least >= 2, `never fewer than two ran (${least})`)
    t.strictSame(await versions(), ['2', '2', '2'])

    await up('--rollback')
    t.strictSame(await versions(), ['1', '1', '1'])
    await write(compose('3', 1))
    await up('--upgrade')
    await up('--confirm')
    t.strictSame(await versions(), ['3'])
    const nothing = await fleet.drover(['stack', 'up', '-f', '/etc/app.yml', '-s', 'app', '--rollback'], {
      acceptedExitCodes: [1],
    })
    t.match(nothing.stderr, /rollback is not available/)
    t.match((await fleet.drover(['stack', 'export', 'app'])).stdout, 'VERSION: "3"')
    t.match((await fleet.drover(['stack', 'ls'])).stdout, /app .* active .* app\(1\)/)
  })

  await t.test('an upgrade that does not start stops by itself, and can be undone', async t => {
    await write(compose('4', 2))
    await up('--upgrade')
    await write(compose('5', 2).replace('[sh, -c', '[/no/such/shell, -c'))
    const failed = await fleet.drover(['stack', 'up', '-f', '/etc/app.yml', '-s', 'app', '--upgrade'], {
      acceptedExitCodes: [1],
    })
    t.match(failed.stderr, /RunContainerError/)
    t.strictSame(await versions(), ['4'], 'one unit was given to the new version, the other goes on')
    await up('--rollback')
    t.strictSame(await versions(), ['4', '4'])
  })

  await t.test('exec and logs', async t => {
    t.match((await fleet.drover(['logs', 'app-app-1'])).stdout, 'version 4')
    t.equal((await fleet.drover(['exec', 'app-app-1', 'echo', 'from', 'inside'])).stdout, 'from inside\n')
    const missing = await fleet.drover(['exec', 'app-app-1', '/no/such/command'], {
      acceptedExitCodes: [0, 1],
    })
    t.match(`${missing.stdout}${missing.stderr}`, /no such file/)
    const pod = (await fleet.kubectl(['get', 'pods', '-o', 'name'])).stdout.split('\n')[0] ?? ''
    t.match((await fleet.kubectl(['logs', pod, '--tail=1'])).stdout, 'version 4')
    await fleet.drover(['stack', 'rm', 'app'])
  })

  await t.test('a service that is posted to the API', async t => {
    const stack = await fleet.api('POST', 'stacks', { name: 'posted' })
    const service = await fleet.api('POST', 'services', {
      name: 'three',
      stackId: stack.id,
      scale: 3,
      launchConfig: {
        image: 'drover/busybox:1',
        command: ['sleep', '1000'],
        stopTimeout: 0,
        labels: { mine: 'yes' },
      },
    })
    t.match(service, { type: 'service', state: 'activating', transitioning: 'yes', scale: 3 })
    const running = async (count: number) => {
      const { data } = await fleet.api<{ data: { state: string; name: string }[] }>(
        'GET',
        `services/${service.id}/containers`,
      )
      return (
        data.length === count &&
        data.every(({ state }) => state === 'running') &&
        data.map(({ name }) => name)
      )
    }
    const names = await until('three run', 10_000, () => running(3))
    t.strictSame(names.sort(), ['posted-three-1', 'posted-three-2', 'posted-three-3'])
    t.equal((await fleet.docker(['mine=yes'])).length, 3, "the user's labels are on the Docker containers")
    await until(
      'the service is active',
      5_000,
      async () => (await fleet.api('GET', `services/${service.id}`)).state === 'active',
    )
    await fleet.api('PUT', `services/${service.id}`, { scale: 1 })
    await until('one runs', 10_000, () => running(1))
    const before = (await fleet.docker(['mine=yes']))[0]?.id
    await fleet.api('POST', `services/${service.id}?action=restart`)
    await until('it was made anew', 10_000, async () => {
      const [container] = await fleet.docker(['mine=yes'])
      return container !== undefined && container.id !== before
    })
    await fleet.api('DELETE', `stacks/${stack.id}`)
    await until('all is gone', 10_000, async () => (await fleet.list('stacks')).length === 0)
  })

  await t.test('environments are namespaces of their own', async t => {
    await fleet.drover(['env', 'create', 'staging'])
    await write(compose('1', 1))
    await up('-e', 'staging')
    t.match(
      (await fleet.kubectl(['get', 'pods', '-n', 'staging', '--no-headers'])).stdout,
      /app-app-1-\S+ +1\/1 +Running/,
    )
    const seen = await fleet.inContainer('app-app-1', [
      'wget',
      '-q',
      '-O',
      '-',
      'http://169.254.169.250/latest/containers',
    ])
    t.equal(seen.stdout.trim(), '0=app-app-1')
    t.match((await fleet.drover(['env', 'ls'])).stdout, /staging .* active .* staging/)
    await fleet.drover(['env', 'rm', 'staging'])
    t.strictSame(await fleet.list('containers'), [])
    t.notMatch((await fleet.kubectl(['get', 'namespaces'])).stdout, 'staging')
    const kept = await fleet.drover(['env', 'rm', 'Default'], { acceptedExitCodes: [1] })
    t.match(kept.stderr, /is the environment of the cluster itself/)
  })

  await t.test('clusters are made in a moment, and know nothing of each other', async t => {
    await fleet.drover(['cluster', 'create', 'second'])
    const config = (await fleet.drover(['kubeconfig', 'second'])).stdout
    await fleet.first.run('tee', ['/etc/second.kubeconfig'], { input: config })
    const second = (...args: string[]) =>
      fleet.first.run('kubectl', ['--kubeconfig', '/etc/second.kubeconfig', ...args])
    t.match((await second('get', 'nodes')).stderr, 'No resources found')
    await second('create', 'configmap', 'only-here', '--from-literal=a=b')
    t.notMatch((await fleet.kubectl(['get', 'configmaps'])).stdout, 'only-here')
    // The credentials of the first cluster's agent mean nothing in the second.
    const membership = JSON.parse(
      (await fleet.first.run('cat', [`${DATA}/agent/membership.json`])).stdout,
    ) as Record<string, string>
    const cluster = (await fleet.list('clusters')).find(({ name }) => name === 'second')
    for (const [id, status] of [
      [membership.clusterId, '200'],
      [cluster?.id, '401'],
      ['1c999', '401'],
    ]) {
      const { stdout } = await fleet.first.run(
        'curl',
        [
          '--silent',
          '--insecure',
          '--output',
          '/dev/null',
          '--write-out',
          '%{http_code}',
          '--config',
          '-',
          `https://127.0.0.1:8443/k8s/clusters/${id}/api/v1/nodes/h1`,
        ],
        { input: `header = "Authorization: Bearer ${membership.accessKey}:${membership.secretKey}"\n` },
      )
      t.equal(stdout, status, `cluster ${id}`)
    }
    const port = async (kubernetesPort: number | null) => {
      await fleet.api('PUT', `clusters/${cluster?.id}`, { kubernetesPort })
      const written = (await fleet.drover(['kubeconfig', 'second'])).stdout
      await fleet.first.run('tee', ['/etc/second.kubeconfig'], { input: written })
      return /server: (\S+)/.exec(written)?.[1]
    }
    t.match(await port(null), /:8443\/k8s\/clusters\//)
    t.match((await second('get', 'configmaps')).stdout, 'only-here')
    for (const own of [16_443, 16_444]) {
      t.match(
        await port(own),
        new RegExp(`^https://[^/]+:${own}$`),
        'a port of its own, with the API at its root',
      )
      await until('it is open', 10_000, async () => {
        const config = [
          '--kubeconfig',
          '/etc/second.kubeconfig',
          'get',
          '--raw',
          '/api/v1/namespaces/default/configmaps/only-here',
        ]
        const { stdout } = await fleet.first.run('kubectl', config, { acceptedExitCodes: [0, 1] })
        return stdout.includes('"only-here"')
      })
    }
    const closed = await fleet.first.run(
      'curl',
      ['--insecure', '--silent', 'https://127.0.0.1:16443/version'],
      {
        acceptedExitCodes: [7],
      },
    )
    t.equal(closed.exitCode, 7, 'the one before is closed')
    const taken = await fleet.drover(['cluster', 'create', 'third', '--port', '16444'], {
      acceptedExitCodes: [1],
    })
    t.match(taken.stderr, /port 16444 of cluster second/)
    await fleet.drover(['cluster', 'rm', 'second'])
    t.strictSame(
      (await fleet.list('clusters')).map(({ name }) => name),
      ['default'],
    )
    const gone = await fleet.first.run(
      'kubectl',
      ['--kubeconfig', '/etc/second.kubeconfig', 'get', 'nodes'],
      { acceptedExitCodes: [1] },
    )
    t.match(gone.stderr, /refused/)
  })

  await t.test('secrets of the server appear nowhere', async t => {
    const membership = JSON.parse(
      (await fleet.first.run('cat', [`${DATA}/agent/membership.json`])).stdout,
    ) as Record<string, string>
    const admin = JSON.parse((await fleet.first.run('cat', [`${DATA}/admin.json`])).stdout) as Record<
      string,
      string
    >
    const token = await fleet.token()
    for (const secret of [membership.secretKey, admin.secretKey, token.split(':')[2]]) {
      t.ok(secret)
      for (const file of ['server.log', 'agent.log', 'drover.db']) {
        const found = await fleet.first.run(
          'grep',
          ['-c', '-a', '-F', '--', String(secret), `${DATA}/${file}`],
          { acceptedExitCodes: [0, 1] },
        )
        t.equal(found.stdout.trim(), '0', `${file} holds no secret`)
      }
    }
    for (const plural of ['apikeys', 'hosts', 'clusters', 'settings']) {
      t.notMatch(JSON.stringify(await fleet.api('GET', plural)), membership.secretKey ?? '', plural)
    }
    const modes = await fleet.first.run('stat', [
      '-c',
      '%a',
      `${DATA}/admin.json`,
      `${DATA}/kubeconfig`,
      `${DATA}/server.key`,
      `${DATA}/tls/ca.key`,
      `${DATA}/agent/membership.json`,
    ])
    t.strictSame(new Set(modes.stdout.trim().split('\n')), new Set(['600']))
  })

  await until('everything is quiet', 10_000, async () => (await fleet.docker()).length === 0)
})
