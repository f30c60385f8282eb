/**
 * A connection to the kernel's rtnetlink (rtnetlink(7)) in one network namespace.
 *
 * Requests go out one at a time: the kernel refuses a second dump on the same socket (EBUSY), and the `netlink`
 * package takes a reply that arrives between the parts of a dump for the end of it.
 */
import { createRtNetlink, type NetlinkSendOptions, type RequestOptions, type RtNetlinkSocket } from 'netlink'
import { isDroverError, kitErrors, systemErrorCode } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { inNetworkNamespace } from './network-namespace.ts'

/** Milliseconds after which an unanswered request fails. */
const REQUEST_DEADLINE = 10_000

/** Requests that may wait for their turn. */
const WAITING_LIMIT = 10_000

/** What `RouteSocket.request` passes on to a call of the `netlink` package. */
export type RequestArguments = NetlinkSendOptions & RequestOptions

/** One request as data: to be made alone (`request`) or with many others (`batch`). */
export interface KernelRequest {
  /** What it is about, for the error: `link drover0`. */
  readonly object: string
  /** What is done to it, for the error: `create`. */
  readonly action: string
  readonly call: (socket: RtNetlinkSocket, options: RequestArguments) => Promise<unknown>
  /** Errnos that say that it is already as wanted. */
  readonly satisfiedBy?: readonly string[]
}

/** Requests of a batch that are under way at once: their answers fit into the socket's buffer many times over. */
const BATCH_WINDOW = 64

/** An errno as the cause of a `KernelRefused`, readable by `systemErrorCode`. */
class KernelError extends Error {
  readonly code: string

  constructor(code: string) {
    super(`the kernel answered ${code}`)
    this.name = 'KernelError'
    this.code = code
  }
}

/** The errno (`EEXIST`, `ENODEV`, …) with which the kernel refused; undefined for errors of another kind. */
export function kernelErrorCode(error: unknown): string | undefined {
  return error instanceof Error && error.cause instanceof KernelError
    ? systemErrorCode(error.cause)
    : undefined
}

function translate(error: unknown, object: string, action: string): Error {
  const text = error instanceof Error ? error.message : String(error)
  const refused = /^Request rejected: (\S+)$/.exec(text)
  if (refused?.[1] !== undefined) {
    return networkErrors.KernelRefused({
      object,
      message: `the kernel refused to ${action} it (${refused[1]})`,
      cause: new KernelError(refused[1]),
    })
  }
  if (text === 'Timeout has been reached') {
    return networkErrors.KernelSilent({ object, expected: `an answer within ${REQUEST_DEADLINE} ms` })
  }
  return networkErrors.KernelRefused({ object, message: `cannot ${action} it: ${text}`, cause: error })
}

/**
 * Closes a socket once nothing of it is on the stack: the addon does not survive being closed from one of its own
 * callbacks, and that is where what awaits an answer goes on.
 */
export function closeLater(socket: { close(): void }): void {
  setImmediate(() => socket.close())
}

export class RouteSocket {
  readonly #socket: RtNetlinkSocket
  readonly #place: string
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #closed = false

  private constructor(socket: RtNetlinkSocket, place: string) {
    this.#socket = socket
    this.#place = place
    // Without a listener a receive error would end the process; the request it belongs to runs into its deadline.
    socket.socket.on('error', () => undefined)
  }

  /**
   * Opens a socket in the network namespace of the file `namespace`, or in the process's own.
   *
   * @throws `NamespaceMissing`, `NamespaceRefused`
   */
  static open(namespace?: string): RouteSocket {
    if (namespace === undefined) return new RouteSocket(createRtNetlink(), 'this host')
    return new RouteSocket(
      inNetworkNamespace(namespace, () => createRtNetlink()),
      namespace,
    )
  }

  /**
   * Makes one request when those before it are answered.
   *
   * @param object what it is about, for the error: `link drover0`
   * @param action what is done to it, for the error: `create`
   * @throws `KernelRefused` (see `kernelErrorCode`), `KernelSilent`, `QueueFull`, `Stopped` after `close`
   */
  async request<T>(
    object: string,
    action: string,
    call: (socket: RtNetlinkSocket, options: RequestArguments) => Promise<T>,
  ): Promise<T> {
    return await this.#inTurn(() => this.#call(object, action, call))
  }

  /**
   * Makes many requests in order, without waiting for each one's answer before the next. One that is refused does not
   * keep the others from being made. Requests of others get their turn in between.
   *
   * @returns for every request why it was refused, or undefined when it was not
   * @throws `QueueFull`, `Stopped` when not even that can be said
   */
  async batch(requests: readonly KernelRequest[]): Promise<(Error | undefined)[]> {
    const results: (Error | undefined)[] = []
    for (let first = 0; first < requests.length; first += BATCH_WINDOW) {
      const window = requests.slice(first, first + BATCH_WINDOW)
      results.push(...(await this.#inTurn(() => Promise.all(window.map(request => this.#attempt(request))))))
    }
    return results
  }

  async #attempt({ object, action, call, satisfiedBy = [] }: KernelRequest): Promise<Error | undefined> {
    try {
      await this.#call(object, action, call)
      return undefined
    } catch (error) {
      if (satisfiedBy.includes(kernelErrorCode(error) ?? '')) return undefined
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  async #call<T>(
    object: string,
    action: string,
    call: (socket: RtNetlinkSocket, options: RequestArguments) => Promise<T>,
  ): Promise<T> {
    try {
      return await call(this.#socket, { timeout: REQUEST_DEADLINE })
    } catch (error) {
      throw isDroverError(error) ? error : translate(error, object, action)
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw kitErrors.Stopped({ object: `netlink socket of ${this.#place}` })
    if (this.#waiting >= WAITING_LIMIT)
      throw kitErrors.QueueFull({ object: `netlink socket of ${this.#place}` })
    this.#waiting += 1
    const turn = this.#last
    const { promise: done, resolve: finish } = Promise.withResolvers<void>()
    this.#last = done
    await turn
    try {
      if (this.#closed) throw kitErrors.Stopped({ object: `netlink socket of ${this.#place}` })
      return await work()
    } finally {
      this.#waiting -= 1
      finish()
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    closeLater(this.#socket.socket)
  }
}

/** Runs `use` with a socket in `namespace` and closes it afterwards. */
export async function withRouteSocket<T>(
  namespace: string | undefined,
  use: (socket: RouteSocket) => Promise<T>,
): Promise<T> {
  const socket = RouteSocket.open(namespace)
  try {
    return await use(socket)
  } finally {
    socket.close()
  }
}
