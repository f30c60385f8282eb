/** One agent's copy of the model: how far it was sent, and what it gets next. */
import type { MetadataSubscriber } from '../proxy/index.ts'
import type { ClusterPublication } from './cluster-publication.ts'

/** Bytes that may wait for an agent before it gets nothing more. */
const BACKLOG_LIMIT = 256 * 1024

/** An agent that has everything is told so after this many revisions: the log remembers at least the newest 1,000. */
const SILENT_REVISIONS = 200

/** Messages that lead to `sequence` when all of them are sent. */
interface Transfer {
  readonly sequence: number
  readonly length: number
  readonly message: (index: number) => string
  readonly end: () => void
}

export class Subscriber {
  readonly #agent: MetadataSubscriber
  readonly #onFull: (reason: string) => void
  /** What the agent shows after all that was sent. */
  #sent: number | undefined
  #reason: string
  /** Of its copy: the publication's may have changed since. */
  #generation: string
  #transfer: Transfer | undefined
  #next = 0

  /** @param onFull called for each full synchronisation that begins */
  constructor(agent: MetadataSubscriber, generation: string, onFull: (reason: string) => void) {
    this.#agent = agent
    this.#onFull = onFull
    this.#generation = generation
    const { position } = agent
    this.#sent = position?.generation === generation ? position.sequence : undefined
    this.#reason = position === undefined ? 'it has no copy' : 'its copy is of something else'
  }

  /** Its copy is useless: begin with everything again. */
  restart(reason: string): void {
    this.close()
    this.#sent = undefined
    this.#reason = reason
  }

  close(): void {
    this.#transfer?.end()
    this.#transfer = undefined
  }

  /** Sends what it lacks, as long as it takes it. @returns whether it has everything, as far as it needs to */
  pump(publication: ClusterPublication): boolean {
    for (;;) {
      // Nothing new is begun for an agent that is behind: what comes meanwhile makes one larger step.
      if (this.#agent.backlog() > BACKLOG_LIMIT) return false
      this.#transfer ??= this.#begin(publication)
      const transfer = this.#transfer
      if (transfer === undefined) return true
      while (this.#next < transfer.length) {
        if (this.#agent.backlog() > BACKLOG_LIMIT) return false
        this.#agent.send(transfer.message(this.#next))
        this.#next += 1
      }
      this.#sent = transfer.sequence
      this.close()
    }
  }

  #begin(publication: ClusterPublication): Transfer | undefined {
    const { sequence } = publication
    if (sequence === undefined || this.#sent === sequence) return undefined
    this.#next = 0
    if (this.#sent === undefined) return this.#everything(publication)
    const difference = publication.differenceSince(this.#sent, this.#generation)
    if (difference === undefined) {
      this.#reason = 'what it missed is not known any more'
      return this.#everything(publication)
    }
    if (difference.empty && sequence - this.#sent < SILENT_REVISIONS) return undefined
    const { messages } = difference
    return {
      sequence,
      length: messages.length,
      message: index => messages[index] ?? '',
      end: () => undefined,
    }
  }

  #everything(publication: ClusterPublication): Transfer {
    const full = publication.fullSynchronization()
    this.#generation = publication.generation
    full.use()
    this.#onFull(this.#reason)
    return {
      sequence: full.sequence,
      length: full.parts,
      message: index => full.message(index),
      end: () => full.release(),
    }
  }
}
