/** Requests to the kubelet of a host, each over a connection of its own. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { withDeadline } from '../../../../kit/index.ts'
import { StatusError } from '../status.ts'

/** Milliseconds until a kubelet must have begun to answer. */
const ANSWER_DEADLINE = 30_000

/** Bytes of what a kubelet says of a refusal. */
const REFUSAL_LIMIT = 4_096

interface KubeletRequest {
  readonly method: 'GET' | 'POST'
  /** With the query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
}

type KubeletAnswer =
  | { readonly kind: 'answer'; readonly message: IncomingMessage }
  | { readonly kind: 'upgrade'; readonly message: IncomingMessage; readonly transport: Duplex }

async function send(connection: Duplex, { method, path, headers }: KubeletRequest): Promise<KubeletAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<KubeletAnswer>()
  const request = httpRequest({
    ...{ method, path, createConnection: () => connection },
    headers: { host: 'kubelet', ...headers },
  })
  request.on('response', message => resolve({ kind: 'answer', message }))
  request.on('upgrade', (message, transport, head) => {
    if (head.length > 0) transport.unshift(head)
    resolve({ kind: 'upgrade', message, transport })
  })
  request.on('error', reject)
  request.end()
  try {
    return await withDeadline(ANSWER_DEADLINE, 'answer of a kubelet', () => promise)
  } catch (error) {
    request.destroy()
    connection.destroy()
    throw error
  }
}

/** What a kubelet says is for the client. */
async function refusal(message: IncomingMessage): Promise<StatusError> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= REFUSAL_LIMIT) break
  }
  const text = Buffer.concat(chunks).toString('utf8').slice(0, REFUSAL_LIMIT).trim()
  const { statusCode = 0 } = message
  const words = text === '' ? `the kubelet answered ${statusCode}` : text
  if (statusCode === 400) return new StatusError('BadRequest', words)
  if (statusCode === 404) return new StatusError('NotFound', words)
  return new StatusError('InternalError', words)
}

/**
 * Reads something of a kubelet. The connection ends with the answer.
 *
 * @throws `BadRequest`, `NotFound`, `InternalError` with what the kubelet says, `DeadlineExceeded`, the connection's error
 */
export async function readFromKubelet(connection: Duplex, path: string): Promise<IncomingMessage> {
  const { message } = await send(connection, { method: 'GET', path })
  if (message.statusCode !== 200) throw await refusal(message)
  message.once('close', () => connection.destroy())
  return message
}

/**
 * Changes over to SPDY.
 *
 * @param protocol what is spoken inside of it
 * @throws like `readFromKubelet`
 */
export async function upgradeAtKubelet(connection: Duplex, path: string, protocol: string): Promise<Duplex> {
  const answer = await send(connection, {
    method: 'POST',
    path,
    headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocol },
  })
  if (answer.kind === 'upgrade') return answer.transport
  const error = await refusal(answer.message)
  connection.destroy()
  throw error
}
