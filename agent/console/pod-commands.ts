/** Commands in the containers of pods, attaching to them, and connections to their ports. */
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { explainError, type Logger } from '../../kit/index.ts'
import { connectInNamespace } from '../../netplugins/netlink/index.ts'
import {
  CHANNEL,
  type ContainerCommand,
  containerCommand,
  encodeFrame,
  type Frame,
  FrameDecoder,
  isTerminalSize,
  LABEL,
  type LinkStream,
  podConnection,
  protocolErrors,
} from '../../protocol/index.ts'
import type { ContainerDetails, ContainerInventory, DockerEngine } from '../docker/index.ts'

/** A process whose streams a client has. */
interface Running {
  readonly stream: Readable & Writable
  readonly resize: (columns: number, rows: number) => Promise<void>
}

interface Input {
  readonly stdin: boolean
  /** Whether the process sees the end of the client's input. */
  readonly closable: boolean
}

/** Milliseconds in which the output of a container that ended has been sent. */
const LAST_OUTPUT = 1_000

function notRunning({ pod, container }: ContainerCommand): Error {
  return protocolErrors.RequestFailed({ message: `container "${container}" of pod "${pod}" is not running` })
}

function outcome(exitCode: number): Buffer {
  const status =
    exitCode === 0
      ? { status: 'Success' }
      : {
          status: 'Failure',
          message: `command terminated with non-zero exit code: exit status ${exitCode}`,
          reason: 'NonZeroExitCode',
          details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
        }
  return Buffer.from(JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, ...status }))
}

/** `{"Width":80,"Height":24}`, of which clients send one after the other. */
function sizesOf(content: Buffer): { columns: number; rows: number }[] {
  return content
    .toString('utf8')
    .split(/(?<=\})\s*/)
    .flatMap(text => {
      try {
        const { Width, Height } = JSON.parse(text) as { Width?: number; Height?: number }
        const size = { columns: Number(Width), rows: Number(Height) }
        return isTerminalSize(size) ? [size] : []
      } catch {
        // No size, and nothing else depends on it.
        return []
      }
    })
}

export class PodCommands {
  readonly #engine: DockerEngine
  readonly #inventory: ContainerInventory
  readonly #localUid: (uid: string) => string
  readonly #log: Logger

  /** @param localUid the uid by which a pod of the cluster is known on this host */
  constructor(
    engine: DockerEngine,
    inventory: ContainerInventory,
    localUid: (uid: string) => string,
    log: Logger,
  ) {
    this.#localUid = localUid
    this.#engine = engine
    this.#inventory = inventory
    this.#log = log
  }

  /** Runs a command in a container, to its end. @throws `RequestFailed`, and what Docker says */
  async exec(params: unknown, stream: LinkStream): Promise<void> {
    const wanted = containerCommand.parse(params, 'stream')
    const { tty, stdin } = wanted
    const running = await this.#engine.exec(this.#running(wanted).id, wanted.command, { tty, stdin })
    await this.#carry(running, stream, { stdin, tty, closable: true })
    await this.#end(stream, outcome(await running.exitCode()))
  }

  /** Attaches to what a container runs, until it ends. @throws `RequestFailed`, and what Docker says */
  async attach(params: unknown, stream: LinkStream): Promise<void> {
    const wanted = containerCommand.parse(params, 'stream')
    const { stdin, stdout, stderr } = wanted
    const details = this.#running(wanted)
    const running = await this.#engine.attach(details.id, { stdin, stdout, stderr: stderr || details.tty })
    this.#endOfEnded(details, wanted, running.stream)
    // Docker would end the output together with the input of a client that came to watch.
    await this.#carry(running, stream, { stdin, tty: details.tty, closable: details.stdinOnce })
    await this.#end(stream, outcome(0))
  }

