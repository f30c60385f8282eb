/** TLS to who is at the other end of a way that leads to nobody else. */
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { atMost, explainError } from '../../../../kit/index.ts'
import { StatusError } from '../status.ts'

/** Milliseconds for the handshake. */
const HANDSHAKE_DEADLINE = 10_000

/**
 * Whose certificate it is does not matter: the connection leads where it should, and nobody can say what it should bear.
 *
 * @param own certificate and key in PEM, for who asks for one
 * @throws `ServiceUnavailable`
 */
export async function secured(
  connection: Duplex,
  own: { readonly cert?: string; readonly key?: string } = {},
): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = connectTls({ socket: connection, rejectUnauthorized: false, ...own }, resolve)
  socket.on('error', reject)
  socket.once('close', () => {
    connection.destroy()
    reject(new Error('the connection ended before it was secure'))
  })
  try {
    await atMost(HANDSHAKE_DEADLINE, 'TLS handshake', promise)
    return socket
  } catch (error) {
    socket.destroy()
    throw unreachable(error)
  }
}

export function unreachable(error: unknown): StatusError {
  return new StatusError('ServiceUnavailable', `error trying to reach service: ${explainError(error)}`)
}
