/** One connected agent. */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Logger } from '../../kit/index.ts'
import {
  type AgentMessage,
  agentMessage,
  LINK_VERSION,
  LinkConnection,
  type MessageOfType,
  type MessagePacker,
  type NetworkAssignment,
  type NetworkReport,
  type OwnMessage,
  protocolErrors,
  type RuntimeReport,
  type ServerMessage,
} from '../../protocol/index.ts'
import type { HostCertificates } from '../auth/index.ts'
import type {
  AddressBlocks,
  BalancerCertificates,
  BalancerReports,
  ContainerSync,
  HealthController,
  HostRegistry,
  NetworkAssignments,
  ReplacementController,
} from '../controller/index.ts'
import type { Host, Model } from '../model/index.ts'
import type { MetadataSource, MetadataSubscription } from './metadata-source.ts'

export interface AgentSessionContext {
  readonly model: Model
  readonly hosts: HostRegistry
  readonly blocks: AddressBlocks
  readonly networks: NetworkAssignments
  readonly sync: ContainerSync
  readonly health: HealthController
  readonly replacement: ReplacementController
  readonly certificates: BalancerCertificates
  readonly balancers: BalancerReports
  readonly hostCertificates: HostCertificates
  readonly metadata: MetadataSource
  /** Shared by all sessions, because they are sent the same. */
  readonly packer: MessagePacker
  readonly log: Logger
}

export interface AgentSessionEvents {
  /** The agent said hello; an error refuses it. */
  readonly onHello: (session: AgentSession, hello: MessageOfType<AgentMessage, 'hello'>) => void
  /** The agent has all that a host needs, an address block included. */
  readonly onWelcome: (session: AgentSession) => void
  readonly onClose: (session: AgentSession, reason: string) => void
}

/** Milliseconds within which an agent says hello. */
const HELLO_DEADLINE = 10_000

export class AgentSession {
  readonly hostId: string
  readonly keyId: string
  /** From hello: which boot of which machine this is. */
  bootId = ''
  readonly #context: AgentSessionContext
  readonly #events: AgentSessionEvents
  readonly #link: LinkConnection<AgentMessage, ServerMessage>
  readonly #helloTimer: NodeJS.Timeout
  #metadata: MetadataSubscription | undefined
  #greeting = false
  #greeted = false
  #ended = false
  #networkReport: NetworkReport | undefined
  #runtimeReport: RuntimeReport | undefined

