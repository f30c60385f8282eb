/** The connections of all agents. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { isDeepStrictEqual } from 'node:util'
import { WebSocketServer } from 'ws'
import { type Daemon, explainError } from '../../kit/index.ts'
import {
  LINK_MESSAGE_LIMIT,
  type NetworkReport,
  protocolErrors,
  type RuntimeReport,
} from '../../protocol/index.ts'
import { type Authenticator, authErrors } from '../auth/index.ts'
import type { HostController } from '../controller/index.ts'
import { AgentSession, type AgentSessionContext } from './agent-session.ts'
import { refuseUpgrade } from './upgrade.ts'

export class AgentLinks implements Daemon {
  readonly name = 'agent links'
  readonly #context: AgentSessionContext
  readonly #authenticator: Authenticator
  readonly #hostController: HostController
  readonly #websockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: LINK_MESSAGE_LIMIT,
  })
  readonly #sessions = new Map<string, AgentSession>()

  constructor(context: AgentSessionContext, authenticator: Authenticator, hostController: HostController) {
    this.#context = context
    this.#authenticator = authenticator
    this.#hostController = hostController
  }

  start(): Promise<void> {
    const { apiKeys, addressBlocks, networks } = this.#context.model
    apiKeys.onChange((key, previous) => {
      // A revoked key ends what it opened.
      if (key === undefined) this.#closeSessionsOf(previous?.id ?? '')
    })
    addressBlocks.onChange((block, previous) => {
      this.#sessions.get((block ?? previous)?.hostId ?? '')?.sendNetwork()
    })
    this.#context.model.hosts.onChange((host, previous) => {
      // Labels may say which addresses the host has.
      if (host !== undefined && !isDeepStrictEqual(host.labels, previous?.labels)) {
        this.#sessions.get(host.id)?.sendNetwork()
      }
    })
    networks.onChange((network, previous) => this.#sendNetworkOf((network ?? previous)?.clusterId ?? ''))
    return Promise.resolve()
  }

  stop(): Promise<void> {
    for (const session of this.#sessions.values()) session.close('the server stops')
    this.#websockets.close()
    return Promise.resolve()
  }

  get size(): number {
    return this.#sessions.size
  }

  /** How a host's network is, as its agent said last; undefined while it is not connected. */
  networkReport(hostId: string): NetworkReport | undefined {
    return this.#sessions.get(hostId)?.networkReport
  }

  /** What runs a host's pods; undefined while it is not connected. */
  runtimeReport(hostId: string): RuntimeReport | undefined {
    return this.#sessions.get(hostId)?.runtimeReport
  }

  /** The connection of a host. @throws `HostNotConnected` */
  require(hostId: string): AgentSession {
    const session = this.#sessions.get(hostId)
    if (session !== undefined) return session
    const name = this.#context.model.hosts.get(hostId)?.name ?? hostId
    throw protocolErrors.HostNotConnected({ object: `host ${name}` })
  }

  /** Takes over a connection to `/v3/connect`. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Agents are no browsers: a page that makes one open this is an attack.
    if (request.headers.origin !== undefined) {
      refuseUpgrade(socket, 403, 'browsers may not connect here')
      return
    }
    try {
      const principal = this.#authenticator.identify(request.headers.authorization)
      if (principal?.kind !== 'agent') {
        refuseUpgrade(socket, 401, 'the credentials are not those of an agent')
        return
      }
      this.#websockets.handleUpgrade(request, socket, head, websocket => {
        new AgentSession(websocket, principal, this.#context, {
          onHello: (session, hello) => this.#admit(session, hello.host.bootId),
          onWelcome: session => this.#connected(session),
          onClose: (session, reason) => this.#forget(session, reason),
        })
      })
    } catch (error) {
      refuseUpgrade(socket, 401, explainError(error))
    }
  }

  #admit(session: AgentSession, bootId: string): void {
    // Between its handshake and its first word nobody ends the session of a revoked key.
    if (this.#context.model.apiKeys.get(session.keyId)?.state !== 'active') throw authErrors.Unauthorized()
    const present = this.#sessions.get(session.hostId)
    if (present !== undefined && present.bootId !== bootId) {
      const name = this.#context.model.hosts.get(session.hostId)?.name ?? session.hostId
      throw protocolErrors.HostAlreadyConnected({ object: `host ${name}` })
    }
    this.#sessions.set(session.hostId, session)
    // The same boot of the same machine: its agent was restarted, and the old connection is not yet known to be dead.
    present?.close('replaced by a newer connection of the same host')
  }

  #connected(session: AgentSession): void {
    this.#hostController.connectionChanged(session.hostId, true)
    this.#context.health.connectionChanged(session.hostId, true)
    this.#context.replacement.connectionChanged(session.hostId, true)
    this.#context.log.info({ host: session.hostId }, 'an agent connected')
  }

  #sendNetworkOf(clusterId: string): void {
    for (const session of this.#sessions.values()) {
      if (this.#context.model.hosts.get(session.hostId)?.clusterId === clusterId) session.sendNetwork()
    }
  }

  #forget(session: AgentSession, reason: string): void {
    if (this.#sessions.get(session.hostId) !== session) return
    this.#sessions.delete(session.hostId)
    this.#hostController.connectionChanged(session.hostId, false)
    this.#context.health.connectionChanged(session.hostId, false)
    this.#context.replacement.connectionChanged(session.hostId, false)
    this.#context.log.info({ host: session.hostId, reason }, 'an agent disconnected')
  }

  #closeSessionsOf(keyId: string): void {
    for (const session of this.#sessions.values()) {
      if (session.keyId === keyId) session.close('the credentials were revoked')
    }
  }
}
