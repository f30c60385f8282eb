/** Streams into containers: what clients send wrongly, or faster than it is read. */
import { Duplex } from 'node:stream'
import t from 'tap'
import { ConsoleStreams } from '../../../../agent/console/index.ts'
import { createLogger } from '../../../../kit/index.ts'
import { CHANNEL, encodeFrame, encodeTerminalFrame, LABEL, LinkStream } from '../../../../protocol/index.ts'

const log = createLogger('test', 'silent')

/** Two ends of a stream of the link. */
function ends(): { client: LinkStream; host: LinkStream } {
  const other = (of: () => LinkStream) => ({
    sendData: (_stream: number, data: Uint8Array) => of().receiveData(Buffer.from(data)),
    sendEnd: (_stream: number, error: Error | undefined) => of().receiveEnd(error),
    sendWindow: (_stream: number, bytes: number) => of().receiveWindow(bytes),
    forget: () => undefined,
  })
  const client: LinkStream = new LinkStream(
    1,
    other(() => host),
  )
  const host: LinkStream = new LinkStream(
    1,
    other(() => client),
  )
  for (const end of [client, host]) end.on('error', () => undefined)
  return { client, host }
}

/** A container with one process, which takes what it is sent when it is let. */
function container() {
  const waiting: (() => void)[] = []
  let taken = 0
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      waiting.push(() => {
        taken += chunk.length
        done()
      })
    },
  })
  const details = {
    id: 'docker1',
    status: 'running',
    tty: true,
    labels: { [LABEL.podUid]: 'u1', [LABEL.podContainer]: 'main' },
  }
  const running = { stream, resize: async () => undefined, exitCode: async () => 0 }
  const console = new ConsoleStreams({
    engine: { exec: async () => running },
    inventory: { get: () => details, all: () => [details] },
    attemptLabel: 'attempt',
    localUid: (uid: string) => uid,
    log,
  } as unknown as ConstructorParameters<typeof ConsoleStreams>[0])
  return {
    console,
    stream,
    /** Takes everything that has come. @returns bytes in all */
    take: () => {
      for (const done of waiting.splice(0)) done()
      return taken
    },
  }
}

const KINDS = [
  {
    kind: 'exec',
    params: { container: 'docker1', command: ['cat'], tty: true, attachStdin: true },
    input: (data: Buffer) => encodeTerminalFrame({ kind: 'input', data }),
  },
  {
    kind: 'pod-exec',
    params: {
      ...{ namespace: 'default', pod: 'p', uid: 'u1', container: 'main', command: ['cat'] },
      ...{ stdin: true, stdout: true, stderr: false, tty: true },
    },
    input: (data: Buffer) => encodeFrame(CHANNEL.input, data),
  },
] as const

const turn = () => new Promise(resolve => setImmediate(resolve))

for (const { kind, params, input } of KINDS) {
  t.test(`${kind}: what is no frame ends its stream, and nothing else`, async t => {
    const { console, stream } = container()
    const { client, host } = ends()
    const failed = new Promise<Error>(resolve => client.once('error', resolve))
    console.open(kind, params, host)
    await turn()
    client.write(Buffer.alloc(8, 0xff))
    t.match(await failed, { message: /too large/ })
    t.ok(stream.destroyed, 'the process is let go')
  })

  t.test(`${kind}: a process that does not read makes its client wait`, async t => {
    const { console, stream, take } = container()
    const { client, host } = ends()
    console.open(kind, params, host)
    await turn()
    const sent = 8 * 1024 * 1024
    const written = new Promise<void>(resolve =>
      client.write(Buffer.concat(Array.from({ length: 128 }, () => input(Buffer.alloc(sent / 128)))), () =>
        resolve(),
      ),
    )
    for (let each = 0; each < 200; each += 1) await turn()
    t.ok(stream.writableLength < 1024 * 1024, `${stream.writableLength} bytes wait on the host`)
    let turns = 0
    for (; take() < sent && turns < 100_000; turns += 1) await turn()
    t.equal(take(), sent, 'and all of it arrives')
    await written
    host.destroy()
  })
}
