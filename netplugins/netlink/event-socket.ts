/**
 * A netlink socket that can take a flood of notifications.
 *
 * When a socket's buffer overflows, the kernel marks it as failed (ENOBUFS), and the `netlink` package answers a
 * failed socket by aborting the whole process. So overflows are kept from being reported, and from happening: with a
 * buffer for some thousand events. What is lost nevertheless is found by looking at everything now and then.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createNetlink, type NetlinkSocket, Protocol } from 'netlink'
import { networkErrors } from '../errors.ts'
import { cLibrary } from './c-library.ts'

/** Socket options of socket(7) and netlink(7). */
const SOL_SOCKET = 1
const SO_RCVBUFFORCE = 33
const SOL_NETLINK = 270
const NETLINK_NO_ENOBUFS = 5

/** Bytes of kernel memory. */
const BUFFER_SIZE = 8 * 1024 * 1024

/** The descriptor of the socket that is bound to `port`; the package keeps it to itself. */
function findDescriptor(protocol: Protocol, port: number): number | undefined {
  const rows = readFileSync('/proc/self/net/netlink', 'utf8').split('\n')
  const columns = rows.map(row => row.trim().split(/\s+/))
  const inode = columns.find(row => row[1] === String(protocol) && row[2] === String(port))?.at(-1)
  return readdirSync('/proc/self/fd')
    .map(Number)
    .find(descriptor => {
      try {
        return readlinkSync(`/proc/self/fd/${descriptor}`) === `socket:[${inode}]`
      } catch {
        // The descriptor with which the directory was read is closed by now.
        return false
      }
    })
}

function setOption(descriptor: number, level: number, option: number, value: number): void {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  if (cLibrary().setsockopt(descriptor, level, option, bytes, bytes.length) !== 0) {
    throw networkErrors.KernelRefused({
      object: `option ${option} of a netlink socket`,
      message: 'cannot be set',
    })
  }
}

/**
 * @param protocol which part of the kernel tells
 * @throws `KernelRefused`
 */
export function openEventSocket(protocol: Protocol = Protocol.ROUTE): NetlinkSocket {
  const socket = createNetlink(protocol)
  const descriptor = findDescriptor(protocol, socket.address().port)
  if (descriptor === undefined) {
    socket.close()
    throw networkErrors.KernelRefused({ object: 'netlink socket', message: 'is not among the open files' })
  }
  try {
    setOption(descriptor, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
    setOption(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_SIZE)
  } catch (error) {
    socket.close()
    throw error
  }
  return socket
}
