/** One question to one name server. */
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import { dnsErrors } from './errors.ts'
import type { Upstream } from './upstream.ts'
import { FLAG, HEADER_SIZE } from './wire.ts'

function samePrefix(left: Buffer, right: Buffer, length: number): boolean {
  if (left.length < length || right.length < length) return false
  const text = (buffer: Buffer) => buffer.toString('latin1', HEADER_SIZE, length).toLowerCase()
  return text(left) === text(right)
}

/** Whether `response` answers `request`: same id, same question. Anything else is somebody's forgery. */
export function answers(response: Buffer, request: Buffer, questionLength: number): boolean {
  return (
    response.length >= HEADER_SIZE &&
    response.readUInt16BE(0) === request.readUInt16BE(0) &&
    (response.readUInt16BE(2) & FLAG.response) !== 0 &&
    response.readUInt16BE(4) === 1 &&
    samePrefix(response, request, HEADER_SIZE + questionLength)
  )
}

function unanswered(upstream: Upstream, cause: unknown): Error {
  return dnsErrors.UpstreamFailed({ object: `name server ${upstream.address}`, cause })
}

/**
 * Asks over UDP, from a port that nobody can guess.
 *
 * @throws `UpstreamFailed`, the signal's reason
 */
export function askByUdp(
  upstream: Upstream,
  request: Buffer,
  questionLength: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  if (signal.aborted) return Promise.reject(signal.reason)
  const socket = createSocket(isIPv6(upstream.address) ? 'udp6' : 'udp4')
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  socket.on('error', error => reject(unanswered(upstream, error)))
  socket.on('message', message => {
    if (answers(message, request, questionLength)) resolve(message)
  })
  // A connected socket takes datagrams from the name server only. With a callback it would not report its errors.
  socket.on('connect', () => socket.send(request))
  socket.connect(upstream.port, upstream.address)
  return promise.finally(() => {
    signal.removeEventListener('abort', onAbort)
    socket.close()
  })
}

/**
 * Asks over TCP (RFC 7766).
 *
 * @throws `UpstreamFailed`, the signal's reason
 */
export function askByTcp(
  upstream: Upstream,
  request: Buffer,
  questionLength: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  if (signal.aborted) return Promise.reject(signal.reason)
  const socket = connect({ host: upstream.address, port: upstream.port })
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  let received: Buffer = Buffer.alloc(0)
  socket.on('error', error => reject(unanswered(upstream, error)))
  socket.on('close', () => reject(unanswered(upstream, 'closed the connection')))
  socket.on('data', (data: Buffer) => {
    received = Buffer.concat([received, data])
    const length = received.length < 2 ? Number.POSITIVE_INFINITY : received.readUInt16BE(0)
    if (received.length < 2 + length) return
    const message = received.subarray(2, 2 + length)
    if (answers(message, request, questionLength)) resolve(message)
    else reject(unanswered(upstream, 'answered something else'))
  })
  const length = Buffer.alloc(2)
  length.writeUInt16BE(request.length)
  socket.write(Buffer.concat([length, request]))
  return promise.finally(() => {
    signal.removeEventListener('abort', onAbort)
    socket.destroy()
  })
}
