/** TCP connections that begin inside of another network namespace, such as to a service on a pod's loopback. */
import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { networkErrors } from '../errors.ts'
import { cLibrary } from './c-library.ts'
import { inNetworkNamespace } from './network-namespace.ts'

const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const SOCK_NONBLOCK = 0o4000

/** Milliseconds until a connection that nobody answers is given up. */
const DEADLINE = 10_000

function openSocket(namespace: string, family: number): Socket {
  const file = inNetworkNamespace(namespace, () =>
    cLibrary().socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
  )
  if (file < 0) throw networkErrors.NamespaceRefused({ object: `a socket in ${namespace}` })
  try {
    // Reading must not begin before there is a connection.
    return new Socket({ fd: file, manualStart: true, allowHalfOpen: true } as { fd: number })
  } catch (error) {
    closeSync(file)
    throw error
  }
}

async function connectTo(socket: Socket, host: string, port: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  socket.once('error', reject)
  socket.setTimeout(DEADLINE, () => socket.destroy(new Error(`no answer from ${host}:${port}`)))
  socket.connect({ host, port }, resolve)
  try {
    await promise
  } catch (error) {
    socket.destroy()
    throw error
  }
  socket.setTimeout(0)
  socket.off('error', reject)
  return socket
}

/**
 * Connects to a port on the loopback of a network namespace: by IPv4, or by IPv6 where only that answers.
 *
 * @param namespace its file, e.g. `/proc/1234/ns/net`
 * @throws `NamespaceMissing`, `NamespaceRefused`; the system's error when nobody answers
 */
export async function connectInNamespace(namespace: string, port: number): Promise<Socket> {
  try {
    return await connectTo(openSocket(namespace, AF_INET), '127.0.0.1', port)
  } catch (error) {
    try {
      return await connectTo(openSocket(namespace, AF_INET6), '::1', port)
    } catch {
      // What IPv4 says is what the user knows of.
      throw error
    }
  }
}
