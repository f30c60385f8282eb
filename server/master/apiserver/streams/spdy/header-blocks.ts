/** Blocks of headers in SPDY frames: pairs of names and values, compressed, one compressor per direction. */
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib'
import { DICTIONARY } from './dictionary.ts'

export type Headers = ReadonlyMap<string, string>

/** Bytes of a block once it is plain; a small one can be made to grow without end. */
const BLOCK_LIMIT = 64 * 1024

/** @throws RangeError when it ends in the middle */
function parsePairs(block: Buffer): Headers {
  const headers = new Map<string, string>()
  let at = 4
  const text = () => {
    const length = block.readUInt32BE(at)
    if (at + 4 + length > block.length) throw new RangeError('a block of headers ends too early')
    at += 4 + length
    return block.toString('utf8', at - length, at)
  }
  for (let left = block.readUInt32BE(0); left > 0; left -= 1) {
    const name = text().toLowerCase()
    headers.set(name, text())
  }
  return headers
}

function encodePairs(headers: Headers): Buffer {
  const sized = (text: string) => {
    const bytes = Buffer.from(text)
    const size = Buffer.alloc(4)
    size.writeUInt32BE(bytes.length)
    return Buffer.concat([size, bytes])
  }
  const count = Buffer.alloc(4)
  count.writeUInt32BE(headers.size)
  return Buffer.concat([count, ...[...headers].flatMap(pair => pair.map(sized))])
}

/** Reads the blocks of one connection, in their order. */
export class HeaderReader {
  readonly #inflate: Inflate = createInflate({
    dictionary: DICTIONARY,
    finishFlush: constants.Z_SYNC_FLUSH,
  })
  #failure: Error | undefined

  constructor() {
    this.#inflate.on('error', error => {
      this.#failure = error
    })
  }

  /** @throws RangeError for a broken or too large block; zlib's error for what it cannot read */
  async read(compressed: Buffer): Promise<Headers> {
    const chunks: Buffer[] = []
    let size = 0
    const collect = (chunk: Buffer) => {
      size += chunk.length
      if (size <= BLOCK_LIMIT) chunks.push(chunk)
    }
    this.#inflate.on('data', collect)
    try {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      this.#inflate.once('error', reject)
      this.#inflate.write(compressed, error => (error ? reject(error) : resolve()))
      await promise
      this.#inflate.off('error', reject)
    } finally {
      this.#inflate.off('data', collect)
    }
    if (this.#failure !== undefined) throw this.#failure
    if (size > BLOCK_LIMIT) throw new RangeError(`a block of headers is larger than ${BLOCK_LIMIT} bytes`)
    return parsePairs(Buffer.concat(chunks))
  }

  close(): void {
    this.#inflate.destroy()
  }
}

/** Makes the blocks of one connection, in their order. */
export class HeaderWriter {
  readonly #deflate: Deflate = createDeflate({ dictionary: DICTIONARY })

  /** A block with these headers; one without any is what an answer to a new stream has to say. */
  async write(headers: Headers = new Map()): Promise<Buffer> {
    const chunks: Buffer[] = []
    const collect = (chunk: Buffer) => chunks.push(chunk)
    this.#deflate.on('data', collect)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#deflate.once('error', reject)
    this.#deflate.write(encodePairs(headers))
    this.#deflate.flush(constants.Z_SYNC_FLUSH, resolve)
    await promise
    this.#deflate.off('error', reject)
    this.#deflate.off('data', collect)
    return Buffer.concat(chunks)
  }

  close(): void {
    this.#deflate.destroy()
  }
}
