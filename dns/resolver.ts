/** Answers queries: from memory where the name is ours, else by asking others. */
import { isIPv6 } from 'node:net'
import { explainError, type Logger } from '../kit/index.ts'
import { addressesIn, followAlias, questionAbout } from './alias-answer.ts'
import type { ClientDirectory } from './client-directory.ts'
import { type ClientView, type Resolution, resolveName } from './client-view.ts'
import type { Forwarder } from './forwarder.ts'
import { addressRecord, ownAnswer } from './own-answer.ts'
import { dottedName, parseQuery, type Query } from './query.ts'
import { QueryCounts } from './query-counts.ts'
import { RateLimit } from './rate-limit.ts'
import { emptyResponse, recordsResponse, refusalResponse, sizeLimit, type Transport } from './response.ts'
import { FLAG, RECORD_TYPE, RESPONSE_CODE } from './wire.ts'

export interface ResolverOptions {
  readonly clients: ClientDirectory
  readonly forwarder: Forwarder
  readonly log: Logger
}

/** What one client asked lately, and what it meant. */
interface Client {
  readonly version: number
  readonly view: ClientView
  readonly resolutions: Map<string, Resolution>
}

/** Clients that are remembered: more than a host has containers. */
const CLIENT_CAPACITY = 4_096
/** Names that are remembered of one client. */
const NAME_CAPACITY = 512
/** Milliseconds that a question of a container waits until it is known what that container is. */
const STRANGER_WAIT = 2_000
/** Questions of unknown containers that may wait at one time. */
const STRANGER_CAPACITY = 256

export class Resolver {
  /** What became of the queries so far. */
  readonly counts = new QueryCounts()
  readonly #options: ResolverOptions
  readonly #clients = new Map<string, Client>()
  readonly #forwards = new RateLimit()
  #strangers = 0

  constructor(options: ResolverOptions) {
    this.#options = options
  }

  /**
   * Answers one message.
   *
   * @param message is not kept after the answer
   * @param address of the client
   * @returns undefined when nothing may be answered; a promise only when something has to be waited for
   */
  answer(
    message: Buffer,
    address: string,
    transport: Transport,
    signal: AbortSignal,
  ): Buffer | undefined | Promise<Buffer | undefined> {
    const parsed = parseQuery(message)
    if (parsed.kind === 'nothing') return undefined
    const client = this.#client(address)
    if (parsed.kind === 'refusal') {
      this.counts.refused += 1
      return refusalResponse(parsed.id, parsed.flags, parsed.code)
    }
    const { query } = parsed
    if (client === undefined) {
      this.counts.refused += 1
      return refusalResponse(query.id, query.flags, RESPONSE_CODE.refused)
    }
    if (query.edns !== undefined && query.edns.version > 0) {
      this.counts.refused += 1
      return emptyResponse(query, RESPONSE_CODE.badVersion)
    }
    const resolution = this.#resolve(query, client)
    if (resolution.kind === 'foreign') return this.#forward(query, message, address, transport, signal)
    if (resolution.kind === 'alias') {
      return this.#alias(query, resolution, client.view, address, transport, signal)
    }
    if (resolution.kind === 'undecided') return this.#wait(query, message, address, transport, signal)
    this.counts.own += 1
    return ownAnswer(query, resolution, transport)
  }

  #client(address: string): Client | undefined {
    const { version } = this.#options.clients
    const present = this.#clients.get(address)
    if (present?.version === version) return present
    const view = this.#options.clients.viewOf(address)
    if (view === undefined) return undefined
    // Every change of a name ends what was remembered: it is cheaper to look again than to know whom it concerns.
    if (this.#clients.size >= CLIENT_CAPACITY) this.#clients.clear()
    const client = { version, view, resolutions: new Map<string, Resolution>() }
    this.#clients.set(address, client)
    return client
  }

