/** Writes protobuf messages (protobuf "Encoding"): fields of texts, truths and messages, which is all that is needed here. */

const VARINT = 0
const BYTES = 2

/** Varints of numbers below 2³¹. */
function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  bytes.push(rest)
  return bytes
}

function tag(field: number, type: number): number[] {
  return varint(field * 8 + type)
}

/** A message in the making. Methods return it, so that they can follow each other. */
export class ProtobufMessage {
  readonly #parts: Buffer[] = []

  /** Nothing for a value that is not there, or empty: both are the same in this encoding. */
  text(field: number, value: unknown): this {
    if (typeof value === 'string' && value !== '') this.#bytes(field, Buffer.from(value, 'utf8'))
    return this
  }

  texts(field: number, values: unknown): this {
    if (Array.isArray(values)) for (const value of values) this.text(field, value)
    return this
  }

  truth(field: number, value: unknown): this {
    if (value === true) this.#parts.push(Buffer.from([...tag(field, VARINT), 1]))
    return this
  }

  message(field: number, value: ProtobufMessage): this {
    return this.#bytes(field, value.encode())
  }

  encode(): Buffer {
    return Buffer.concat(this.#parts)
  }

  #bytes(field: number, bytes: Buffer): this {
    this.#parts.push(Buffer.from([...tag(field, BYTES), ...varint(bytes.length)]), bytes)
    return this
  }
}
