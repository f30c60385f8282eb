/** One HTTPS request to a server whose certificate authority is known. */
import { request as httpsRequest } from 'node:https'
import { httpRequest } from '../../kit/index.ts'
import { protocolErrors } from '../../protocol/index.ts'

export interface PinnedRequest {
  readonly url: URL
  readonly method: 'GET' | 'POST'
  /** PEM; undefined for the one request that is made before anything is known: its answer is checked otherwise. */
  readonly authority: string | undefined
  readonly authorization?: string
  readonly body?: unknown
}

export interface PinnedAnswer {
  readonly status: number
  readonly body: unknown
  /** Of this machine, on the way to the server. */
  readonly localAddress: string | undefined
}

const DEADLINE = 10_000
const ANSWER_LIMIT = 1024 * 1024

/** Codes of TLS for a certificate that the pinned authority did not sign, or that is for another name. */
const UNTRUSTED = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
  'CERT_SIGNATURE_FAILURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'CERT_HAS_EXPIRED',
])

function explainFailure(url: URL, cause: Error & { code?: string }): Error {
  if (UNTRUSTED.has(cause.code ?? '')) {
    return protocolErrors.UntrustedServer({
      object: url.origin,
      message: `shows a certificate that cannot be trusted (${cause.message})`,
      cause,
    })
  }
  return protocolErrors.ServerUnreachable({
    object: url.origin,
    message: `cannot be reached (${cause.message || cause.code})`,
    cause,
  })
}

/** @throws `ServerUnreachable`, `UntrustedServer` */
export function pinnedRequest(options: PinnedRequest): Promise<PinnedAnswer> {
  const { url, method, authority, authorization } = options
  const body = options.body === undefined ? undefined : JSON.stringify(options.body)
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const request = send(
      url,
      {
        method,
        agent: false,
        timeout: DEADLINE,
        ...(authority === undefined ? { rejectUnauthorized: false } : { ca: authority }),
        headers: {
          accept: 'application/json',
          ...(authorization === undefined ? {} : { authorization }),
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        },
      },
      response => {
        const localAddress = response.socket.localAddress
        const chunks: Buffer[] = []
        let size = 0
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > ANSWER_LIMIT) request.destroy(new Error('the answer is too large'))
          else chunks.push(chunk)
        })
        response.on('end', () => {
          let parsed: unknown
          try {
            parsed = JSON.parse(Buffer.concat(chunks).toString('utf8'))
          } catch {
            // Not the answer of a Drover server; its status is all there is to say.
            parsed = undefined
          }
          resolve({ status: response.statusCode ?? 0, body: parsed, localAddress })
        })
      },
    )
    request.on('timeout', () => request.destroy(new Error('no answer in time')))
    request.on('error', cause => reject(explainFailure(url, cause)))
    request.end(body)
  })
}
