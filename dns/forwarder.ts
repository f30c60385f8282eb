/** Asks name servers of others: the best first, the next one when it is slow, whoever answers first wins. */
import { randomInt } from 'node:crypto'
import { type Clock, systemClock } from '../kit/index.ts'
import { dnsErrors } from './errors.ts'
import { askByTcp, askByUdp } from './exchange.ts'
import { NegativeCache } from './negative-cache.ts'
import type { Query } from './query.ts'
import { Race } from './race.ts'
import type { Transport } from './response.ts'
import { type ScoredUpstream, type Upstream, UpstreamRanking } from './upstream.ts'
import { FLAG, HEADER_SIZE, RECORD_TYPE, RESPONSE_CODE } from './wire.ts'

export interface ForwarderOptions {
  readonly upstreams: readonly Upstream[]
  readonly clock?: Clock
  /** Milliseconds after which a question is given up. Default 4 000: before common resolvers ask again. */
  readonly deadline?: number
}

const DEFAULT_DEADLINE = 4_000
/** Questions that may wait for answers at one time. */
const CAPACITY = 512
/** Bounds of the time that one gets before the next is asked as well, in milliseconds. */
const SHORTEST_HEAD_START = 20
const LONGEST_HEAD_START = 500

export class Forwarder {
  readonly #clock: Clock
  readonly #deadline: number
  readonly #cache: NegativeCache
  #ranking: UpstreamRanking
  #waiting = 0

  constructor(options: ForwarderOptions) {
    this.#clock = options.clock ?? systemClock
    this.#deadline = options.deadline ?? DEFAULT_DEADLINE
    this.#cache = new NegativeCache(this.#clock)
    this.#ranking = new UpstreamRanking(options.upstreams)
  }

  /** Asks others from now on. */
  setUpstreams(upstreams: readonly Upstream[]): void {
    this.#ranking = new UpstreamRanking(upstreams)
  }

  /**
   * The answer of others to a client's question, addressed to that client.
   *
   * @param message as the client sent it
   * @param transport a client that asked by TCP gets what does not fit into a datagram
   * @throws `NoUpstream`, `UpstreamFailed`, `TooManyQuestions`
   */
  async ask(query: Query, message: Buffer, transport: Transport, signal: AbortSignal): Promise<Buffer> {
    const key = `${query.wireName}${query.type} ${query.flags & FLAG.checkingDisabled} ${query.edns !== undefined}`
    const known = this.#cache.find(key)
    if (known !== undefined) return addressed(known, query)
    if (this.#waiting >= CAPACITY) throw dnsErrors.TooManyQuestions()
    this.#waiting += 1
    try {
      const response = await this.#race(query, message, transport, signal)
      this.#cache.learn(key, response)
      return addressed(response, query)
    } finally {
      this.#waiting -= 1
    }
  }

  async #race(query: Query, message: Buffer, transport: Transport, signal: AbortSignal): Promise<Buffer> {
    const ranking = this.#ranking
    const upstreams = ranking.ranked()
    if (upstreams.length === 0) throw dnsErrors.NoUpstream()
    const race = new Race<ScoredUpstream>({
      // Twice: datagrams get lost.
      candidates: [...upstreams, ...upstreams],
      ask: (upstream, end) => this.#askOne(ranking, upstream, query, message, transport, end),
      headStart: ({ expected }) => Math.min(Math.max(expected * 2, SHORTEST_HEAD_START), LONGEST_HEAD_START),
      signal: AbortSignal.any([signal, AbortSignal.timeout(this.#deadline)]),
      clock: this.#clock,
    })
    return await race.run()
  }

  async #askOne(
    ranking: UpstreamRanking,
    upstream: ScoredUpstream,
    query: Query,
    message: Buffer,
    transport: Transport,
    signal: AbortSignal,
  ): Promise<Buffer> {
    const started = this.#clock.monotonic()
    const request = Buffer.from(message)
    request.writeUInt16BE(randomInt(0x10000), 0)
    const { length } = query.question
    try {
      const response = await askByUdp(upstream, request, length, signal)
      ranking.answered(upstream, this.#clock.monotonic() - started)
      const truncated = (response.readUInt16BE(2) & FLAG.truncated) !== 0
      // Who asked by UDP would have to ask again in any case; who asked by TCP wants all of it.
      if (truncated && transport === 'tcp') return await askByTcp(upstream, request, length, signal)
      return response
    } catch (error) {
      // One that lost the race says no more about itself than that it took so long.
      const elapsed = this.#clock.monotonic() - started
      if (!signal.aborted) ranking.failed(upstream)
      else ranking.answered(upstream, Math.max(elapsed, upstream.expected))
      throw error
    }
  }
}

/** The response with the client's id and its own spelling of the name. */
function addressed(response: Buffer, query: Query): Buffer {
  const answer = Buffer.from(response)
  answer.writeUInt16BE(query.id, 0)
  query.question.copy(answer, HEADER_SIZE)
  const flags = answer.readUInt16BE(2)
  // Some resolvers take "no such name" for the IPv6 address as an answer about the IPv4 address, too.
  if (query.type === RECORD_TYPE.AAAA && (flags & 0xf) === RESPONSE_CODE.nameError) {
    answer.writeUInt16BE((flags & ~0xf) | RESPONSE_CODE.noError, 2)
  }
  return answer
}
