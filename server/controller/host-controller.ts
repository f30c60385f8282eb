/** Follows whether hosts are there, and removes those that should go. */
import {
  type Clock,
  type Daemon,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
  systemClock,
} from '../../kit/index.ts'
import { STATUS_INTERVAL } from '../../protocol/index.ts'
import type { Host, Model } from '../model/index.ts'
import type { AddressBlocks } from './address-blocks.ts'
import { markRemoving } from './cluster-controller.ts'

/** A host is `reconnecting` after so many milliseconds without a word: two missed status packets. */
const RECONNECTING_AFTER = 2 * STATUS_INTERVAL
/** And `disconnected` after so many. */
const DISCONNECTED_AFTER = RECONNECTING_AFTER + 180_000

/** What the host controller needs from the embedded master. */
export interface NodeRemover {
  /** Removes a node and ends the pods that were on it. Idempotent. */
  removeNode(clusterId: string, nodeName: string): Promise<void>
}

/** The state of a host that has been silent for so many milliseconds. */
function agentStateAfter(silence: number): Host['agentState'] {
  if (silence >= DISCONNECTED_AFTER) return 'disconnected'
  return silence >= RECONNECTING_AFTER ? 'reconnecting' : 'active'
}

export class HostController implements Daemon {
  readonly name = 'host controller'
  readonly #model: Model
  readonly #blocks: AddressBlocks
  readonly #nodes: NodeRemover
  readonly #clock: Clock
  readonly #loop: ReconcileLoop
  /** When each host was last heard of; a connected one is heard of now. Monotonic milliseconds. */
  readonly #lastSeen = new Map<string, number>()
  readonly #connected = new Set<string>()
  #startedAt = 0

  constructor(model: Model, blocks: AddressBlocks, nodes: NodeRemover, log: Logger, clock = systemClock) {
    this.#model = model
    this.#blocks = blocks
    this.#nodes = nodes
    this.#clock = clock
    this.#loop = new ReconcileLoop({ name: 'host', log, clock, reconcile: id => this.#reconcile(id) })
  }

  start(): Promise<void> {
    // A server that was down heard nobody; its own absence is no fault of the hosts.
    this.#startedAt = this.#clock.monotonic()
    this.#model.hosts.onChange((host, previous) => {
      if (host?.state !== previous?.state) this.#loop.kick((host ?? previous)?.id ?? '')
    })
    for (const host of this.#model.hosts.all()) this.#loop.kick(host.id)
    this.#loop.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /** Its agent opened (or closed) its connection. */
  connectionChanged(hostId: string, connected: boolean): void {
    if (connected) this.#connected.add(hostId)
    else {
      this.#connected.delete(hostId)
      this.#lastSeen.set(hostId, this.#clock.monotonic())
    }
    this.#loop.kick(hostId)
  }

  async #reconcile(id: string): Promise<ReconcileResult> {
    const host = this.#model.hosts.get(id)
    if (host === undefined) return undefined
    if (host.state === 'removing') {
      await this.#remove(host)
      return undefined
    }
    const silence = this.#connected.has(id)
      ? 0
      : this.#clock.monotonic() - (this.#lastSeen.get(id) ?? this.#startedAt)
    const wanted = agentStateAfter(silence)
    await this.#model.hosts.update(id, current => {
      const waiting = current.agentState === 'registering' && !this.#connected.has(id)
      return waiting || current.agentState === wanted ? current : { ...current, agentState: wanted }
    })
    if (this.#connected.has(id) || wanted === 'disconnected') return undefined
    const next = wanted === 'active' ? RECONNECTING_AFTER : DISCONNECTED_AFTER
    return { requeueAfter: Math.max(0, next - silence) }
  }

  async #remove(host: Host): Promise<void> {
    // Without credentials its agent is refused from now on.
    for (const { id } of this.#model.apiKeys.where('host', host.id)) await this.#model.apiKeys.delete(id)
    await this.#nodes.removeNode(host.clusterId, host.nodeName)
    for (const unit of this.#model.deploymentUnits.all()) {
      if (unit.hostId === host.id) await this.#model.deploymentUnits.update(unit.id, markRemoving)
    }
    for (const container of this.#model.containers.where('host', host.id)) {
      if (container.deploymentUnitId === undefined) await this.#model.containers.delete(container.id)
    }
    await this.#blocks.release(host.id)
    await this.#model.hosts.delete(host.id)
    this.#lastSeen.delete(host.id)
  }
}
