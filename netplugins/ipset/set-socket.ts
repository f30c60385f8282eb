/** A connection to the kernel's address sets, in the network namespace of this process. */
import { createNetlink, Flags, FlagsGet, type NetlinkSocket, Protocol } from 'netlink'
import { kitErrors } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { type COMMAND, messageType } from './set-messages.ts'

/** Milliseconds after which an unanswered request fails. */
const REQUEST_DEADLINE = 10_000

/** Requests that may wait for their turn. */
const WAITING_LIMIT = 1000

const ERROR_MESSAGE = 2

/** What the kernel's numbers mean: errnos, and from 4096 on those of the sets (ip_set.h). */
const MEANINGS: Readonly<Record<number, string>> = {
  1: 'not permitted',
  2: 'there is no such set',
  12: 'out of memory',
  17: 'there is a set of that name',
  22: 'this kernel has no address sets',
  4097: 'it speaks another protocol',
  4098: 'this kernel has no sets of that type',
  4099: 'there are too many sets',
  4100: 'it is in use',
  4352: 'the set is full',
}

export type SetAnswer =
  | { readonly error: 0; readonly parts: readonly Buffer[] }
  | { readonly error: number; readonly meaning: string }

export class SetSocket {
  #socket: NetlinkSocket | undefined
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #closed = false

  /**
   * Makes one request when those before it are answered.
   *
   * @param object for errors: `address set X`
   * @throws `KernelSilent`, `SetRefused` when the kernel cannot be asked, `QueueFull`, `Stopped` after `close`
   */
  async request(object: string, command: keyof typeof COMMAND, body: Buffer): Promise<SetAnswer> {
    if (this.#waiting >= WAITING_LIMIT) throw kitErrors.QueueFull({ object })
    this.#waiting += 1
    const turn = this.#last.then(() => this.#ask(object, command, body))
    this.#last = turn.catch(() => undefined)
    try {
      return await turn
    } finally {
      this.#waiting -= 1
    }
  }

  close(): void {
    this.#closed = true
    const socket = this.#socket
    this.#socket = undefined
    // Not from one of its own callbacks: the addon does not survive that.
    if (socket !== undefined) setImmediate(() => socket.close())
  }

  async #ask(object: string, command: keyof typeof COMMAND, body: Buffer): Promise<SetAnswer> {
    if (this.#closed) throw kitErrors.Stopped({ object })
    const flags = command === 'create' ? Flags.REQUEST | 0x200 : command === 'list' ? FlagsGet.DUMP : 0
    try {
      const [messages] = await this.#open().request(messageType(command), body, {
        flags,
        timeout: REQUEST_DEADLINE,
        checkError: false,
      })
      const [first] = messages
      const bodies = messages.map(({ data }) => Buffer.concat(Array.isArray(data) ? data : [data]))
      if (first?.type !== ERROR_MESSAGE) return { error: 0, parts: bodies }
      const error = -(bodies[0]?.readInt32LE() ?? 0)
      if (error === 0) return { error: 0, parts: [] }
      return { error, meaning: MEANINGS[error] ?? `error ${error}` }
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause)
      if (text === 'Timeout has been reached')
        throw networkErrors.KernelSilent({ object, expected: `an answer within ${REQUEST_DEADLINE} ms` })
      throw networkErrors.SetRefused({ object, message: `cannot be asked for: ${text}`, cause })
    }
  }

  #open(): NetlinkSocket {
    if (this.#socket === undefined) {
      this.#socket = createNetlink(Protocol.NETFILTER)
      // Without a listener a receive error would end the process; the request it belongs to runs into its deadline.
      this.#socket.on('error', () => undefined)
    }
    return this.#socket
  }
}
