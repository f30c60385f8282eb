/** Talks to other hosts without a server: sends what this host found out, and takes in what they did. */
import type { IncomingMessage, request, ServerResponse } from 'node:http'
import { request as secureRequest } from 'node:https'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import {
  type Daemon,
  explainError,
  HttpListener,
  type Logger,
  readJsonBody,
  sendJson,
} from '../../kit/index.ts'
import {
  type HealthVerdict,
  HOST_EXCHANGE_LIMIT,
  HOST_EXCHANGE_PORT,
  type HostCredentials,
  hostVerdicts,
  VERDICTS_PATH,
} from '../../protocol/index.ts'
import type { HostCredentialsKeeper } from './host-credentials.ts'

export interface ExchangePartner {
  readonly hostUuid: string
  readonly address: string
}

export interface HostExchangeOptions {
  /** This host's own, at which others reach it. */
  readonly address: string
  readonly credentials: HostCredentialsKeeper
  readonly partners: () => readonly ExchangePartner[]
  /** Told what another host says; who that is, its certificate says. */
  readonly onVerdicts: (hostUuid: string, verdicts: readonly HealthVerdict[]) => void
  readonly log: Logger
  readonly port?: number
}

/** Milliseconds for one message: what took longer is said again soon. */
const DEADLINE = 1_500

/** How many hosts are talked to at once, and from how many messages are taken in. */
const CONCURRENCY = 32
const CONNECTIONS = 256

export class HostExchange implements Daemon {
  readonly name = 'exchange with other hosts'
  readonly #options: HostExchangeOptions
  #listener: HttpListener | undefined
  #changing: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(options: HostExchangeOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const { credentials } = this.#options
    credentials.onChange(present => this.#listen(present))
    await credentials.load()
    await this.#changing
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#changing
    await this.#listener?.stop()
  }

  /** Tells all other hosts, as far as they can be reached. */
  async send(verdicts: readonly HealthVerdict[]): Promise<void> {
    const { present } = this.#options.credentials
    if (present === undefined || verdicts.length === 0) return
    const body = JSON.stringify({ verdicts })
    const partners = [...this.#options.partners()]
    const work = async () => {
      for (let partner = partners.pop(); partner !== undefined; partner = partners.pop()) {
        try {
          await this.#post(partner, present, body)
        } catch (error) {
          this.#options.log.debug(
            { host: partner.hostUuid, reason: explainError(error) },
            'a host was not reached',
          )
        }
      }
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, work))
  }

  #listen(credentials: HostCredentials): void {
    this.#changing = this.#changing.then(async () => {
      if (this.#stopped) return
      await this.#listener?.stop()
      const { address, port = HOST_EXCHANGE_PORT, log } = this.#options
      this.#listener = new HttpListener({
        name: this.name,
        host: address,
        port,
        maximumConnections: CONNECTIONS,
        tls: {
          ca: credentials.authority,
          cert: credentials.certificate,
          key: credentials.privateKey,
          requestCert: true,
          rejectUnauthorized: true,
          minVersion: 'TLSv1.3',
        },
        onRequest: (incoming, response) => void this.#answer(incoming, response),
      })
      try {
        await this.#listener.start()
      } catch (error) {
        this.#listener = undefined
        log.warn({ reason: explainError(error) }, 'other hosts cannot tell this one what they find out')
      }
    })
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const sender = commonName((incoming.socket as TLSSocket).getPeerCertificate())
      const known = this.#options.partners().some(({ hostUuid }) => hostUuid === sender)
      if (!known || incoming.method !== 'POST' || incoming.url !== VERDICTS_PATH) {
        sendJson(response, 403, {})
        return
      }
      const { verdicts } = hostVerdicts.parse(await readJsonBody(incoming, HOST_EXCHANGE_LIMIT), 'verdicts')
      this.#options.onVerdicts(sender, verdicts)
      sendJson(response, 200, {})
    } catch (error) {
      this.#options.log.debug({ reason: explainError(error) }, 'refused what a host said')
      sendJson(response, 400, {})
    }
  }

  async #post(
    { hostUuid, address }: ExchangePartner,
    credentials: HostCredentials,
    body: string,
  ): Promise<void> {
    const { port = HOST_EXCHANGE_PORT } = this.#options
    await new Promise<void>((resolve, reject) => {
      const outgoing: ReturnType<typeof request> = secureRequest(
        {
          ...{ host: address, port, path: VERDICTS_PATH, method: 'POST', agent: false },
          signal: AbortSignal.timeout(DEADLINE),
          ca: credentials.authority,
          cert: credentials.certificate,
          key: credentials.privateKey,
          minVersion: 'TLSv1.3',
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
          // Who answers is told by its uuid: addresses change hands.
          checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
            commonName(certificate) === hostUuid ? undefined : new Error('another host answers there'),
        },
        response => {
          response.resume()
          response.once('end', () =>
            response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
          )
        },
      )
      outgoing.once('error', reject)
      outgoing.end(body)
    })
  }
}

function commonName(certificate: PeerCertificate): string {
  const name: unknown = certificate.subject?.CN
  return typeof name === 'string' ? name : ''
}
