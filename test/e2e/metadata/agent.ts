/** An agent as far as metadata goes: a real replica on disk, joined to a publisher by the encoded messages. */
import { MetadataReplica } from '../../../agent/metadata/index.ts'
import { atMost } from '../../../kit/index.ts'
import { type MetadataDelta, type MetadataObject, serverMessage } from '../../../protocol/index.ts'
import type { MetadataSource, MetadataSubscription } from '../../../server/proxy/index.ts'
import { log } from '../../unit/server/metadata/world.ts'

export class Agent {
  readonly replica: MetadataReplica
  readonly deltas: MetadataDelta[] = []
  readonly texts: string[] = []
  /** Bytes that the agent has not taken. */
  backlog = 0
  /** Messages that are lost on the way. */
  loses: (delta: MetadataDelta) => boolean = () => false
  readonly #clusterId: string
  #subscription: MetadataSubscription | undefined
  #received = Promise.withResolvers<void>()

  constructor(clusterId: string, directory: string) {
    this.#clusterId = clusterId
    this.replica = new MetadataReplica({
      directory,
      requestResync: reason => {
        this.#subscription?.resync(reason)
        return this.#subscription !== undefined
      },
      log,
    })
  }

  connect(source: MetadataSource): void {
    this.#subscription = source.subscribe({
      clusterId: this.#clusterId,
      position: this.replica.position,
      backlog: () => this.backlog,
      send: text => this.#receive(text),
    })
  }

  disconnect(): void {
    this.#subscription?.close()
    this.#subscription = undefined
    this.replica.connectionLost()
  }

  /** How many full synchronisations it was sent. */
  get fulls(): number {
    return this.deltas.filter(delta => delta.full && delta.part === 0).length
  }

  names(): string[] {
    return [...this.replica.model.all()].map(({ infoType, name }) => `${infoType} ${name}`).toSorted()
  }

  find(name: string): MetadataObject | undefined {
    return [...this.replica.model.all()].find(object => object.name === name)
  }

  /** Waits until what was received makes `condition` true. */
  async until(description: string, condition: () => boolean): Promise<void> {
    const wait = async () => {
      while (!condition()) await this.#received.promise
    }
    await atMost(10_000, description, wait())
  }

  #receive(text: string): void {
    const message = serverMessage.parse(JSON.parse(text), 'message')
    if (message.type !== 'metadata') throw new Error(`a message of type ${message.type}`)
    this.texts.push(text)
    this.deltas.push(message.delta)
    if (!this.loses(message.delta)) this.replica.apply(message.delta)
    const received = this.#received
    this.#received = Promise.withResolvers()
    received.resolve()
  }
}
