/** The agent's copy of the metadata of its cluster: kept current by the server's messages, kept on disk. */
import {
  Backoff,
  type CancelTimer,
  type Clock,
  type Daemon,
  type Logger,
  systemClock,
} from '../../../kit/index.ts'
import type { MetadataDelta, MetadataPart, MetadataPosition, MetadataStep } from '../../../protocol/index.ts'
import { MetadataModel, type Replacement } from '../model/index.ts'
import { followsFrom, isOldNews, positionAfter } from './position.ts'
import { ReplicaFiles } from './replica-files.ts'

export interface MetadataReplicaOptions {
  /** Where it is kept; made when missing, and nobody else's. */
  readonly directory: string
  /** Asks the server to send everything; false when no server can be asked now. */
  readonly requestResync: (reason: string) => boolean
  readonly log: Logger
  readonly clock?: Clock
}

/** A full synchronisation that has begun. */
interface Reception {
  readonly generation: string
  readonly sequence: number
  readonly replacement: Replacement
  nextPart: number
}

export class MetadataReplica implements Daemon {
  readonly name = 'metadata replica'
  /** What it knows; also when that is old, or incomplete. */
  readonly model = new MetadataModel()
  readonly #options: MetadataReplicaOptions
  readonly #clock: Clock
  readonly #files: ReplicaFiles
  readonly #backoff = new Backoff({ initial: 1_000, maximum: 60_000 })
  #fullSyncs = 0
  #position: MetadataPosition | undefined
  #reception: Reception | undefined
  #resyncTimer: CancelTimer | undefined

  constructor(options: MetadataReplicaOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#files = new ReplicaFiles({
      directory: options.directory,
      content: () => ({ position: this.#position, objects: this.model.snapshot() }),
      log: options.log,
      clock: this.#clock,
    })
  }

  /** Where the copy stands, for `hello`; undefined when the server has to send everything. */
  get position(): MetadataPosition | undefined {
    return this.#position
  }

  /** Full synchronisations that were received since the start. */
  get fullSyncs(): number {
    return this.#fullSyncs
  }

  /** Reads back what is on disk. @throws the system's error when the directory cannot be used */
  async start(): Promise<void> {
    const { log, directory } = this.#options
    const { position, problems, fragmented } = await this.#files.load(this.model)
    this.#position = position
    if (fragmented) this.#files.snapshot()
    for (const problem of problems)
      log.warn({ directory, problem }, 'the metadata on disk is not as it was written')
    log.info(
      { objects: this.model.size, sequence: position?.sequence },
      'knows the metadata that was on disk',
    )
  }

  async stop(): Promise<void> {
    this.#cancelResync()
    await this.#files.close()
  }

  /** Takes in a message of the server. */
  apply(delta: MetadataDelta): void {
    if (delta.full) this.#receive(delta)
    else this.#follow(delta)
  }

  /** The server is away: what it was sending does not go on. */
  connectionLost(): void {
    this.#reception = undefined
    this.#cancelResync()
    this.#backoff.reset()
  }

  #follow(step: MetadataStep): void {
    // Steps that were on their way when everything was asked for again.
    if (this.#reception !== undefined) return
    const position = this.#position
    if (position !== undefined && isOldNews(position, step)) return
    if (position === undefined || !followsFrom(position, step)) {
      this.#lost(`a step from ${step.from} does not follow from ${position?.sequence ?? 'nothing'}`)
      return
    }
    this.#cancelResync()
    this.#position = positionAfter(position, step)
    this.#files.append(step)
    this.model.apply(step.updates, step.removes)
  }

  /** Objects take the place of older ones as they come, so that there are never two whole models in memory. */
  #receive(part: MetadataPart): void {
    if (part.part === 0) this.#begin(part)
    const reception = this.#reception
    const expected =
      reception !== undefined &&
      reception.generation === part.generation &&
      reception.sequence === part.sequence &&
      reception.nextPart === part.part
    if (!expected) {
      this.#reception = undefined
      this.#lost(`part ${part.part} of a full synchronisation came out of turn`)
      return
    }
    reception.nextPart += 1
    reception.replacement.take(part.updates)
    if (!part.more) this.#finish(reception)
  }

  #begin({ generation, sequence }: MetadataPart): void {
    this.#cancelResync()
    if (this.#position !== undefined) this.#files.appendVoid()
    this.#position = undefined
    this.#reception = { generation, sequence, replacement: this.model.replacement(), nextPart: 0 }
  }

  #finish({ generation, sequence, replacement }: Reception): void {
    this.#reception = undefined
    this.#fullSyncs += 1
    this.#backoff.reset()
    this.#position = { generation, sequence }
    replacement.end()
    this.#files.snapshot()
    this.#options.log.info({ objects: this.model.size, sequence }, 'received all metadata')
  }

  /** Asks for everything, again and again until it comes. */
  #lost(reason: string): void {
    if (this.#resyncTimer !== undefined) return
    const asked = this.#options.requestResync(reason)
    const delay = this.#backoff.next()
    this.#options.log.warn({ reason, asked, retryIn: Math.round(delay) }, 'asks the server for all metadata')
    this.#resyncTimer = this.#clock.after(delay, () => {
      this.#resyncTimer = undefined
      if (this.#reception === undefined) this.#lost(reason)
    })
  }

  #cancelResync(): void {
    this.#resyncTimer?.()
    this.#resyncTimer = undefined
  }
}
