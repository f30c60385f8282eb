/** Streams that clients open through the server: logs and terminals of containers. */
import { type Duplex, PassThrough, type Readable, Transform, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { explainError, type Logger, Type, validatorOf } from '../../kit/index.ts'
import {
  LABEL,
  type LinkStream,
  protocolErrors,
  TerminalDecoder,
  type TerminalFrame,
} from '../../protocol/index.ts'
import type { ContainerDetails, ContainerInventory, DockerEngine } from '../docker/index.ts'
import { PodCommands } from './pod-commands.ts'

const logParams = validatorOf(
  Type.Object({
    container: Type.String({ maxLength: 64 }),
    follow: Type.Boolean(),
    lines: Type.Integer({ minimum: -1, maximum: 1_000_000 }),
  }),
)

const podLogParams = validatorOf(
  Type.Object({
    namespace: Type.String({ maxLength: 63 }),
    pod: Type.String({ maxLength: 253 }),
    uid: Type.String({ maxLength: 64 }),
    container: Type.String({ maxLength: 63 }),
    options: Type.Object({
      follow: Type.Optional(Type.Boolean()),
      previous: Type.Optional(Type.Boolean()),
      timestamps: Type.Optional(Type.Boolean()),
      tailLines: Type.Optional(Type.Integer({ minimum: 0 })),
      limitBytes: Type.Optional(Type.Integer({ minimum: 1 })),
      sinceSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
      sinceTime: Type.Optional(Type.String({ maxLength: 64 })),
    }),
  }),
)

const execParams = validatorOf(
  Type.Object({
    container: Type.String({ maxLength: 64 }),
    command: Type.Array(Type.String({ maxLength: 65_536 }), { minItems: 1, maxItems: 64 }),
    tty: Type.Boolean(),
    attachStdin: Type.Boolean(),
  }),
)

/** Lets so many bytes through and then ends. */
function limitBytes(limit: number): Transform {
  let left = limit
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      const part = chunk.subarray(0, left)
      left -= part.length
      if (left === 0) {
        this.push(part)
        this.push(null)
        callback()
      } else callback(null, part)
    },
  })
}

export interface ConsoleStreamsOptions {
  readonly engine: DockerEngine
  readonly inventory: ContainerInventory
  /** The label with the number of a pod container's attempt. */
  readonly attemptLabel: string
  /** The uid by which a pod of the cluster is known on this host. */
  readonly localUid: (uid: string) => string
  /** Undefined where no kubelet runs the pods. */
  readonly connectToKubelet: (() => Promise<Duplex>) | undefined
  readonly log: Logger
}

export class ConsoleStreams {
  readonly #engine: DockerEngine
  readonly #inventory: ContainerInventory
  readonly #attemptLabel: string
  readonly #log: Logger
  readonly #localUid: (uid: string) => string
  readonly #connectToKubelet: ConsoleStreamsOptions['connectToKubelet']
  readonly #commands: PodCommands

  constructor(options: ConsoleStreamsOptions) {
    const { engine, inventory, attemptLabel, localUid, log } = options
    this.#engine = engine
    this.#inventory = inventory
    this.#attemptLabel = attemptLabel
    this.#log = log
    this.#localUid = localUid
    this.#connectToKubelet = options.connectToKubelet
    this.#commands = new PodCommands(engine, inventory, localUid, log)
  }

  /** Serves one stream to its end. */
  open(kind: string, params: unknown, stream: LinkStream): void {
    this.#serve(kind, params, stream).catch(error => {
      this.#log.debug({ kind, reason: explainError(error) }, 'a stream ended with an error')
      stream.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  }

