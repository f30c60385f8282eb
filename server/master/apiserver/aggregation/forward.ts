/** Requests that others answer: sent on with who asks, and their answers sent back as they come. */
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { request as httpRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { systemErrorCode } from '../../../../kit/index.ts'
import type { Identity } from '../access/index.ts'
import type { Backend, BackendClient, ClusterView } from '../backends/index.ts'
import { hostOf, unreachable } from '../backends/index.ts'
import { forwardedHeaders, identityHeaders } from './identity-headers.ts'

/** Milliseconds until an answer has to begin. */
const DEADLINE = 60_000
/** Have no body, and may be sent again. */
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD'])
const ENDED: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE'])
/** Of one connection only. */
const NOT_RETURNED = /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/

export interface Forwarding {
  readonly cluster: ClusterView
  readonly backend: Backend
  readonly identity: Identity
  readonly request: IncomingMessage
  /** With the query. */
  readonly path: string
}

function headersOf({ request, identity }: Forwarding): OutgoingHttpHeaders {
  return { ...forwardedHeaders(request.headers), ...identityHeaders(identity) }
}

/**
 * The answer to a request that was begun.
 *
 * @param instead what may come instead: then the connection is somebody else's, and no deadline ends it
 * @throws why there is none
 */
async function answerTo(outgoing: ClientRequest, instead?: Promise<unknown>): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  outgoing.once('response', resolve)
  outgoing.once('error', reject)
  outgoing.once('close', () => reject(new Error('EOF')))
  instead?.then(() => reject(new Error('the other end speaks another protocol')), reject)
  const timer = setTimeout(
    () => outgoing.destroy(new Error(`no answer within ${DEADLINE / 1000} s`)),
    DEADLINE,
  )
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

async function sendBack(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  const headers = Object.entries(answer.headers).filter(([name]) => !NOT_RETURNED.test(name))
  response.writeHead(answer.statusCode ?? 502, Object.fromEntries(headers))
  // Watches tell nothing for a while, and their clients wait for the headers.
  response.flushHeaders()
  await pipeline(answer, response)
}

/** Sends a request on, and its answer back. @throws `ServiceUnavailable` */
export async function forward(
  client: BackendClient,
  forwarding: Forwarding,
  response: ServerResponse,
): Promise<void> {
  const { cluster, backend, request, path } = forwarding
  const { method = 'GET' } = request
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const headers = headersOf(forwarding) as Record<string, string | readonly string[]>
  const isBodiless = BODILESS.has(method)
  if (isBodiless) {
    delete headers['content-length']
    request.resume()
  }
  for (;;) {
    let outgoing: ClientRequest | undefined
    let answer: IncomingMessage
    try {
      const opened = await client.open(cluster, backend, { method, path, headers, signal: gone.signal })
      outgoing = opened
      if (isBodiless) opened.end()
      else pipeline(request, opened).catch(error => opened.destroy(error))
      answer = await answerTo(opened)
    } catch (error) {
      // A warm connection may have ended at the other side; every one that fails so is used up.
      const isStale = outgoing?.reusedSocket === true && ENDED.has(systemErrorCode(error) ?? '')
      if (isBodiless && isStale && !gone.signal.aborted) continue
      throw unreachable(error)
    }
    return await sendBack(answer, response)
  }
}

export interface ForwardedUpgrade {
  readonly socket: Duplex
  readonly head: Buffer
  /** Called at the moment when an answer that refuses is no longer possible. */
  readonly accept: () => void
  /** For an answer that is none in the other protocol. */
  readonly response: ServerResponse
}

/** Bytes pass both ways after a real 101; any other answer is an answer. @throws `ServiceUnavailable` */
export async function forwardUpgrade(
  client: BackendClient,
  forwarding: Forwarding,
  { socket, head, accept, response }: ForwardedUpgrade,
): Promise<void> {
  const { cluster, backend, request, path } = forwarding
  let connection: Duplex | undefined
  try {
    const opened = await client.connect(cluster, backend)
    connection = opened
    socket.once('close', () => opened.destroy())
    const outgoing = httpRequest({
      method: request.method ?? 'GET',
      path,
      createConnection: () => opened,
      headers: {
        ...headersOf(forwarding),
        host: hostOf(backend),
        connection: 'Upgrade',
        upgrade: request.headers.upgrade ?? '',
      },
    })
    const switched = Promise.withResolvers<readonly [IncomingMessage, Duplex, Buffer]>()
    outgoing.once('upgrade', (...parts) => switched.resolve(parts))
    outgoing.on('error', error => switched.reject(error))
    const answered = answerTo(outgoing.end(), switched.promise)
    const first = await Promise.race([switched.promise, answered.then(answer => ({ answer }))])
    switched.promise.catch(() => undefined)
    answered.catch(() => undefined)
    if ('answer' in first) {
      response.setHeader('connection', 'close')
      await sendBack(first.answer, response)
      opened.destroy()
      return
    }
    const [answer, remote, remoteHead] = first
    accept()
    socket.write(headOf(answer))
    if (remoteHead.length > 0) socket.write(remoteHead)
    if (head.length > 0) remote.write(head)
    await Promise.all([pipeline(socket, remote), pipeline(remote, socket)])
  } catch (error) {
    connection?.destroy()
    throw unreachable(error)
  }
}

/** The first lines of a 101, as they came. */
function headOf({ rawHeaders }: IncomingMessage): string {
  const lines = ['HTTP/1.1 101 Switching Protocols']
  for (let index = 0; index + 1 < rawHeaders.length; index += 2)
    lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}
