/** What the front door needs from the publisher of metadata. */
import type { MetadataPosition } from '../../protocol/index.ts'

/** One agent's connection, as the publisher sees it. */
export interface MetadataSubscriber {
  readonly clusterId: string
  /** Where the agent's copy stands; absent when it has none. */
  readonly position: MetadataPosition | undefined
  /** Bytes sent and not yet taken: a slow agent gets its changes in larger steps. */
  readonly backlog: () => number
  /** Sends one encoded message. */
  readonly send: (text: string) => void
}

export interface MetadataSubscription {
  /** The agent's copy does not fit: begin with everything again. */
  resync(reason: string): void
  close(): void
}

export interface MetadataSource {
  subscribe(subscriber: MetadataSubscriber): MetadataSubscription
}
