/** What is sent over a websocket instead of in an answer. */
import type { WebSocket } from 'ws'
import type { Attributes } from '../access/index.ts'
import type { Resource } from '../catalog/index.ts'

export interface WebsocketContent {
  /** What it takes to get it. */
  readonly attributes: Attributes
  /** What is watched; undefined for streams. */
  readonly watched: Resource | undefined
  /** Sends it until it is over. @returns ends it in good order; undefined where only its connection can be cut */
  readonly serve: (websocket: WebSocket) => (() => void) | undefined
  /** Nobody wants it any more: the client went away before there was a websocket. */
  readonly discard: () => void
}
