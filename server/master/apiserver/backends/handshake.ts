/** TLS over a connection that leads somewhere already. */
import type { Duplex } from 'node:stream'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { atMost } from '../../../../kit/index.ts'

/** Milliseconds for the handshake. */
const HANDSHAKE_DEADLINE = 10_000

/**
 * @param connection ends with the result, or when there is none
 * @param who is at the other end, for errors
 * @throws why they do not understand or believe each other, `DeadlineExceeded`
 */
export async function shakeHands(
  connection: Duplex,
  options: Omit<ConnectionOptions, 'socket'>,
  who: string,
): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let socket: TLSSocket
  try {
    socket = connectTls({ ...options, socket: connection }, resolve)
  } catch (error) {
    // Certificates that are none.
    connection.destroy()
    throw error
  }
  socket.on('error', reject)
  socket.once('close', () => {
    connection.destroy()
    reject(new Error('the connection ended before it was secure'))
  })
  try {
    await atMost(HANDSHAKE_DEADLINE, `TLS handshake with ${who}`, promise)
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
}
