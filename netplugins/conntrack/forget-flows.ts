/** Deletes flows from the kernel's memory. */
import { createNetlink, FlagsGet, type NetlinkSocket, Protocol } from 'netlink'
import { networkErrors } from '../errors.ts'
import { inNetworkNamespace } from '../netlink/index.ts'
import { decodeFlow, deleteMessage, flowsToMessage, MESSAGE, type UdpFlow } from './flow-messages.ts'

/** Milliseconds after which an unanswered request fails. */
const REQUEST_DEADLINE = 10_000

const ERROR_MESSAGE = 2

const ENOENT = 2
const EINVAL = 22
const EOPNOTSUPP = 95

/** @returns the kernel's errno, and what it told */
async function ask(
  socket: NetlinkSocket,
  object: string,
  type: number,
  body: Buffer,
  flags: number,
): Promise<{ readonly error: number; readonly parts: readonly Buffer[] }> {
  const options = { flags, timeout: REQUEST_DEADLINE, checkError: false }
  const [messages] = await socket.request(type, body, options).catch((cause: unknown) => {
    const text = cause instanceof Error ? cause.message : String(cause)
    if (text === 'Timeout has been reached')
      throw networkErrors.KernelSilent({ object, expected: `an answer within ${REQUEST_DEADLINE} ms` })
    throw networkErrors.KernelRefused({ object, message: `cannot be asked for: ${text}`, cause })
  })
  const parts = messages.map(({ data }) => Buffer.concat(Array.isArray(data) ? data : [data]))
  if (messages[0]?.type !== ERROR_MESSAGE) return { error: 0, parts }
  return { error: -(parts[0]?.readInt32LE() ?? 0), parts: [] }
}

/**
 * Makes the kernel forget UDP flows to a port. On a kernel that tracks connections but tells nobody of them, they are
 * remembered until their clients fall silent.
 *
 * @param port that was asked for, whatever it was translated to
 * @param isStale which of them
 * @param namespace file of the network namespace that remembers them; this process's own when absent
 * @returns how many were forgotten
 * @throws `KernelRefused`, `KernelSilent`, `NamespaceMissing`, `NamespaceRefused`
 */
export async function forgetUdpFlows(
  port: number,
  isStale: (flow: UdpFlow) => boolean,
  namespace?: string,
): Promise<number> {
  const object = `UDP flows to port ${port}`
  const open = () => createNetlink(Protocol.NETFILTER)
  const socket = namespace === undefined ? open() : inNetworkNamespace(namespace, open)
  // Without a listener a receive error would end the process; the request it belongs to runs into its deadline.
  socket.on('error', () => undefined)
  try {
    const { error, parts } = await ask(socket, object, MESSAGE.get, flowsToMessage(port), FlagsGet.DUMP)
    if (error === EINVAL || error === EOPNOTSUPP) return 0
    if (error !== 0) throw networkErrors.KernelRefused({ object, message: `errno ${error}` })
    const flows = parts
      .map(decodeFlow)
      .filter(flow => flow !== undefined)
      .filter(flow => flow.original.destinationPort === port && isStale(flow))
    for (const flow of flows) {
      const answer = await ask(socket, object, MESSAGE.delete, deleteMessage(flow), 0)
      // It ended by itself.
      if (answer.error !== 0 && answer.error !== ENOENT)
        throw networkErrors.KernelRefused({ object, message: `are not deleted: errno ${answer.error}` })
    }
    return flows.length
  } finally {
    // Not from one of its own callbacks: the addon does not survive that.
    setImmediate(() => socket.close())
  }
}
