/**
 * Notices nodes that have gone silent: their conditions become Unknown and taints keep new pods away, and move off those
 * that are there, until they renew their lease again. When most nodes are silent at once, nothing is moved.
 */
import { type CancelTimer, type Clock, ReconcileLoop } from '../../../kit/index.ts'
import {
  type ClusterClient,
  type EventRecorder,
  type Frozen,
  type JsonObject,
  LEASES,
  type Lease,
  NODES,
  type Node,
} from '../apiserver/index.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { planNode } from './node-health.ts'

/** Milliseconds without a sign of life (kube-controller-manager's node-monitor-grace-period was 40 s for long). */
const GRACE_PERIOD = 40_000
/** Part of the nodes (kube-controller-manager's unhealthy-zone-threshold). */
const MASS_FAILURE = 0.55
const LEASE_NAMESPACE = 'kube-node-lease'

export interface NodeLifecycleOptions extends ControllerOptions {
  readonly events: EventRecorder
}

export class NodeLifecycleController implements Controller {
  readonly #client: ClusterClient
  readonly #clock: Clock
  readonly #events: EventRecorder
  readonly #loop: ReconcileLoop
  /**
   * When each node gave a sign of life last, by this process's clock: the nodes' own clocks may be wrong. In order of
   * time, because every sign moves its node to the end.
   */
  readonly #seen = new Map<string, number>()
  readonly #nodes = new Map<string, Frozen<Node>>()
  readonly #stopObserving: (() => void)[] = []
  #timer: CancelTimer | undefined

  constructor({ client, clock, log, events }: NodeLifecycleOptions) {
    this.#client = client
    this.#clock = clock
    this.#events = events
    this.#loop = new ReconcileLoop({
      name: 'node lifecycle',
      reconcile: async name => {
        await this.#reconcile(name)
        return undefined
      },
      log,
      clock,
    })
  }

  async start(): Promise<void> {
    this.#stopObserving.push(
      await this.#client.observe(NODES, {
        sync: nodes => {
          for (const node of nodes) this.#nodeChanged(node, undefined)
        },
        changed: (node, previous) => this.#nodeChanged(node, previous),
        removed: ({ metadata }) => this.#nodeRemoved(metadata.name),
      }),
      await this.#client.observe(
        LEASES,
        {
          // How old a lease was when this process started says nothing about the node now.
          sync: () => undefined,
          changed: (lease, previous) => this.#leaseChanged(lease, previous),
          removed: () => undefined,
        },
        LEASE_NAMESPACE,
      ),
    )
    this.#loop.start()
  }

  async stop(): Promise<void> {
    for (const stop of this.#stopObserving) stop()
    this.#timer?.()
    await this.#loop.stop()
  }

  #nodeChanged(node: Frozen<Node>, previous: Frozen<Node> | undefined): void {
    const { name } = node.metadata
    const isNew = !this.#nodes.has(name)
    this.#nodes.set(name, node)
    if (isNew || heartbeat(node) !== (previous && heartbeat(previous))) this.#sign(name)
    this.#loop.kick(name)
  }

  #nodeRemoved(name: string): void {
    this.#nodes.delete(name)
    this.#seen.delete(name)
  }

  #leaseChanged(lease: Frozen<Lease>, previous: Frozen<Lease> | undefined): void {
    const { name } = lease.metadata
    if (!this.#nodes.has(name) || lease.spec.renewTime === previous?.spec.renewTime) return
    const wasSilent = this.#isSilent(name)
    this.#sign(name)
    if (!wasSilent) return
    this.#loop.kick(name)
    // Whether the others are lost, or all were, may look different now.
    this.#kickAllSilent()
  }

  #sign(name: string): void {
    this.#seen.delete(name)
    this.#seen.set(name, this.#clock.monotonic())
    if (this.#timer === undefined) this.#schedule(GRACE_PERIOD)
  }

  #isSilent(name: string): boolean {
    const seen = this.#seen.get(name)
    return seen !== undefined && this.#clock.monotonic() - seen >= GRACE_PERIOD
  }

  /** Whether so many nodes are silent that it is more likely this side that is cut off. */
  #isMassFailure(): boolean {
    const now = this.#clock.monotonic()
    let silent = 0
    for (const seen of this.#seen.values()) {
      if (now - seen < GRACE_PERIOD) break
      silent += 1
    }
    return silent > 0 && silent > this.#seen.size * MASS_FAILURE
  }

  #kickAllSilent(): void {
    const now = this.#clock.monotonic()
    for (const [name, seen] of this.#seen) {
      if (now - seen < GRACE_PERIOD) return
      this.#loop.kick(name)
    }
  }

  #schedule(milliseconds: number): void {
    this.#timer = this.#clock.after(milliseconds, () => {
      this.#timer = undefined
      this.#kickSilent()
    })
  }

  /** Kicks nodes that have become silent, and waits for the next one that may. */
  #kickSilent(): void {
    const now = this.#clock.monotonic()
    for (const [name, seen] of this.#seen) {
      const left = seen + GRACE_PERIOD - now
      if (left > 0) {
        this.#schedule(left)
        return
      }
      this.#loop.kick(name)
    }
  }

  async #reconcile(name: string): Promise<void> {
    const node = await this.#client.get(NODES, { namespace: '', name })
    if (node === undefined) return
    const { status, spec, event } = planNode(
      node,
      { silent: this.#isSilent(name), evicts: !this.#isMassFailure() },
      this.#clock.now(),
    )
    if (status !== undefined) await this.#patch(name, status, 'status')
    if (spec !== undefined) await this.#patch(name, spec, '')
    if (event !== undefined) this.#events.record(node, event)
  }

  async #patch(name: string, body: JsonObject, part: '' | 'status'): Promise<void> {
    const type = part === 'status' ? 'strategic' : 'merge'
    await this.#client.patch(NODES, { namespace: '', name }, { type, part, body })
  }
}

/** What changes in a Node whenever its agent reports. */
function heartbeat({ status }: Frozen<Node>): string | undefined {
  return status.conditions?.find(({ type }) => type === 'Ready')?.lastHeartbeatTime
}
