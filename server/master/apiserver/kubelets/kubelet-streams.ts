/** What runs in a pod of a kubelet, over its streams: commands, and connections to ports (SPDY, as kubelets of all versions speak it). */
import { type Duplex, duplexPair } from 'node:stream'
import { finished } from 'node:stream/promises'
import { explainError, type Logger } from '../../../../kit/index.ts'
import {
  CHANNEL,
  type ContainerCommand,
  encodeFrame,
  type Frame,
  FrameDecoder,
  type PodConnection,
} from '../../../../protocol/index.ts'
import { SpdySession, type SpdyStream } from '../streams/spdy/index.ts'
import { upgradeAtKubelet } from './kubelet-request.ts'

const COMMAND_PROTOCOL = 'v4.channel.k8s.io'
const PORT_PROTOCOL = 'portforward.k8s.io'

/** Characters of what a kubelet says of a port that it cannot reach. */
const REASON_LIMIT = 1_000

/** The path that a kubelet serves something of a pod at. */
export function podPath(
  what: string,
  { namespace, pod }: { readonly namespace: string; readonly pod: string },
  ...more: readonly string[]
): string {
  return ['', what, namespace, pod, ...more].map(encodeURIComponent).join('/')
}

function commandQuery({ command, stdin, stdout, stderr, tty }: ContainerCommand): URLSearchParams {
  const query = new URLSearchParams(command.map(argument => ['command', argument]))
  for (const [name, is] of Object.entries({ input: stdin, output: stdout, error: stderr, tty }))
    if (is) query.set(name, '1')
  return query
}

async function written(stream: Duplex, content: Uint8Array): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  stream.write(content, error => (error ? reject(error) : resolve()))
  await promise
}

async function carryOutput(source: SpdyStream | undefined, channel: number, client: Duplex): Promise<void> {
  if (source === undefined) return
  for await (const bytes of source as AsyncIterable<Buffer>)
    await written(client, encodeFrame(channel, bytes))
}

/** The outcome is one message, in whichever portions it comes. */
async function carryOutcome(source: SpdyStream, client: Duplex): Promise<void> {
  const text = Buffer.concat(await Array.fromAsync(source as AsyncIterable<Buffer>))
  if (text.length > 0) await written(client, encodeFrame(CHANNEL.outcome, text))
}

async function carryInput(
  client: Duplex,
  stdin: SpdyStream | undefined,
  resize: SpdyStream | undefined,
): Promise<void> {
  const decoder = new FrameDecoder()
  const take = async ({ kind, content }: Frame) => {
    if (kind === CHANNEL.input && stdin !== undefined) await written(stdin, content)
    if (kind === CHANNEL.size && resize !== undefined) await written(resize, content)
    if (kind === CHANNEL.close && content[0] === CHANNEL.input) stdin?.end()
  }
  // With the end of the input, the output is not over.
  const input: AsyncIterable<Buffer> = client.iterator({ destroyOnReturn: false })
  for await (const bytes of input) for (const frame of decoder.decode(bytes)) await take(frame)
  stdin?.end()
}

/**
 * Runs a command, or attaches to what runs.
 *
 * @param connection to the kubelet; is used up
 * @returns frames of channels both ways (protocol/remote-command.ts)
 * @throws like `upgradeAtKubelet`
 */
export async function runAtKubelet(
  connection: Duplex,
  wanted: ContainerCommand,
  log: Logger,
): Promise<Duplex> {
  const what = wanted.command.length === 0 ? 'attach' : 'exec'
  const path = `${podPath(what, wanted, wanted.container)}?${commandQuery(wanted)}`
  const transport = await upgradeAtKubelet(connection, path, COMMAND_PROTOCOL)
  const session = new SpdySession(transport)
  const [client, own] = duplexPair()
  // What goes wrong is for the streams' ends to say.
  session
    .run()
    .catch(error => log.debug({ reason: explainError(error) }, 'a connection to a kubelet broke off'))
  client.once('close', () => own.destroy())
  own.once('close', () => transport.destroy())
  const open = async (streamtype: string, is = true) =>
    is ? await session.open(new Map([['streamtype', streamtype]])) : undefined
  const serve = async () => {
    // Kubelets begin when all streams are there that the query promised.
    const outcome = await session.open(new Map([['streamtype', 'error']]))
    const stdin = await open('stdin', wanted.stdin)
    const stdout = await open('stdout', wanted.stdout)
    const stderr = await open('stderr', wanted.stderr)
    const resize = await open('resize', wanted.tty)
    // Whoever is done closes the connection at once, and loses what it has sent when anything still comes in.
    for (const stream of [outcome, stdout, stderr]) stream?.end()
    carryInput(own, stdin, resize).catch(error =>
      log.debug({ reason: explainError(error) }, 'the input of a command broke off'),
    )
    await Promise.all([carryOutput(stdout, CHANNEL.output, own), carryOutput(stderr, CHANNEL.errors, own)])
    await carryOutcome(outcome, own)
    own.end()
    await finished(own, { readable: false })
    session.end()
  }
  serve().catch(error => {
    own.destroy()
    client.destroy(error instanceof Error ? error : new Error(String(error)))
  })
  return client
}

/**
 * Connects to a port of a pod.
 *
 * @param connection to the kubelet; is used up
 * @returns plain bytes both ways; fails with what the kubelet says when it cannot reach the port
 * @throws like `upgradeAtKubelet`
 */
export async function connectAtKubelet(
  connection: Duplex,
  { port, ...pod }: PodConnection,
  log: Logger,
): Promise<Duplex> {
  const transport = await upgradeAtKubelet(connection, podPath('portForward', pod), PORT_PROTOCOL)
  const session = new SpdySession(transport)
  session
    .run()
    .catch(error => log.debug({ reason: explainError(error) }, 'a connection to a kubelet broke off'))
  const open = (streamtype: string) =>
    session.open(
      new Map([
        ['streamtype', streamtype],
        ['port', String(port)],
        ['requestid', '0'],
      ]),
    )
  const errors = await open('error')
  errors.end()
  const data = await open('data')
  data.once('close', () => session.end())
  const watchErrors = async () => {
    let reason = ''
    for await (const bytes of errors as AsyncIterable<Buffer>)
      reason = `${reason}${bytes}`.slice(0, REASON_LIMIT)
    if (reason !== '') data.destroy(new Error(reason))
  }
  watchErrors().catch(error => data.destroy(error instanceof Error ? error : new Error(String(error))))
  return data
}
