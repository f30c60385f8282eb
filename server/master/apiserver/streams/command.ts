/** What a client wants of `pods/exec` and `pods/attach`, and how the node's answer reaches it. */
import type { Duplex } from 'node:stream'
import { explainError } from '../../../../kit/index.ts'
import { CHANNEL, encodeFrame, FrameDecoder } from '../../../../protocol/index.ts'
import { badRequest, StatusError, statusObject } from '../status.ts'

export interface CommandOptions {
  readonly command: readonly string[]
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
}

/** Arguments of a command. */
const MOST_ARGUMENTS = 1024

function isTrue(query: URLSearchParams, name: string): boolean {
  return ['true', '1'].includes(query.get(name) ?? '')
}

/** `PodExecOptions` and `PodAttachOptions`. @throws `BadRequest` */
export function commandOptions(query: URLSearchParams, kind: 'exec' | 'attach'): CommandOptions {
  const command = kind === 'exec' ? query.getAll('command') : []
  if (kind === 'exec' && command.length === 0)
    throw badRequest('you must specify at least 1 command for the container')
  if (command.length > MOST_ARGUMENTS) throw badRequest(`a command has at most ${MOST_ARGUMENTS} arguments`)
  const tty = isTrue(query, 'tty')
  const options = {
    command,
    tty,
    stdin: isTrue(query, 'stdin'),
    stdout: isTrue(query, 'stdout'),
    // A terminal has one output.
    stderr: isTrue(query, 'stderr') && !tty,
  }
  if (!options.stdin && !options.stdout && !options.stderr) {
    throw badRequest('you must specify at least one of stdin, stdout, stderr')
  }
  return options
}

/** The outcome of a command that did not come to one. */
export function failure(error: unknown): Buffer {
  return Buffer.from(JSON.stringify(statusObject(new StatusError('InternalError', explainError(error)))))
}

/**
 * Carries what the node sends to the client, to its end, and always with an outcome.
 *
 * @param send resolves when more may be sent
 */
export async function relayOutput(
  node: Duplex,
  send: (channel: number, content: Buffer) => Promise<void>,
): Promise<void> {
  const decoder = new FrameDecoder()
  let told = false
  try {
    for await (const bytes of node as AsyncIterable<Buffer>) {
      for (const { kind, content } of decoder.decode(bytes)) {
        told ||= kind === CHANNEL.outcome
        await send(kind, content)
      }
    }
    if (!told) await send(CHANNEL.outcome, failure('the node ended the command without an outcome'))
  } catch (error) {
    node.destroy()
    if (!told) await send(CHANNEL.outcome, failure(error))
  }
}

/** Says to the node that a channel has no more. */
export function closeFrame(channel: number): Buffer {
  return encodeFrame(CHANNEL.close, Buffer.from([channel]))
}
