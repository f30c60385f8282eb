/** A watch over a websocket: one text message per event. */
import type { WebSocket } from 'ws'
import type { FrameSink } from './watch-stream.ts'

/** Bytes that may be on their way before the watch waits for its client. */
const HIGH_WATER = 64 * 1024
const END_OF_FRAME = 0x0a

/** Frames that were joined for one write. */
function* framesIn(joined: Buffer): Generator<Buffer> {
  let from = 0
  while (from < joined.length) {
    const end = joined.indexOf(END_OF_FRAME, from)
    const after = end < 0 ? joined.length : end + 1
    yield joined.subarray(from, after)
    from = after
  }
}

export class WebsocketSink implements FrameSink {
  readonly #websocket: WebSocket
  readonly #onDrain: (() => void)[] = []
  #blocked = false

  constructor(websocket: WebSocket) {
    this.#websocket = websocket
    // A watch only tells: what its client says is not read.
    websocket.on('message', () => undefined)
  }

  write(frames: Buffer): boolean {
    for (const frame of framesIn(frames)) {
      this.#websocket.send(frame, { binary: false }, () => this.#sent())
    }
    this.#blocked = this.#websocket.bufferedAmount > HIGH_WATER
    return !this.#blocked
  }

  end(): void {
    this.#websocket.close(1000)
  }

  destroy(): void {
    this.#websocket.terminate()
  }

  on(event: 'drain' | 'close', listener: () => void): void {
    if (event === 'drain') this.#onDrain.push(listener)
    else this.#websocket.on('close', listener)
  }

  #sent(): void {
    if (!this.#blocked || this.#websocket.bufferedAmount > HIGH_WATER) return
    this.#blocked = false
    for (const listener of this.#onDrain) listener()
  }
}
