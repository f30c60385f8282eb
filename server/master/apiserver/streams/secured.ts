/** TLS to who is at the other end of a way that leads to nobody else. */
import type { Duplex } from 'node:stream'
import { shakeHands, unreachable } from '../backends/index.ts'

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
  try {
    return await shakeHands(connection, { rejectUnauthorized: false, ...own }, 'the other end')
  } catch (error) {
    throw unreachable(error)
  }
}