  /** Docker never ends the streams of those who attach to a container that has ended just before. */
  #endOfEnded({ id }: ContainerDetails, wanted: ContainerCommand, stream: Running['stream']): void {
    const look = async () => {
      const details = await this.#inventory.refresh(id)
      if (details?.status === 'running' || stream.destroyed) return
      const timer = setTimeout(() => stream.destroy(notRunning(wanted)), LAST_OUTPUT)
      stream.once('close', () => clearTimeout(timer))
    }
    look().catch(error => stream.destroy(error instanceof Error ? error : new Error(String(error))))
  }

  /** Connects to a port of a pod, from inside of it. @throws `RequestFailed`, the system's error */
  async connect(params: unknown, stream: LinkStream): Promise<void> {
    const { uid, pod, port } = podConnection.parse(params, 'stream')
    const local = this.#localUid(uid)
    const sandbox = [...this.#inventory.all()].find(
      ({ labels, status, pid }) => labels[LABEL.podUid] === local && status === 'running' && pid > 0,
    )
    if (sandbox === undefined) {
      throw protocolErrors.RequestFailed({ object: `pod ${pod}`, message: 'does not run on this host' })
    }
    const connection = await connectInNamespace(`/proc/${sandbox.pid}/ns/net`, port)
    stream.once('close', () => connection.destroy())
    await Promise.all([
      pipeline(stream, connection, { end: true }),
      pipeline(connection, stream, { end: true }),
    ])
  }

  #running(wanted: ContainerCommand): ContainerDetails {
    const { container } = wanted
    const local = this.#localUid(wanted.uid)
    const found = [...this.#inventory.all()].find(
      ({ labels, status }) =>
        labels[LABEL.podUid] === local && labels[LABEL.podContainer] === container && status === 'running',
    )
    if (found !== undefined) return found
    throw notRunning(wanted)
  }

  /** Carries input and output until there is no more output. */
  async #carry(
    { stream: process, resize }: Running,
    stream: LinkStream,
    input: Input & { readonly tty: boolean },
  ): Promise<void> {
    this.#carryInput(process, resize, input, stream)
    const output = new PassThrough()
    const errors = new PassThrough()
    const carried = [this.#carryOutput(output, CHANNEL.output, stream)]
    if (input.tty) {
      await Promise.all([pipeline(process, output), ...carried])
      return
    }
    carried.push(this.#carryOutput(errors, CHANNEL.errors, stream))
    this.#engine.demultiplex(process, output, errors)
    // The demultiplexer does not wait for its readers; the process has to.
    const proceed = () => {
      if (!output.writableNeedDrain && !errors.writableNeedDrain) process.resume()
    }
    process.on('data', () => {
      if (output.writableNeedDrain || errors.writableNeedDrain) process.pause()
    })
    output.on('drain', proceed)
    errors.on('drain', proceed)
    try {
      await finished(process, { writable: false })
    } finally {
      output.end()
      errors.end()
    }
    await Promise.all(carried)
  }

  #carryInput(
    process: Running['stream'],
    resize: Running['resize'],
    { stdin, closable }: Input,
    stream: LinkStream,
  ): void {
    const decoder = new FrameDecoder()
    const take = ({ kind, content }: Frame) => {
      if (kind === CHANNEL.input && stdin && !process.write(content)) {
        stream.pause()
        process.once('drain', () => stream.resume())
      }
      if (kind === CHANNEL.close && closable && content[0] === CHANNEL.input) process.end()
      if (kind !== CHANNEL.size) return
      for (const { columns, rows } of sizesOf(content)) {
        resize(columns, rows).catch(error =>
          this.#log.debug({ reason: explainError(error) }, 'a terminal was not resized'),
        )
      }
    }
    stream.on('data', (bytes: Buffer) => {
      try {
        decoder.decode(bytes).forEach(take)
      } catch (error) {
        // What is no frame ends the stream that it came by, and nothing else.
        stream.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    })
    process.on('error', error => stream.destroy(error))
    stream.once('close', () => process.destroy())
  }

  async #carryOutput(source: Readable, channel: number, stream: LinkStream): Promise<void> {
    for await (const bytes of source as AsyncIterable<Buffer>) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      stream.write(encodeFrame(channel, bytes), error => (error ? reject(error) : resolve()))
      await promise
    }
  }

  async #end(stream: LinkStream, content: Buffer): Promise<void> {
    stream.end(encodeFrame(CHANNEL.outcome, content))
    await finished(stream, { readable: false })
    // Whatever the client still sends is for nobody.
    stream.resume()
  }
}
