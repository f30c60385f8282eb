/** Commands over SPDY: a stream per channel, which the client opens (`v4.channel.k8s.io`). */
import type { Duplex } from 'node:stream'
import { atMost, explainError, type Logger } from '../../../../kit/index.ts'
import { CHANNEL, encodeFrame } from '../../../../protocol/index.ts'
import { type CommandOptions, closeFrame, failure, relayOutput } from './command.ts'
import { SpdySession, type SpdyStream } from './spdy/index.ts'

export const SPDY_COMMAND_PROTOCOL = 'v4.channel.k8s.io'

/** Milliseconds that a client has to open its streams. */
const OPEN_DEADLINE = 30_000

type StreamName = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize'

function expectedStreams({ stdin, stdout, stderr, tty }: CommandOptions): StreamName[] {
  const wanted: readonly (readonly [StreamName, boolean])[] = [
    ['error', true],
    ['stdin', stdin],
    ['stdout', stdout],
    ['stderr', stderr],
    ['resize', tty],
  ]
  return wanted.flatMap(([name, is]) => (is ? [name] : []))
}

async function forwardInput(stream: SpdyStream, node: Duplex, channel: number): Promise<void> {
  for await (const bytes of stream as AsyncIterable<Buffer>) {
    const { promise, resolve } = Promise.withResolvers<void>()
    node.write(encodeFrame(channel, bytes), () => resolve())
    await promise
  }
  node.write(closeFrame(channel))
}

class Streams {
  readonly #present = new Map<string, SpdyStream>()
  readonly #missing: Set<string>
  readonly #complete = Promise.withResolvers<void>()

  constructor(expected: readonly StreamName[]) {
    this.#missing = new Set(expected)
  }

  add(stream: SpdyStream): void {
    const name = stream.headers.get('streamtype') ?? ''
    if (!this.#missing.delete(name)) {
      stream.destroy()
      return
    }
    this.#present.set(name, stream)
    if (this.#missing.size === 0) this.#complete.resolve()
  }

  async complete(): Promise<void> {
    await this.#complete.promise
  }

  get(name: StreamName): SpdyStream | undefined {
    return this.#present.get(name)
  }

  async write(name: StreamName, content: Buffer): Promise<void> {
    const stream = this.get(name)
    if (stream === undefined || stream.destroyed) return
    const { promise, resolve } = Promise.withResolvers<void>()
    // Whether it was sent is for the connection's end to say.
    stream.write(content, () => resolve())
    await promise
  }

  end(): void {
    for (const stream of this.#present.values()) stream.end()
  }
}

const OUTPUTS = new Map<number, StreamName>([
  [CHANNEL.output, 'stdout'],
  [CHANNEL.errors, 'stderr'],
  [CHANNEL.outcome, 'error'],
])

/**
 * Serves a command to its end.
 *
 * @param openNode reaches the node, once the client has opened what it wants to use
 */
export async function serveCommandSpdy(
  transport: Duplex,
  options: CommandOptions,
  openNode: () => Promise<Duplex>,
  log: Logger,
): Promise<void> {
  const streams = new Streams(expectedStreams(options))
  const session = new SpdySession(transport, stream => streams.add(stream))
  const running = session.run()
  const serve = async () => {
    await atMost(OPEN_DEADLINE, 'streams of a command', streams.complete())
    let node: Duplex
    try {
      node = await openNode()
    } catch (error) {
      await streams.write('error', failure(error))
      streams.end()
      session.end()
      return
    }
    if (transport.destroyed) node.destroy()
    transport.once('close', () => node.destroy())
    const ignore = (error: unknown) =>
      log.debug({ reason: explainError(error) }, 'the input of a command broke off')
    const stdin = streams.get('stdin')
    const resize = streams.get('resize')
    if (stdin !== undefined) forwardInput(stdin, node, CHANNEL.input).catch(ignore)
    if (resize !== undefined) forwardInput(resize, node, CHANNEL.size).catch(ignore)
    await relayOutput(node, async (channel, content) => {
      const name = OUTPUTS.get(channel)
      if (name !== undefined) await streams.write(name, content)
    })
    streams.end()
    session.end()
  }
  try {
    await Promise.race([running, serve()])
    await running
  } finally {
    transport.destroy()
  }
}
