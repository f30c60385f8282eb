/** Ethernet frames of one kind on one link (packet(7)), past everything that the kernel does with them. */
import { close, closeSync } from 'node:fs'
import { networkErrors } from '../errors.ts'
import { cLibrary } from './c-library.ts'
import { inNetworkNamespace } from './network-namespace.ts'

const AF_PACKET = 17
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000

/** Bytes of struct sockaddr_ll. */
const ADDRESS_SIZE = 20

/** The longest frame that is of interest here, in bytes. */
const FRAME_SIZE = 2048

export class PacketSocket {
  readonly #file: number
  readonly #object: string
  #closed = false

  private constructor(file: number, object: string) {
    this.#file = file
    this.#object = object
  }

  /**
   * @param link index of the link
   * @param etherType of the frames, e.g. 0x0806 for ARP
   * @param namespace file of the link's network namespace; the process's own when absent
   * @throws `KernelRefused`, `NamespaceMissing`, `NamespaceRefused`
   */
  static open(link: number, etherType: number, namespace?: string): PacketSocket {
    const { socket, bind } = cLibrary()
    // Without a protocol, or frames of all links would arrive until it is bound, and binding would wait for every
    // processor to let go of them.
    const open = () => socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    const file = namespace === undefined ? open() : inNetworkNamespace(namespace, open)
    const object = `packet socket on link ${link}`
    if (file < 0) throw networkErrors.KernelRefused({ object, message: 'cannot be opened' })
    const address = Buffer.alloc(ADDRESS_SIZE)
    address.writeUInt16LE(AF_PACKET, 0)
    address.writeUInt16BE(etherType, 2)
    address.writeInt32LE(link, 4)
    if (bind(file, address, address.length) !== 0) {
      closeSync(file)
      throw networkErrors.KernelRefused({ object, message: 'cannot be bound' })
    }
    return new PacketSocket(file, object)
  }

  /** Sends a whole frame. @throws `KernelRefused`, for instance while the link is down */
  send(frame: Uint8Array): void {
    if (cLibrary().send(this.#file, frame, BigInt(frame.length), 0) !== BigInt(frame.length)) {
      throw networkErrors.KernelRefused({ object: this.#object, message: 'cannot send a frame' })
    }
  }

  /** @returns the next frame that arrived (or that this host sent), or undefined when there is none; never waits */
  receive(): Buffer | undefined {
    const frame = Buffer.alloc(FRAME_SIZE)
    const size = cLibrary().recv(this.#file, frame, BigInt(frame.length), 0)
    return size < 0n ? undefined : frame.subarray(0, Number(size))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    // Not by this thread: the kernel waits for every processor (10 to 30 ms were measured). There is nothing to be done
    // about an error, the number is free in any case.
    close(this.#file, () => undefined)
  }
}