  async #serve(kind: string, params: unknown, stream: LinkStream): Promise<void> {
    switch (kind) {
      case 'logs': {
        const { container, follow, lines } = logParams.parse(params, 'stream')
        const details = this.#require(container)
        await this.#sendLog(
          details,
          { follow, timestamps: true, ...(lines < 0 ? {} : { tail: lines }) },
          stream,
        )
        return
      }
      case 'pod-logs':
        await this.sendPodLog(params, stream)
        return
      case 'exec':
        await this.#exec(params, stream)
        return
      case 'pod-exec':
        await this.#commands.exec(params, stream)
        return
      case 'pod-attach':
        await this.#commands.attach(params, stream)
        return
      case 'pod-connect':
        await this.#commands.connect(params, stream)
        return
      case 'kubelet-api':
        await this.#relayToKubelet(stream)
        return
      default:
        throw protocolErrors.RequestFailed({ message: `there is no stream of kind ${kind}` })
    }
  }

  /** What passes is between the server and the kubelet, who prove to each other who they are. */
  async #relayToKubelet(stream: LinkStream): Promise<void> {
    if (this.#connectToKubelet === undefined)
      throw protocolErrors.RequestFailed({ message: 'there is no kubelet on this host' })
    const connection = await this.#connectToKubelet()
    stream.once('close', () => connection.destroy())
    await Promise.all([pipeline(stream, connection), pipeline(connection, stream)])
  }

  #require(id: string): ContainerDetails {
    const details = this.#inventory.get(id)
    if (details === undefined) {
      throw protocolErrors.RequestFailed({
        object: `container ${id.slice(0, 12)}`,
        message: 'is not on this host',
      })
    }
    return details
  }

  /** Sends the log of a pod's container. @throws `RequestFailed`, and for parameters of a wrong form */
  async sendPodLog(params: unknown, stream: Writable): Promise<void> {
    const { uid, pod, container, options } = podLogParams.parse(params, 'stream')
    const local = this.#localUid(uid)
    const attempts = [...this.#inventory.all()]
      .filter(({ labels }) => labels[LABEL.podUid] === local && labels[LABEL.podContainer] === container)
      .sort((a, b) => Number(b.labels[this.#attemptLabel]) - Number(a.labels[this.#attemptLabel]))
    const details = attempts[options.previous === true ? 1 : 0]
    if (details === undefined) {
      const which = options.previous === true ? 'previous terminated container' : 'container'
      throw protocolErrors.RequestFailed({ message: `${which} "${container}" in pod "${pod}" not found` })
    }
    const since =
      options.sinceTime === undefined
        ? options.sinceSeconds === undefined
          ? undefined
          : Date.now() / 1000 - options.sinceSeconds
        : Date.parse(options.sinceTime) / 1000
    await this.#sendLog(
      details,
      {
        follow: options.follow === true,
        timestamps: options.timestamps === true,
        ...(options.tailLines === undefined ? {} : { tail: options.tailLines }),
        ...(since === undefined || Number.isNaN(since) ? {} : { since }),
      },
      stream,
      options.limitBytes,
    )
  }

  async #sendLog(
    details: ContainerDetails,
    options: Parameters<DockerEngine['logs']>[1],
    stream: Writable,
    limit?: number,
  ): Promise<void> {
    const source = await this.#engine.logs(details.id, options)
    stream.once('close', () => source.destroy())
    const plain = details.tty ? source : this.#plain(source)
    if (limit === undefined) await pipeline(plain, stream)
    else await pipeline(plain, limitBytes(limit), stream)
  }

  /** Takes Docker's frames apart; both outputs go into one stream, in order. */
  #plain(source: Readable): Readable {
    const plain = new PassThrough()
    this.#engine.demultiplex(source, plain, plain)
    source.on('end', () => plain.end())
    source.on('error', error => plain.destroy(error))
    // The demultiplexer does not wait for its readers; the source has to.
    plain.on('drain', () => source.resume())
    source.on('data', () => {
      if (plain.writableNeedDrain) source.pause()
    })
    return plain
  }

  async #exec(params: unknown, stream: LinkStream): Promise<void> {
    const { container, command, tty, attachStdin } = execParams.parse(params, 'stream')
    const details = this.#require(container)
    const exec = await this.#engine.exec(details.id, command, { tty, stdin: attachStdin })
    const decoder = new TerminalDecoder()
    const take = (frame: TerminalFrame) => {
      if (frame.kind === 'input') {
        if (exec.stream.write(frame.data)) return
        stream.pause()
        exec.stream.once('drain', () => stream.resume())
        return
      }
      exec
        .resize(frame.size.columns, frame.size.rows)
        .catch(error => this.#log.debug({ err: error }, 'a terminal was not resized'))
    }
    stream.on('data', (bytes: Buffer) => {
      try {
        decoder.decode(bytes).forEach(take)
      } catch (error) {
        // What is no frame ends the stream that it came by, and nothing else.
        stream.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    })
    stream.on('end', () => exec.stream.end())
    stream.once('close', () => exec.stream.destroy())
    const output = tty ? exec.stream : this.#plain(exec.stream)
    await pipeline(output, stream)
  }
}
