/** What users get wrong, and what the system then says. Nothing is ever half done. */
import t from 'tap'
import { DATA, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

t.setTimeout(300_000)

const skip = inPrivateNetwork(import.meta.filename)

t.test('bad input', { skip, timeout: 200_000 }, async t => {
  const fleet = await Fleet.start(t, 'bad')
  let number = 0
  /** Brings up a compose file that is expected to fail. */
  const failingStack = async (text: string, ...args: string[]) => {
    number += 1
    await fleet.first.run('mkdir', ['-p', `/etc/stack${number}`])
    await fleet.first.run('tee', [`/etc/stack${number}/docker-compose.yml`], { input: text })
    const { stderr } = await fleet.drover(
      ['stack', 'up', '-f', `/etc/stack${number}/docker-compose.yml`, ...args],
      {
        acceptedExitCodes: [1],
      },
    )
    return stderr
  }
  const nothingThere = async (test: typeof t) => {
    test.strictSame(await fleet.list('stacks'), [], 'no stack was made')
    test.strictSame(await fleet.list('containers'), [])
  }

  await t.test('compose files', async t => {
    t.match(
      await failingStack('services:\n  web:\n    image: a\n     x: y\n'),
      /docker-compose\.yml:3:12: is not valid YAML/,
    )
    t.match(
      await failingStack('services:\n  web:\n    image: a\n    imagge: b\n'),
      /:4:5: services\.web\.imagge is not a key of this format/,
    )
    t.match(
      await failingStack('services:\n  web:\n    image: a\n    networks: [x]\n'),
      /services\.web\.networks is a key that this version does not act on/,
    )
    t.match(
      await failingStack('services:\n  web:\n    image: a\n    ports: ["1:2:3:4"]\n'),
      /expected: \[address:\]public:private/,
    )
    const missing = await fleet.drover(['stack', 'up', '-f', '/etc/nothing.yml'], { acceptedExitCodes: [1] })
    t.match(missing.stderr, /\/etc\/nothing\.yml: cannot be read/)
    await nothingThere(t)
  })

  await t.test('the command line', async t => {
    for (const args of [
      ['nonsense'],
      ['stack', 'up'],
      ['stack', 'up', '--nonsense'],
      ['scale'],
      ['quickstart', '--port', '0'],
    ]) {
      await fleet.drover(args, { acceptedExitCodes: [2] })
      t.pass(args.join(' '))
    }
    for (const [args, message] of [
      [['stack', 'rm', 'nobody'], /stack nobody: does not exist/],
      [['inspect', 'nobody'], /nobody: is the name of no container/],
      [['scale', 'nobody', '3'], /service nobody: does not exist/],
      [['logs', 'nobody'], /container nobody: does not exist/],
      [['ps', '--data', '/etc/elsewhere'], /no server is known/],
    ] as const) {
      t.match((await fleet.drover(args, { acceptedExitCodes: [1] })).stderr, message)
    }
  })

  await t.test('an image that does not exist', async t => {
    const text = 'services:\n  web:\n    image: no.such.registry.invalid/nothing:1\n'
    t.match(
      await failingStack(text, '-s', 'noimage'),
      /container noimage-web-1: ErrImagePull: .*cannot be pulled/,
    )
    t.match((await fleet.drover(['ps'])).stdout, /noimage-web-1 .* error .*(ErrImagePull|ImagePullBackOff)/)
    t.match((await fleet.containers()).get('noimage-web-1'), {
      state: 'error',
      transitioning: 'error',
      transitioningMessage: /cannot be pulled/,
    })
    t.match((await fleet.kubectl(['get', 'pods', '--no-headers'])).stdout, /ErrImagePull|ImagePullBackOff/)
    // The mend: another image, which replaces what cannot start.
    await fleet.first.run('tee', [`/etc/stack${number}/docker-compose.yml`], {
      input:
        'services:\n  web:\n    image: drover/busybox:1\n    command: sleep 1000\n    stop_grace_period: 0s\n',
    })
    await fleet.drover([
      'stack',
      'up',
      '-f',
      `/etc/stack${number}/docker-compose.yml`,
      '-s',
      'noimage',
      '--upgrade',
    ])
    t.match((await fleet.containers()).get('noimage-web-1'), { state: 'running', transitioningMessage: null })
    await fleet.drover(['stack', 'rm', 'noimage'])
    await nothingThere(t)
  })

  await t.test('a command that does not exist, and one that keeps failing', async t => {
    const missing = await failingStack(
      'services:\n  web:\n    image: drover/busybox:1\n    command: /no/such/command\n',
      '-s',
      'nocommand',
    )
    t.match(missing, /container nocommand-web-1: RunContainerError: .*no such file or directory/)
    await fleet.drover(['stack', 'rm', 'nocommand'])
    // It runs for a moment; whether that is long enough to be taken for a success is up to the machine.
    await fleet.first.run('tee', ['/etc/failing.yml'], {
      input: 'services:\n  web:\n    image: drover/busybox:1\n    command: "false"\n',
    })
    await fleet.drover(['stack', 'up', '-f', '/etc/failing.yml', '-s', 'failing'], {
      acceptedExitCodes: [0, 1],
    })
    await until('the back-off is shown', 10_000, async () =>
      /failing-web-1 .* error .*CrashLoopBackOff: started again in \d+ s/.test(
        (await fleet.drover(['ps'])).stdout,
      ),
    )
    await fleet.drover(['stack', 'rm', 'failing'])
    await nothingThere(t)
  })

  await t.test('a port that is in use', async t => {
    const listener = fleet.first.start('busybox', ['nc', '-l', '-p', '8095'], 'listener')
    const text =
      'services:\n  web:\n    image: drover/busybox:1\n    command: sleep 1000\n    stop_grace_period: 0s\n    ports: ["8095:80"]\n'
    t.match(
      await failingStack(text, '-s', 'foreign'),
      /container foreign-web-1: FailedCreatePodSandBox: port 8095\/tcp: is /,
    )
    t.notMatch((await fleet.first.run('iptables-save', [])).stdout, '8095')
    listener.kill('SIGKILL')
    await until(
      'it starts once the port is free',
      40_000,
      async () => (await fleet.containers()).get('foreign-web-1')?.state === 'running',
    )

    const second = await failingStack(text, '-s', 'ours', '--timeout', '3s')
    t.match(second, /ours-web-1: Allocation failed: .*free ports/)
    for (const name of ['ours', 'foreign']) await fleet.drover(['stack', 'rm', name])
    await nothingThere(t)
  })

  await t.test('the API', async t => {
    const [network] = await fleet.list('networks')
    const cases = [
      ['POST', 'services', { name: 'x' }, 'MissingRequired', 'stackId'],
      [
        'POST',
        'services',
        { name: 'x', stackId: '1st999', launchConfig: { image: 'a' } },
        'InvalidReference',
        'stackId',
      ],
      ['POST', 'stacks', { name: 'a b' }, 'InvalidCharacters', 'name'],
      ['POST', 'stacks', [], 'InvalidBodyContent', null],
      ['POST', 'projects', { name: 'p', clusterId: '1c999' }, 'InvalidReference', 'clusterId'],
      ['GET', 'nonsense', undefined, 'NotFound', null],
      ['GET', 'stacks/1st999', undefined, 'NotFound', null],
      ['GET', 'stacks?nonsense=1', undefined, 'InvalidOption', 'nonsense'],
      ['DELETE', `networks/${network?.id}`, undefined, 'MethodNotAllowed', null],
      ['PUT', `networks/${network?.id}`, { kind: 'carrier-pigeon' }, 'InvalidOption', 'kind'],
      ['PUT', `networks/${network?.id}`, { kind: 'flat', options: {} }, 'MissingRequired', 'options.flat'],
      ['PUT', `networks/${network?.id}`, { options: { mtu: 9 } }, 'InvalidFormat', null],
      ['PUT', `networks/${network?.id}`, { policy: [{ action: 'maybe' }] }, 'InvalidFormat', null],
      ['DELETE', 'clusters', undefined, 'MethodNotAllowed', null],
    ] as const
    for (const [method, target, body, code, fieldName] of cases) {
      const error = await fleet.api(method, target, body)
      t.match(
        error,
        { type: 'error', code, ...(fieldName === null ? {} : { fieldName }) },
        `${method} ${target}`,
      )
    }
    await t.test('the same name at the same time', async t => {
      const [{ id: clusterId = '' } = {}] = await fleet.list('clusters')
      for (const [plural, body] of [
        ['clusters', { name: 'twin' }],
        ['projects', { name: 'twin', clusterId }],
        ['stacks', { name: 'twin' }],
      ] as const) {
        const answers = await Promise.all([1, 2, 3].map(() => fleet.api('POST', plural, body)))
        t.same(
          answers.map(answer => (answer.type === 'error' ? answer.code : 'made')).sort(),
          ['NotUnique', 'NotUnique', 'made'],
          plural,
        )
        const made = answers.find(({ type }) => type !== 'error')
        if (plural === 'clusters') {
          const environments = await fleet.api<{ data: { name: string }[] }>(
            'GET',
            `clusters/${made?.id}/projects`,
          )
          t.same(environments.data.map(({ name }) => name).sort(), ['Default', 'System'])
        }
        await fleet.api('DELETE', `${plural}/${made?.id}`)
      }
    })
    for (const target of [
      'http://127.0.0.1:8080/v3/stacks',
      'https://127.0.0.1:8443/k8s/clusters/1c1/api/v1/pods',
    ]) {
      const { stdout } = await fleet.first.run('curl', [
        '--silent',
        '--insecure',
        '--output',
        '/dev/null',
        '--write-out',
        '%{http_code}',
        target,
      ])
      t.equal(stdout, '401', 'without credentials')
    }
  })

  await t.test('ports of the server that are in use, data of a newer version', async t => {
    const { stderr } = await fleet.drover(['quickstart', '--detach', '--data', '/etc/second'], {
      acceptedExitCodes: [1],
    })
    t.match(stderr, /8080: is in use by another process/)
    t.notMatch((await fleet.first.run('busybox', ['ps'])).stdout, '/etc/second', 'nothing of it runs')
    await fleet.drover(['stop'])
    for (const [file, daemon] of [
      [`${DATA}/server-format.json`, 'server'],
      [`${DATA}/agent/agent-format.json`, 'agent'],
    ] as const) {
      const before = (await fleet.first.run('cat', [file])).stdout
      await fleet.first.run('tee', [file], { input: '{"format":99}' })
      const args = daemon === 'server' ? ['server', '--data', DATA] : ['agent', '--data', `${DATA}/agent`]
      t.match((await fleet.drover(args, { acceptedExitCodes: [1] })).stderr, /was written by a newer version/)
      await fleet.first.run('tee', [file], { input: before })
    }
    await fleet.quickstart()
    t.equal((await fleet.list('hosts')).length, 1)
  })
})
