/** kubectl exec, attach, port-forward, over each of the protocols that its versions speak. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { WebSocket } from 'ws'
import { withEachKubectl } from './each-kubectl.ts'

/** What makes kubectl speak which protocol. */
const PROTOCOLS = {
  websocket: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'true', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'true' },
  SPDY: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false' },
}

async function ask(port: number, question: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  socket.end(question)
  return await text(socket)
}

await withEachKubectl(t, async (t, master) => {
  const manifest = await master.writeManifest('pods.yaml', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', labels: { app: 'web' } },
    spec: {
      nodeName: 'n1',
      containers: [
        { name: 'main', image: 'busybox:1', ports: [{ containerPort: 80 }] },
        { name: 'side', image: 'busybox:1', tty: true, stdin: true },
      ],
    },
  })
  await master.ok('apply', '-f', manifest)
  await master.ok(
    'patch',
    'pod',
    'web',
    '--subresource=status',
    '-p',
    JSON.stringify({ status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }),
  )

  for (const [protocol, environment] of Object.entries(PROTOCOLS)) {
    await t.test(`over ${protocol}`, async t => {
      const run = (args: readonly string[], input?: string) =>
        master.run(args, {
          environment,
          acceptedExitCodes: [0, 1, 7],
          ...(input === undefined ? {} : { input }),
        })

      await t.test('a command says what it has to say, and how it ended', async t => {
        const good = await run(['exec', 'web', '-c', 'main', '--', 'ls', '0'])
        t.match(good, { exitCode: 0, stdout: '', stderr: /^n1\/main: ls 0$/m })
        const bad = await run(['exec', 'web', '-c', 'side', '--', 'false', '7'])
        t.match(bad, { exitCode: 7, stderr: /n1\/side: false 7/ })
        const away = await run(['exec', 'web', '-c', 'main', '--', 'unreachable'])
        t.match(away, {
          exitCode: 1,
          stderr: /the node is not connected|unable to upgrade|error on the server/,
        })
        const absent = await run(['exec', 'web', '-c', 'none', '--', 'true'])
        t.match(absent, { exitCode: 1, stderr: /container (not found|none is not valid)/ })
      })

      await t.test('input goes through, large and to its end', async t => {
        const input = 'a line of the input\n'.repeat(100_000)
        const { exitCode, stdout } = await run(['exec', '-i', 'web', '-c', 'main', '--', 'cat', '0'], input)
        t.equal(exitCode, 0)
        t.ok(stdout === input.trimEnd() || stdout === input, `all of it came back (${stdout.length})`)
      })

      await t.test('attach', async t => {
        const { stdout } = await run(['attach', '-i', 'web', '-c', 'main'], 'hello\n')
        t.match(stdout, /hello/)
      })

      await t.test('port-forward', async t => {
        const child = spawn(master.kubectl, ['port-forward', 'pod/web', ':80', ':1'], {
          env: { ...process.env, ...master.environment(), ...environment },
          stdio: ['ignore', 'pipe', 'pipe'],
        })
        t.teardown(() => child.kill())
        const lines = createInterface({ input: child.stdout })
        const ports: number[] = []
        for await (const line of lines) {
          const [, port, target] = /^Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)/.exec(line) ?? []
          if (port !== undefined) ports[target === '80' ? 0 : 1] = Number(port)
          if (ports[0] !== undefined && ports[1] !== undefined) break
        }
        const [port = 0, closed = 0] = ports
        const question = 'one question\n'.repeat(20_000)
        const answers = await Promise.all([1, 2, 3].map(number => ask(port, `${number} ${question}`)))
        for (const [index, answer] of answers.entries()) {
          t.equal(answer, `n1:80\n${index + 1} ${question}`, 'each connection for itself')
        }
        const errors = once(child.stderr, 'data')
        t.equal(await ask(closed, 'anybody?\n').catch(() => ''), '')
        t.match(String((await errors)[0]), /connection refused/)
      })
    })
  }

  await t.test('over channels of a websocket, as other clients do', async t => {
    const url = master.url().replace('https', 'wss')
    const open = (path: string, protocols: string[], token = master.token) =>
      new WebSocket(`${url}/api/v1/namespaces/default/pods/web/${path}`, protocols, {
        ca: master.authority,
        headers: token === '' ? {} : { authorization: `Bearer ${token}` },
      })
    const messages = async (socket: WebSocket) => {
      const received: Buffer[] = []
      socket.on('message', (data: Buffer) => received.push(data))
      await once(socket, 'close')
      return received
    }
    const refusal = async (socket: WebSocket) => {
      socket.on('error', () => undefined)
      const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }]
      return response.statusCode
    }

    await t.test('a command', async t => {
      const path = 'exec?container=main&stdout=true&stderr=true&command=date'
      const received = await messages(open(path, ['v4.channel.k8s.io']))
      t.equal(received.find(([channel]) => channel === 2)?.toString('utf8', 1), 'n1/main: date\n')
      t.match(JSON.parse(received.at(-1)?.toString('utf8', 1) ?? ''), { status: 'Success' })
    })

    await t.test('a token among the protocols', async t => {
      const token = `base64url.bearer.authorization.k8s.io.${Buffer.from(master.token).toString('base64url')}`
      const path = 'exec?container=main&stdout=true&stderr=true&command=date'
      const received = await messages(open(path, [token, 'v5.channel.k8s.io'], ''))
      t.ok(received.length > 0)
    })

    await t.test('ports', async t => {
      const socket = open('portforward?ports=80,1', ['v4.channel.k8s.io'])
      const received: string[] = ['', '', '', '']
      const heard = new Promise<void>(resolve => {
        socket.on('message', ([channel = 0, ...content]: Buffer) => {
          received[channel] += Buffer.from(content).toString('latin1')
          if (received[0]?.includes('hello') && received[3]?.includes('refused')) resolve()
        })
      })
      await once(socket, 'open')
      socket.send(Buffer.from('\0hello'))
      await heard
      t.equal(received[0], 'P\0n1:80\nhello')
      t.ok(received[3]?.startsWith('\x01\0'), 'the port comes first')
      t.match(received[3], /refused/)
      socket.close()
    })

    await t.test('refusals', async t => {
      const command = 'exec?container=main&stdout=true&command=date'
      const good = ['v4.channel.k8s.io']
      t.equal(await refusal(open(command, good, 'wrong')), 401)
      t.equal(await refusal(open(command, ['chat'])), 400)
      t.equal(await refusal(open('exec?container=main&stdout=true', good)), 400)
      t.equal(await refusal(open('exec?container=none&stdout=true&command=a', good)), 400)
      t.equal(await refusal(open('../absent/exec?stdout=true&command=a', good)), 404)
      t.equal(await refusal(open('portforward?ports=http', good)), 400)
      t.equal(await refusal(open('log', good)), 400)
      await master.writeConfig('nobody', { token: 'nobody' })
      t.match(
        await master.fails('get', '--raw', '/api/v1/namespaces/default/pods/web/exec?command=a'),
        /Upgrade request required|not found|BadRequest/i,
      )
    })
  })
})
