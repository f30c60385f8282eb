/** What containers that ended say why: from the file that they may write, or from the end of their log. */
import { open } from 'node:fs/promises'
import path from 'node:path'
import { explainError, type Logger, makePrivateDirectory, systemErrorCode } from '../../kit/index.ts'
import type { Container } from '../../protocol/kubernetes/index.ts'
import type { DockerEngine } from '../docker/index.ts'
import type { ContainerView } from './pod-view.ts'

/** Kubernetes' limits: bytes of a message; bytes and lines of a log that stands for one. */
const MESSAGE_LIMIT = 4_096
const LOG_LIMIT = 2_048
const LOG_LINES = 80

/** Messages that are remembered at one time. */
const CAPACITY = 2_000

export class TerminationMessages {
  readonly #engine: DockerEngine
  readonly #log: Logger
  readonly #messages = new Map<string, string>()

  constructor(engine: DockerEngine, log: Logger) {
    this.#engine = engine
    this.#log = log
  }

  /** Makes the file for one run of a container. */
  async prepare(directory: string, container: string, attempt: number): Promise<string> {
    const file = fileOf(directory, container, attempt)
    await makePrivateDirectory(path.dirname(file))
    const handle = await open(file, 'w', 0o666)
    // Whoever the container runs as may write it.
    await handle.chmod(0o666)
    await handle.close()
    return file
  }

  /** What a run that ended has said; undefined while it was not read. */
  get(dockerId: string): string | undefined {
    return this.#messages.get(dockerId)
  }

  /** Reads what a run that ended has said, once. */
  async read(directory: string, container: Container, { details, attempt }: ContainerView): Promise<void> {
    const { id, exitCode } = details
    if (this.#messages.has(id)) return
    let message = ''
    try {
      message = await head(fileOf(directory, container.name, attempt))
      const wantsLog = container.terminationMessagePolicy === 'FallbackToLogsOnError' && exitCode !== 0
      if (message === '' && wantsLog) message = await this.#endOfLog(id)
    } catch (error) {
      this.#log.debug(
        { container: container.name, reason: explainError(error) },
        'it is not known why it ended',
      )
    }
    if (this.#messages.size >= CAPACITY) {
      const [oldest] = this.#messages.keys()
      if (oldest !== undefined) this.#messages.delete(oldest)
    }
    this.#messages.set(id, message)
  }

  async #endOfLog(id: string): Promise<string> {
    const stream = await this.#engine.logs(id, { follow: false, tail: LOG_LINES, timestamps: false })
    const chunks: Buffer[] = []
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk)
    return plainText(Buffer.concat(chunks)).slice(-LOG_LIMIT)
  }
}

/** Takes the eight bytes away that Docker puts before each piece of a log. */
function plainText(multiplexed: Buffer): string {
  let text = ''
  for (let at = 0; at + 8 <= multiplexed.length; ) {
    const length = multiplexed.readUInt32BE(at + 4)
    text += multiplexed.subarray(at + 8, at + 8 + length).toString('utf8')
    at += 8 + length
  }
  return text
}

function fileOf(directory: string, container: string, attempt: number): string {
  return path.join(directory, 'termination', `${container}-${attempt}`)
}

async function head(file: string): Promise<string> {
  try {
    const handle = await open(file, 'r')
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(MESSAGE_LIMIT), 0, MESSAGE_LIMIT, 0)
      return buffer.subarray(0, bytesRead).toString('utf8')
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return ''
    throw error
  }
}
