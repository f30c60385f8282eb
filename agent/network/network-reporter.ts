/** Tells the server how the ways to the other hosts are, when that changes. */
import { isDeepStrictEqual } from 'node:util'
import type { Daemon } from '../../kit/index.ts'
import type { PeerState } from '../../netplugins/overlay/index.ts'
import type { AgentMessage, MessageOfType } from '../../protocol/index.ts'

type Report = MessageOfType<AgentMessage, 'network.report'>

/** What is reported on. */
export interface ReportedNetwork {
  readonly kind: string
  readonly ipv6Prefix: string | undefined
  /** What keeps the network from being as it should be. */
  readonly failure: string | undefined
  peerStates(): readonly PeerState[]
  onStatusChanged(listener: () => void): () => void
}

/** Milliseconds for which changes are collected. */
const DELAY = 250
/** Peers that cannot be reached and are told by name. */
const PROBLEM_LIMIT = 100

/** Pure. */
export function networkReport(network: Omit<ReportedNetwork, 'onStatusChanged'>): Report {
  const states = network.peerStates()
  const down = states.filter(({ state }) => state !== 'up')
  const { kind, ipv6Prefix, failure } = network
  return {
    type: 'network.report',
    kind,
    up: states.length - down.length,
    down: down.length,
    problems: down.slice(0, PROBLEM_LIMIT).map(({ name, address, state, reason = '' }) => ({
      host: name,
      address,
      state,
      reason: reason.slice(0, 512),
    })),
    ...(ipv6Prefix === undefined ? {} : { ipv6Prefix }),
    ...(failure === undefined ? {} : { failure: failure.slice(0, 1024) }),
  }
}

export class NetworkReporter implements Daemon {
  readonly name = 'network reports'
  readonly #network: ReportedNetwork
  readonly #send: (report: Report) => void
  #stopListening: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #sent: Report | undefined

  constructor(network: ReportedNetwork, send: (report: Report) => void) {
    this.#network = network
    this.#send = send
  }

  start(): Promise<void> {
    this.#stopListening = this.#network.onStatusChanged(() => this.#changed())
    return Promise.resolve()
  }

  stop(): Promise<void> {
    this.#stopListening?.()
    clearTimeout(this.#timer)
    return Promise.resolve()
  }

  /** Whoever listens now knows nothing yet. */
  sendAgain(): void {
    this.#sent = undefined
    this.#changed()
  }

  #changed(): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      const report = networkReport(this.#network)
      if (isDeepStrictEqual(report, this.#sent)) return
      this.#sent = report
      this.#send(report)
    }, DELAY)
    this.#timer.unref()
  }
}
