/** What a host may ask before it is a member: how to trust this server, and to become one. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Logger, readJsonBody, sendJson, sendText } from '../../kit/index.ts'
import { type Connection, registrationRequest } from '../../protocol/index.ts'
import { type Authenticator, authErrors } from '../auth/index.ts'
import type { HostRegistry } from '../controller/index.ts'
import { sendApiError } from './drover-api.ts'
import { apiErrors } from './errors.ts'

/** A registration request is a few hundred bytes. */
const BODY_LIMIT = 16 * 1024

export class RegistrationApi {
  readonly #hosts: HostRegistry
  readonly #authenticator: Authenticator
  readonly #authority: string
  readonly #tlsPort: number
  readonly #log: Logger

  constructor(
    hosts: HostRegistry,
    authenticator: Authenticator,
    server: { readonly authority: string; readonly tlsPort: number },
    log: Logger,
  ) {
    this.#hosts = hosts
    this.#authenticator = authenticator
    this.#authority = server.authority
    this.#tlsPort = server.tlsPort
    this.#log = log
  }

  /** `GET /v3/connection`: believed only by who knows the authority's checksum. */
  connection(request: IncomingMessage, response: ServerResponse): void {
    const host = (request.headers.host ?? 'localhost').replace(/:\d+$/, '')
    const answer: Connection = { tlsUrl: `https://${host}:${this.#tlsPort}`, authority: this.#authority }
    sendJson(response, 200, answer)
  }

  /** `GET /scripts/ca.crt`: the authority, PEM. */
  authority(response: ServerResponse): void {
    sendText(response, 200, this.#authority)
  }

  /** `POST /v3/register`, with a registration token. */
  async register(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (request.method !== 'POST') throw apiErrors.MethodNotAllowed({ object: 'register' })
      const principal = this.#authenticator.require(request)
      if (principal.kind !== 'registration') throw authErrors.Forbidden({ expected: 'a registration token' })
      const body = registrationRequest.parse(await readJsonBody(request, BODY_LIMIT), 'registration')
      sendJson(response, 201, await this.#hosts.register(body, principal.clusterId))
    } catch (error) {
      sendApiError(response, error, this.#log)
    }
  }
}
