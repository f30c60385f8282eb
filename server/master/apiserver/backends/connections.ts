/** Connections to backends: opened where they are needed, and kept warm for a moment. */
import { Agent, type AgentOptions, type RequestOptions } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { type Backend, serverName } from './backend.ts'
import { shakeHands } from './handshake.ts'

/** Milliseconds that a connection is kept without use. */
const WARM = 30_000
/** Connections without use to one endpoint: as many as a busy cluster asks at a time, or most would be made anew each time. */
const MOST_WARM = 32

const UNKNOWN_AUTHORITY = 'x509: certificate signed by unknown authority'
/** What people look for when a certificate is wrong: the words that Kubernetes has for it. */
const HANDSHAKE_FAILURES: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  CERT_SIGNATURE_FAILURE: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: 'x509: certificate has expired or is not yet valid',
  CERT_NOT_YET_VALID: 'x509: certificate has expired or is not yet valid',
}

function handshakeFailure(error: Error & { code?: string }, name: string): Error {
  const { code = '' } = error
  const known =
    code === 'ERR_TLS_CERT_ALTNAME_INVALID'
      ? `x509: certificate is not valid for ${name}`
      : HANDSHAKE_FAILURES[code]
  if (known === undefined) return error
  return new Error(`tls: failed to verify certificate: ${known}`, { cause: error })
}

function identityOptions({ identity }: Backend): ConnectionOptions {
  return identity === undefined ? {} : { cert: identity.certificate, key: identity.privateKey }
}

function trustOptions({ trust }: Backend): ConnectionOptions {
  switch (trust.type) {
    case 'authority':
      // Any of the certificates is believed, whoever signed it.
      return { ca: trust.certificates, allowPartialTrustChain: true }
    case 'public':
      return {}
    case 'anyone':
      return { rejectUnauthorized: false }
  }
}

/** Speaks TLS over a connection, which ends with it. @throws why the other end is not who was meant */
export async function secured(connection: Duplex, backend: Backend): Promise<TLSSocket> {
  const name = serverName(backend)
  const servername = /[a-z]/i.test(name) && !name.includes(':') ? name : ''
  const options = { servername, ...trustOptions(backend), ...identityOptions(backend) }
  try {
    return await shakeHands(connection, options, name)
  } catch (error) {
    throw error instanceof Error ? handshakeFailure(error, name) : error
  }
}

/** A place that serves a backend. */
export interface Route {
  /** Connections with the same are the same. */
  readonly key: string
  readonly open: () => Promise<TLSSocket>
}

export type RoutedOptions = RequestOptions & { readonly route: Route }

/** Requests go over warm connections of their route; another is opened where there is none. */
export class WarmConnections extends Agent {
  constructor(options: AgentOptions = {}) {
    super({ keepAlive: true, maxFreeSockets: MOST_WARM, timeout: WARM, scheduling: 'lifo', ...options })
  }

  override getName(options?: RequestOptions): string {
    return (options as RoutedOptions).route.key
  }

  override createConnection(
    options: RequestOptions,
    done?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const opened = (options as RoutedOptions).route.open()
    opened.then(
      socket => done?.(null, socket),
      // Its types know of no failure without a stream.
      (error: Error) => done?.(error, undefined as unknown as Duplex),
    )
    return undefined
  }

  /** Whether a request of this route would not have to wait for a connection. */
  isWarm({ key }: Route): boolean {
    return (this.freeSockets[key] ?? []).length > 0
  }
}
