/** What a request brings to prove who sends it. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Credentials } from '../access/index.ts'

const LONGEST_TOKEN = 16 * 1024

/** Certificates of connections: reading one from OpenSSL for every request would cost more than the request. */
const certificates = new WeakMap<Socket, Uint8Array | null>()

function clientCertificate(socket: Socket): Uint8Array | undefined {
  if (!(socket instanceof TLSSocket)) return undefined
  let certificate = certificates.get(socket)
  if (certificate === undefined) {
    const { raw } = socket.getPeerCertificate()
    certificate = raw === undefined ? null : new Uint8Array(raw)
    certificates.set(socket, certificate)
  }
  return certificate ?? undefined
}

/** Whether the listener believes whoever signed a connection's certificate. */
function isVerified(socket: Socket): boolean {
  return socket instanceof TLSSocket && socket.authorized
}

/** How browsers, whose websockets have no headers, bring a token (Kubernetes API, "WebSocket authentication"). */
const TOKEN_PROTOCOL = /(?:^|,) *base64url\.bearer\.authorization\.k8s\.io\.([A-Za-z0-9_-]+) *(?:,|$)/

function tokenOf({ headers }: IncomingMessage): string | undefined {
  const { authorization, 'sec-websocket-protocol': protocols } = headers
  if (authorization !== undefined) return /^Bearer +(\S+)$/i.exec(authorization)?.[1]
  const [, encoded] = TOKEN_PROTOCOL.exec(protocols ?? '') ?? []
  return encoded && Buffer.from(encoded, 'base64url').toString('utf8')
}

/** The credentials of a request. */
export function credentialsOf(request: IncomingMessage): Credentials {
  const bearerToken = tokenOf(request)
  const certificate = clientCertificate(request.socket)
  return {
    ...(bearerToken === undefined || bearerToken.length > LONGEST_TOKEN ? {} : { bearerToken }),
    ...(certificate === undefined ? {} : { presentedCertificate: certificate }),
    ...(certificate !== undefined && isVerified(request.socket) ? { clientCertificate: certificate } : {}),
  }
}
