/** Containers that somebody starts with Docker are seen, and can join the managed network. */
import t from 'tap'
import { Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

/** Milliseconds within which the API and metadata know of it. */
const SEEN = 2_000

t.test('containers started by hand', { skip, timeout: 120_000 }, async t => {
  const fleet = await Fleet.start(t, 'native')
  const docker = async (...args: string[]) => (await fleet.first.run('docker', args)).stdout.trim()
  const metadata = async (path: string) => {
    const { stdout } = await fleet.first.run(
      'curl',
      ['--silent', '--max-time', '2', `http://169.254.169.250/latest/${path}`],
      {
        acceptedExitCodes: [0, 7, 28],
      },
    )
    return stdout
  }

  await t.test('in the API and in metadata within 2 s, and gone when removed', async t => {
    const id = await docker(
      'run',
      '--detach',
      '--name',
      'by-hand',
      '--publish',
      '8090:80',
      '--label',
      'a=b',
      'drover/busybox:1',
      'sleep',
      '1000',
    )
    const shown = await until('it is in the API', SEEN, async () => {
      const container = (await fleet.containers()).get('by-hand')
      return container?.state === 'running' && container
    })
    t.match(shown, {
      state: 'running',
      externalId: id,
      nativeContainer: true,
      image: 'drover/busybox:1',
      labels: { a: 'b' },
      ports: ['0.0.0.0:8090:80/tcp'],
      primaryIpAddress: await docker('inspect', '--format', '{{.NetworkSettings.IPAddress}}', id),
    })
    await until(
      'it is in metadata',
      SEEN,
      async () => (await metadata('containers/by-hand/external_id')) === id,
    )
    t.match((await fleet.drover(['ps'])).stdout, /by-hand +drover\/busybox:1 +running/)
    const { stdout: metrics } = await fleet.first.run('curl', ['--silent', 'http://127.0.0.1:9347/metrics'])
    t.match(metrics, /^drover_metadata_requests_total\{outcome="answered"\} [1-9]/m)
    t.match(metrics, /^drover_network_info\{kind="vxlan"\} 1$/m)
    const self = await docker(
      'exec',
      id,
      'wget',
      '-q',
      '-O',
      '-',
      'http://169.254.169.250/latest/self/container/name',
    )
    t.equal(self, 'by-hand')

    await docker('stop', '--time', '0', id)
    await until(
      'it is shown as stopped',
      SEEN,
      async () => (await fleet.containers()).get('by-hand')?.state === 'stopped',
    )
    await docker('start', id)
    const again = await until('it is shown as running', SEEN, async () => {
      const container = (await fleet.containers()).get('by-hand')
      return container?.state === 'running' && container
    })
    t.equal(again.startCount, 2)
    await docker('rm', '--force', id)
    await until('it is gone from the API', SEEN, async () => !(await fleet.containers()).has('by-hand'))
    await until(
      'it is gone from metadata',
      SEEN,
      async () => !(await metadata('containers')).includes('by-hand'),
    )
  })

  await t.test('started and removed while the agent is away', async t => {
    const gone = await docker('run', '--detach', '--name', 'goes', 'drover/busybox:1', 'sleep', '1000')
    await until('it is in the API', SEEN, async () => (await fleet.containers()).has('goes'))
    await fleet.first.run('busybox', ['kill', '-9', String(await fleet.daemonPid('agent'))])
    await docker('rm', '--force', gone)
    await docker('run', '--detach', '--name', 'comes', 'drover/busybox:1', 'sleep', '1000')
    await fleet.quickstart()
    await until('the API is right again', 5_000, async () => {
      const containers = await fleet.containers()
      return containers.has('comes') && !containers.has('goes')
    })
    t.equal((await fleet.containers()).get('comes')?.state, 'running')
    await docker('rm', '--force', 'comes')
  })

  await t.test('the label puts a container on the managed network', async t => {
    for (const network of ['none', 'bridge']) {
      const name = `managed-${network}`
      await docker(
        'run',
        '--detach',
        '--name',
        name,
        '--network',
        network,
        '--label',
        'io.rancher.container.network=true',
        'drover/busybox:1',
        'sleep',
        '1000',
      )
      const shown = await until(`${name} has an address`, 5_000, async () => {
        const container = (await fleet.containers()).get(name)
        return String(container?.primaryIpAddress).startsWith('10.42.') && container
      })
      t.match(await docker('exec', name, 'cat', '/etc/resolv.conf'), /^nameserver 169\.254\.169\.250$/m)
      t.match(await docker('exec', name, 'ip', 'addr'), String(shown.primaryIpAddress))
      t.equal(
        await docker(
          'exec',
          name,
          'wget',
          '-q',
          '-O',
          '-',
          'http://rancher-metadata/latest/self/container/name',
        ),
        name,
      )
    }
    const peer = String((await fleet.containers()).get('managed-bridge')?.primaryIpAddress)
    t.match(await docker('exec', 'managed-none', 'ping', '-c', '1', '-W', '2', peer), '1 packets received')
    await docker('rm', '--force', 'managed-none', 'managed-bridge')
    await until(
      'their links are gone',
      5_000,
      async () => !(await fleet.first.run('ip', ['-o', 'link'])).stdout.includes('vethr'),
    )
    await until(
      'their addresses are free',
      5_000,
      async () =>
        (await fleet.first.run('find', ['/var/lib/drover/agent/network/addresses', '-name', '10.*']))
          .stdout === '',
    )
  })

  await t.test('a Deployment made with kubectl runs, rolls and goes', async t => {
    const kubectl = async (...args: string[]) => (await fleet.kubectl(args)).stdout
    const pods = async () =>
      (
        await kubectl(
          'get',
          'pods',
          '-l',
          'app=served',
          '--no-headers',
          '-o',
          'custom-columns=A:.spec.containers[0].command[3],B:.status.phase',
        )
      )
        .split('\n')
        .filter(line => line !== '')
        .map(line => line.replaceAll(/ +/g, ' '))
    // Ends when it is asked to, where a bare `sleep` would be waited for.
    const command = (mark: string) => ['sh', '-c', 'trap "exit 0" TERM; sleep 1000 & wait', mark]
    const rolled = () => kubectl('rollout', 'status', 'deployment/served', '--timeout=60s')
    const run = ['create', 'deployment', 'served', '--image=drover/busybox:1', '--replicas=2', '--']
    await kubectl(...run, ...command('first'))
    t.match(await rolled(), 'successfully rolled out')
    t.strictSame(await pods(), ['first Running', 'first Running'])
    const template = { spec: { containers: [{ name: 'busybox', command: command('second') }] } }
    await kubectl('patch', 'deployment', 'served', '-p', JSON.stringify({ spec: { template } }))
    await rolled()
    await until(
      'the old ones are gone',
      20_000,
      async () => (await pods()).join() === 'second Running,second Running',
    )
    await kubectl('rollout', 'undo', 'deployment/served')
    await rolled()
    await kubectl('delete', 'deployment', 'served', '--cascade=foreground')
    t.notMatch(await docker('ps', '--all'), 'served')
  })

  await t.test('a Job made with kubectl runs to its end', async t => {
    const kubectl = async (...args: string[]) => (await fleet.kubectl(args)).stdout
    await kubectl('create', 'job', 'once', '--image=drover/busybox:1', '--', 'echo', 'done by a job')
    await kubectl('wait', 'job/once', '--for=condition=Complete', '--timeout=25s')
    t.match(await kubectl('logs', 'job/once'), 'done by a job')
    await kubectl('delete', 'job', 'once')
  })

  await t.test('a pod made with kubectl is a container, too', async t => {
    await fleet.kubectl(['create', 'namespace', 'team-a'])
    await fleet.kubectl([
      'run',
      'hello',
      '-n',
      'team-a',
      '--image=drover/busybox:1',
      '--',
      'sh',
      '-c',
      'echo hello from the pod; sleep 1000',
    ])
    const shown = await until('it is in the API', 10_000, async () => {
      const container = (await fleet.containers()).get('hello')
      return container?.state === 'running' && container
    })
    t.ok(shown.nativeContainer)
    const project = (await fleet.list('projects')).find(({ id }) => id === shown.accountId)
    t.equal(project?.externalId, 'team-a', 'in the environment of its namespace')
    t.match((await fleet.kubectl(['logs', 'hello', '-n', 'team-a'])).stdout, 'hello from the pod')
    t.match((await fleet.drover(['logs', 'hello'])).stdout, 'hello from the pod')
    await fleet.kubectl(['delete', 'pod', 'hello', '-n', 'team-a', '--now'])
    await until('it is gone', 5_000, async () => !(await fleet.containers()).has('hello'))
  })
})
