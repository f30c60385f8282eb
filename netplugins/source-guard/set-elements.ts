/**
 * Elements of nf_tables sets, by netlink: one exchange with the kernel instead of a program that first reads every rule
 * of the host (nft(8)).
 */
import { createNetlink, type NetlinkSocket, Protocol } from 'netlink'
import { kitErrors } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { attribute, nestedAttribute } from '../netlink/index.ts'

/** Milliseconds after which an unanswered request fails. */
const REQUEST_DEADLINE = 10_000

/** linux/netlink.h */
const NLMSG_ERROR = 2
const NLM_F_REQUEST = 1
const NLM_F_ACK = 4
const NLM_F_CREATE = 0x400

/** linux/netfilter/nfnetlink.h and nf_tables.h */
const NFNL_SUBSYS_NFTABLES = 10
const NFNL_MSG_BATCH_BEGIN = 0x10
const NFNL_MSG_BATCH_END = 0x11
const NFT_MSG_NEWSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 12
const NFT_MSG_DELSETELEM = (NFNL_SUBSYS_NFTABLES << 8) | 14

/** Errnos in the kernel's answer. */
const ENOENT = 2

/** Names a set. The family is the kernel's number of it, e.g. 7 for bridges. */
export interface SetName {
  readonly family: number
  readonly table: string
  readonly set: string
}

function message(
  type: number,
  flags: number,
  sequence: number,
  family: number,
  resource: number,
  body: Buffer,
): Buffer {
  const header = Buffer.alloc(20)
  header.writeUInt32LE(20 + body.length, 0)
  header.writeUInt16LE(type, 4)
  header.writeUInt16LE(NLM_F_REQUEST | flags, 6)
  header.writeUInt32LE(sequence, 8)
  header.writeUInt8(family, 16)
  header.writeUInt16BE(resource, 18)
  return Buffer.concat([header, body])
}

/** One key of a concatenated type: every part fills whole words. */
export function concatenatedKey(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(parts.map(part => Buffer.concat([part, Buffer.alloc(-part.length & 3)])))
}

export class SetElementSocket {
  readonly #socket: NetlinkSocket
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor() {
    this.#socket = createNetlink(Protocol.NETFILTER)
    this.#socket.on('error', () => undefined)
  }

  /**
   * Adds an element; one that is there is fine.
   *
   * @returns false when there is no such set
   * @throws `KernelRefused`, `KernelSilent`, `Stopped`
   */
  add(name: SetName, key: Uint8Array): Promise<boolean> {
    return this.#change(NFT_MSG_NEWSETELEM, NLM_F_CREATE, name, key)
  }

  /** Deletes an element. @returns false when there is no such element, or set. @throws like `add` */
  delete(name: SetName, key: Uint8Array): Promise<boolean> {
    return this.#change(NFT_MSG_DELSETELEM, 0, name, key)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    // The addon does not survive being closed from one of its own callbacks, where an answer is awaited.
    setImmediate(() => this.#socket.close())
  }

  #change(type: number, flags: number, name: SetName, key: Uint8Array): Promise<boolean> {
    const turn = this.#last.then(() => this.#exchange(type, flags, name, key))
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async #exchange(type: number, flags: number, name: SetName, key: Uint8Array): Promise<boolean> {
    const object = `element of the nftables set ${name.table} ${name.set}`
    if (this.#closed) throw kitErrors.Stopped({ object })
    const sequence = this.#socket.generateSeq()
    const element = nestedAttribute(1, nestedAttribute(1, attribute(1, key)))
    const body = Buffer.concat([
      attribute(1, Buffer.from(`${name.table}\0`)),
      attribute(2, Buffer.from(`${name.set}\0`)),
      nestedAttribute(3, element),
    ])
    const batch = Buffer.concat([
      message(NFNL_MSG_BATCH_BEGIN, 0, 0, 0, NFNL_SUBSYS_NFTABLES, Buffer.alloc(0)),
      message(type, flags | NLM_F_ACK, sequence, name.family, 0, body),
      message(NFNL_MSG_BATCH_END, 0, 0, 0, NFNL_SUBSYS_NFTABLES, Buffer.alloc(0)),
    ])
    const errno = await this.#answer(batch, sequence, object)
    if (errno === 0) return true
    if (errno === ENOENT) return false
    throw networkErrors.KernelRefused({ object, message: `the kernel refused to change it (errno ${errno})` })
  }

  #answer(batch: Buffer, sequence: number, object: string): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const listener = (
      messages: readonly { type: number; seq: number; data: Uint8Array | Uint8Array[] }[],
    ) => {
      for (const { type, seq, data } of messages) {
        if (type !== NLMSG_ERROR || seq !== sequence) continue
        resolve(-Buffer.concat(Array.isArray(data) ? data : [data]).readInt32LE(0))
      }
    }
    const late = setTimeout(
      () =>
        reject(networkErrors.KernelSilent({ object, expected: `an answer within ${REQUEST_DEADLINE} ms` })),
      REQUEST_DEADLINE,
    )
    this.#socket.on('message', listener)
    this.#socket.socket.send(batch, {}, error => {
      if (error) reject(networkErrors.KernelRefused({ object, message: 'cannot be changed', cause: error }))
    })
    return promise.finally(() => {
      clearTimeout(late)
      this.#socket.off('message', listener)
    })
  }
}