  #resolve({ wireName }: Query, { view, resolutions }: Client): Resolution {
    const known = resolutions.get(wireName)
    if (known !== undefined) return known
    const name = dottedName(wireName)
    const resolution: Resolution =
      name === undefined || name === '' ? { kind: 'foreign' } : resolveName(name, view)
    if (resolutions.size >= NAME_CAPACITY) resolutions.clear()
    resolutions.set(wireName, resolution)
    return resolution
  }

  /** A name that stands for another: of ours, or of others, who are asked then. */
  async #alias(
    query: Query,
    alias: Extract<Resolution, { kind: 'alias' }>,
    view: ClientView,
    address: string,
    transport: Transport,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    const { records, target, resolution } = followAlias(alias, view)
    const wantsAddresses = query.type === RECORD_TYPE.A || query.type === RECORD_TYPE.AAAA
    if (!wantsAddresses || resolution.kind !== 'foreign') this.counts.own += 1
    if (!wantsAddresses) return recordsResponse(query, records.slice(0, 1), transport)
    if (resolution.kind === 'addresses') {
      const sixth = query.type === RECORD_TYPE.AAAA
      const own = resolution.addresses.addresses().filter(one => isIPv6(one) === sixth)
      return recordsResponse(
        query,
        [...records, ...own.flatMap(one => addressRecord(target, one))],
        transport,
      )
    }
    if (resolution.kind !== 'foreign') return recordsResponse(query, records, transport)
    const question = questionAbout(target, query)
    if (question === undefined) return this.#failed(query)
    const response = await this.#forward(question.query, question.message, address, 'tcp', signal)
    if (response === undefined) return undefined
    const code = response.readUInt16BE(2) & 0xf
    if (code !== RESPONSE_CODE.noError && code !== RESPONSE_CODE.nameError) return emptyResponse(query, code)
    return recordsResponse(query, [...records, ...addressesIn(response, query.type, target)], transport)
  }

  async #forward(
    query: Query,
    message: Buffer,
    address: string,
    transport: Transport,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    if (!this.#forwards.admit(address)) {
      this.counts.refused += 1
      return emptyResponse(query, RESPONSE_CODE.refused)
    }
    const begin = performance.now()
    try {
      const response = await this.#options.forwarder.ask(query, message, transport, signal)
      this.counts.forwarded += 1
      this.counts.forwardTimes.add((performance.now() - begin) / 1000)
      const limit = transport === 'tcp' ? sizeLimit(query, transport) : query.udpSize
      return response.length <= limit ? response : emptyResponse(query, RESPONSE_CODE.noError, FLAG.truncated)
    } catch (error) {
      if (signal.aborted) return undefined
      this.#options.log.debug({ reason: explainError(error) }, 'a question could not be answered')
      return this.#failed(query)
    }
  }

  #failed(query: Query): Buffer {
    this.counts.failed += 1
    return emptyResponse(query, RESPONSE_CODE.serverFailure)
  }

  /** A container that was just started asks before anybody said which one it is: "no" would be remembered. */
  async #wait(
    query: Query,
    message: Buffer,
    address: string,
    transport: Transport,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    if (this.#strangers >= STRANGER_CAPACITY) return this.#failed(query)
    this.#strangers += 1
    try {
      await this.#options.clients.whenKnown(address, STRANGER_WAIT, signal)
    } finally {
      this.#strangers -= 1
    }
    const client = this.#client(address)
    const resolution: Resolution = client === undefined ? { kind: 'undecided' } : this.#resolve(query, client)
    if (resolution.kind === 'undecided') return this.#failed(query)
    if (resolution.kind === 'foreign') {
      return await this.#forward(query, message, address, transport, signal)
    }
    if (resolution.kind === 'alias') {
      const view = client?.view ?? { kind: 'stranger' as const, kubernetes: undefined }
      return await this.#alias(query, resolution, view, address, transport, signal)
    }
    this.counts.own += 1
    return ownAnswer(query, resolution, transport)
  }
}
