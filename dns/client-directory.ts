/** Who asks: the part of the world that the server needs to know. */
import type { ClientView } from './client-view.ts'

export interface ClientDirectory {
  /** Another number when a client, or any name, may be seen otherwise than before. */
  readonly version: number
  /** What the client at an address sees; undefined for somebody who gets no answers from this host. */
  viewOf(address: string): ClientView | undefined
  /** Resolves when the container at an address may have become known, after `milliseconds`, or when `signal` aborts. */
  whenKnown(address: string, milliseconds: number, signal: AbortSignal): Promise<void>
}
