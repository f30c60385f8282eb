/** Maps: what programs in the kernel remember, and what we tell them (bpf(2), linux/bpf.h). */
import { closeSync } from 'node:fs'
import { systemErrorCode } from '../../kit/index.ts'
import { addressOf, bpf } from './system-call.ts'

const MAP_CREATE = 0
const MAP_UPDATE_ELEM = 2
const MAP_DELETE_ELEM = 3

const TYPES = { hash: 1, array: 2, leastRecentlyUsed: 9 }

/** Bytes of the attributes in use. */
const CREATE_SIZE = 48
const ELEMENT_SIZE = 32
const NAME_OFFSET = 28
/** What the kernel keeps of a name. */
const NAME_LENGTH = 15

export interface MapOptions {
  /** At most 15 letters, digits and `_`. */
  readonly name: string
  /** `leastRecentlyUsed` forgets those that nobody asked for longest when it is full. */
  readonly type: keyof typeof TYPES
  /** Bytes of a key; those of an array are numbers of 4 bytes. */
  readonly keySize: number
  readonly valueSize: number
  readonly entries: number
}

export class BpfMap {
  /** For instructions of programs. */
  readonly descriptor: number
  readonly #object: string

  /** @throws `KernelRefused` */
  constructor({ name, type, keySize, valueSize, entries }: MapOptions) {
    this.#object = `BPF map ${name}`
    const attributes = Buffer.alloc(CREATE_SIZE)
    for (const [index, value] of [TYPES[type], keySize, valueSize, entries].entries())
      attributes.writeUInt32LE(value, index * 4)
    attributes.write(name.slice(0, NAME_LENGTH), NAME_OFFSET, 'latin1')
    this.descriptor = bpf(MAP_CREATE, attributes, this.#object, 'create')
  }

  /** @throws `KernelRefused`, for instance when it is full */
  set(key: Uint8Array, value: Uint8Array): void {
    bpf(MAP_UPDATE_ELEM, this.#element(key, value), this.#object, 'change')
  }

  /** A key that is not there is fine. @throws `KernelRefused` */
  delete(key: Uint8Array): void {
    try {
      bpf(MAP_DELETE_ELEM, this.#element(key), this.#object, 'change')
    } catch (error) {
      if (!(error instanceof Error) || systemErrorCode(error.cause) !== 'ENOENT') throw error
    }
  }

  /** Programs that use it keep it. */
  close(): void {
    closeSync(this.descriptor)
  }

  #element(key: Uint8Array, value?: Uint8Array): Buffer {
    const attributes = Buffer.alloc(ELEMENT_SIZE)
    attributes.writeUInt32LE(this.descriptor, 0)
    attributes.writeBigUInt64LE(addressOf(key), 8)
    if (value !== undefined) attributes.writeBigUInt64LE(addressOf(value), 16)
    return attributes
  }
}