  constructor(
    socket: WebSocket,
    identity: { readonly hostId: string; readonly keyId: string },
    context: AgentSessionContext,
    events: AgentSessionEvents,
  ) {
    this.hostId = identity.hostId
    this.keyId = identity.keyId
    this.#context = context
    this.#events = events
    this.#link = new LinkConnection<AgentMessage, ServerMessage>({
      socket,
      incoming: agentMessage,
      log: context.log,
      onMessage: message => this.#receive(message),
      onRequest: (method, params) => this.#answer(method, params),
      onClose: reason => this.#closed(reason),
    })
    this.#helloTimer = setTimeout(() => this.close('did not say hello'), HELLO_DEADLINE)
  }

  /** @throws the agent's error, `DeadlineExceeded`, `LinkClosed` */
  request(method: string, params: unknown, deadline: number): Promise<unknown> {
    return this.#link.request(method, params, deadline)
  }

  /** How this host's network is, as its agent said last. */
  get networkReport(): NetworkReport | undefined {
    return this.#networkReport
  }

  /** What the agent said last about what runs its host's pods. */
  get runtimeReport(): RuntimeReport | undefined {
    return this.#runtimeReport
  }

  openStream(kind: string, params: unknown): Duplex {
    return this.#link.openStream(kind, params)
  }

  /** Tells the agent about its network again. */
  sendNetwork(): void {
    if (this.#greeted) this.#link.send({ type: 'network', network: this.#network() })
  }

  close(reason: string): void {
    this.#link.close(reason)
  }

  #receive(message: OwnMessage<AgentMessage>): void {
    const { sync, health, balancers, log } = this.#context
    if (message.type === 'hello') {
      void this.#greet(message).catch(error => {
        log.warn({ err: error, host: this.hostId }, 'refused an agent')
        this.close(error instanceof Error ? error.message : String(error))
      })
      return
    }
    if (!this.#greeted) return
    switch (message.type) {
      case 'containers':
        sync
          .apply(this.hostId, message)
          .catch(error => log.error({ err: error, host: this.hostId }, 'a report of containers was lost'))
        return
      case 'status':
        if (sync.differs(this.hostId, message)) this.#link.send({ type: 'report' })
        return
      case 'network.report':
        this.#networkReport = message
        return
      case 'runtime.report':
        this.#runtimeReport = message
        return
      case 'health.report':
        health.take(this.hostId, message.verdicts)
        return
      case 'balancers.report':
        balancers
          .take(this.hostId, message.balancers)
          .catch(error => log.error({ err: error, host: this.hostId }, 'a report of balancers was lost'))
        return
      case 'metadata.resync':
        this.#metadata?.resync(message.reason)
        return
    }
  }

  async #greet(hello: MessageOfType<AgentMessage, 'hello'>): Promise<void> {
    if (this.#greeting) return
    this.#greeting = true
    clearTimeout(this.#helloTimer)
    if (hello.version !== LINK_VERSION) {
      throw protocolErrors.RequestFailed({
        object: `agent of host ${this.hostId}`,
        message: `speaks version ${hello.version} of the link`,
        expected: `version ${LINK_VERSION}`,
        mend: 'upgrade the agent to the version of the server',
      })
    }
    this.bootId = hello.host.bootId
    this.#events.onHello(this, hello)
    const { hosts, blocks, metadata } = this.#context
    const host = await hosts.describe(this.hostId, hello.host)
    await blocks.ensure(host.clusterId, host.id, 1)
    // An agent may be gone by now; nobody would ever end what is begun for it.
    if (this.#ended) return
    this.#greeted = true
    this.#link.send({
      type: 'welcome',
      hostId: host.id,
      hostUuid: host.uuid,
      clusterId: host.clusterId,
      nodeName: host.nodeName,
      network: this.#network(),
    })
    this.#events.onWelcome(this)
    this.#metadata = metadata.subscribe({
      clusterId: host.clusterId,
      position: hello.metadata,
      backlog: () => this.#link.backlog,
      send: text => this.#link.sendEncoded(this.#context.packer.pack(text)),
    })
  }

  async #answer(method: string, params: unknown): Promise<unknown> {
    if (method === 'balancer.certificates') {
      const service = (params as { service?: unknown } | null)?.service
      return { certificates: this.#context.certificates.forHost(this.hostId, String(service)) }
    }
    if (method === 'host.certificate') {
      const { clusterId, uuid } = this.#host()
      return await this.#context.hostCertificates.issue(
        this.#context.model.clusters.require(clusterId).uuid,
        uuid,
      )
    }
    if (method !== 'network.more')
      throw protocolErrors.RequestFailed({ message: `there is no method ${method}` })
    const host = this.#host()
    const known = (params as { blocks?: unknown } | null)?.blocks
    // The agent says how many blocks it has filled, so that asking twice does not give two.
    const filled = typeof known === 'number' && Number.isInteger(known) && known >= 0 ? known : 0
    await this.#context.blocks.ensure(host.clusterId, host.id, Math.min(filled, MAXIMUM_BLOCKS - 1) + 1)
    return this.#network()
  }

  #host(): Host {
    return this.#context.model.hosts.require(this.hostId)
  }

  #network(): NetworkAssignment {
    return this.#context.networks.of(this.#host())
  }

  #closed(reason: string): void {
    this.#ended = true
    clearTimeout(this.#helloTimer)
    this.#metadata?.close()
    this.#events.onClose(this, reason)
  }
}

/** A host with more blocks than this holds addresses that it does not use. */
const MAXIMUM_BLOCKS = 64
