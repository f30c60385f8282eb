/** A node for tests: its commands and ports give back what they get. */
import { createServer } from 'node:http'
import { Duplex, duplexPair } from 'node:stream'
import { CHANNEL, type ContainerCommand, encodeFrame, FrameDecoder } from '../../../../protocol/index.ts'

function outcome(exitCode: number): Buffer {
  const status =
    exitCode === 0
      ? { status: 'Success' }
      : {
          status: 'Failure',
          reason: 'NonZeroExitCode',
          message: `exit status ${exitCode}`,
          details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
        }
  return Buffer.from(JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, ...status }))
}

/** Commands that have not ended. */
export const running = new Set<Duplex>()

/**
 * A command that says what it is on its errors, repeats its input and the sizes it is told on its output, and ends when
 * its input does, with the exit code that its second argument says.
 */
export function echoCommand(node: string, { container, command, stdin, tty }: ContainerCommand): Duplex {
  if (command[0] === 'unreachable') throw new Error('the node is not connected')
  const decoder = new FrameDecoder()
  const end = () => {
    stream.push(encodeFrame(CHANNEL.outcome, outcome(Number(command[1] ?? 0))))
    stream.push(null)
  }
  const stream = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, callback) {
      for (const { kind, content } of decoder.decode(chunk)) {
        if (kind === CHANNEL.input || kind === CHANNEL.size) stream.push(encodeFrame(CHANNEL.output, content))
        if (kind === CHANNEL.close) end()
      }
      callback()
    },
  })
  running.add(stream)
  stream.once('close', () => running.delete(stream))
  const about = `${node}/${container}: ${command.join(' ')}${tty ? ' (tty)' : ''}\n`
  stream.push(encodeFrame(tty ? CHANNEL.output : CHANNEL.errors, Buffer.from(about)))
  if (!stdin) end()
  return stream
}

/** A port that says where it is and then repeats what it hears; nobody listens on port 1. */
export function echoPort(node: string, port: number): Duplex {
  if (port === 1) throw new Error('connection refused')
  const stream: Duplex = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, callback) {
      stream.push(chunk)
      callback()
    },
    final(callback) {
      stream.push(null)
      callback()
    },
  })
  stream.push(`${node}:${port}\n`)
  return stream
}

/** What a node answers about itself: what it was asked, and with which headers. */
export function echoNodeApi(node: string): Duplex {
  if (node === 'gone') throw new Error('the node is not connected')
  const [ours, theirs] = duplexPair()
  const server = createServer((request, response) => {
    const { method, url, headers } = request
    response.writeHead(url === '/absent' ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ node, method, url, headers }))
  })
  server.emit('connection', theirs)
  return ours
}
