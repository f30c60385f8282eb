/** Empties namespaces that are being deleted, then lets them go. */
import { ReconcileLoop, type ReconcileResult } from '../../../kit/index.ts'
import {
  type Condition,
  type Emptied,
  type Frozen,
  formatTime,
  type JsonValue,
  NAMESPACES,
  type Namespace,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'

/** Milliseconds until others are asked again for what they have of a namespace. */
const ASK_AGAIN = 2_000
/** Characters of what is said of them. */
const LONGEST_MESSAGE = 1_024

export interface NamespaceControllerOptions extends ControllerOptions {
  /** Deletes what servers of other parts of the API keep in a namespace. */
  readonly emptyElsewhere: (namespace: string) => Promise<Emptied>
}

/** What a namespace says that waits for others, in Kubernetes' words. @param now milliseconds since 1970 */
function waitingCondition({ failing, remaining }: Emptied, now: number): Condition {
  const lastTransitionTime = formatTime(now)
  if (failing.length > 0) {
    return {
      ...{ type: 'NamespaceDeletionDiscoveryFailure', status: 'True', reason: 'DiscoveryFailed' },
      lastTransitionTime,
      message: `Discovery failed for some groups, ${failing.length} failing: ${failing.join(', ')}`.slice(
        0,
        LONGEST_MESSAGE,
      ),
    }
  }
  return {
    ...{ type: 'NamespaceContentRemaining', status: 'True', reason: 'SomeResourcesRemain' },
    lastTransitionTime,
    message: `Some resources are remaining: ${remaining.join(', ')}`.slice(0, LONGEST_MESSAGE),
  }
}

export class NamespaceController implements Controller {
  readonly #options: NamespaceControllerOptions
  readonly #client: ControllerOptions['client']
  readonly #loop: ReconcileLoop
  #stopObserving: () => void = () => undefined
  /** Who watches what is left in each namespace that is going. */
  readonly #remains = new Map<string, (() => void)[]>()

  constructor(options: NamespaceControllerOptions) {
    const { client, clock, log } = options
    this.#options = options
    this.#client = client
    this.#loop = new ReconcileLoop({
      name: 'namespaces',
      reconcile: name => this.#reconcile(name),
      log,
      clock,
    })
  }

  async start(): Promise<void> {
    const look = ({ metadata }: Frozen<Namespace>) => {
      if (metadata.deletionTimestamp !== undefined) this.#loop.kick(metadata.name)
    }
    this.#stopObserving = await this.#client.observe(NAMESPACES, {
      sync: namespaces => namespaces.forEach(look),
      changed: look,
      removed: ({ metadata }) => this.#forget(metadata.name),
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    this.#stopObserving()
    await this.#loop.stop()
    for (const name of [...this.#remains.keys()]) this.#forget(name)
  }

  #forget(name: string): void {
    for (const stop of this.#remains.get(name) ?? []) stop()
    this.#remains.delete(name)
  }

  async #reconcile(name: string): Promise<ReconcileResult> {
    const namespace = await this.#client.get(NAMESPACES, { namespace: '', name })
    if (namespace?.metadata.deletionTimestamp === undefined) return undefined
    await this.#observeRemains(name)
    const resources = this.#client.namespacedResources()
    const left = await Promise.all(resources.map(resource => this.#client.deleteCollection(resource, name)))
    // Whoever removes the last one kicks this namespace again.
    if (left.some(count => count > 0) || (namespace.spec.finalizers ?? []).length === 0) return undefined
    const elsewhere = await this.#options.emptyElsewhere(name)
    if (elsewhere.failing.length > 0 || elsewhere.remaining.length > 0) {
      await this.#tell(namespace, waitingCondition(elsewhere, this.#options.clock.now()))
      return { requeueAfter: ASK_AGAIN }
    }
    await this.#finalize(namespace)
    return undefined
  }

  async #tell({ metadata, status }: Frozen<Namespace>, condition: Condition): Promise<void> {
    const conditions = status.conditions ?? []
    const present = conditions.find(({ type }) => type === condition.type)
    if (present?.message === condition.message) return
    const others = conditions.filter(({ type }) => type !== condition.type)
    const body = { status: { conditions: [...others, condition] as unknown as JsonValue } }
    await unlessAbsent(async () => {
      await this.#client.patch(
        NAMESPACES,
        { namespace: '', name: metadata.name },
        { type: 'merge', part: 'status', body },
      )
    })
  }

  async #observeRemains(name: string): Promise<void> {
    if (this.#remains.has(name)) return
    const kick = {
      sync: () => undefined,
      changed: () => undefined,
      removed: () => this.#loop.kick(name),
    }
    const resources = this.#client.namespacedResources()
    const stops = await Promise.all(resources.map(resource => this.#client.observe(resource, kick, name)))
    this.#remains.set(name, stops)
  }

  async #finalize(namespace: Frozen<Namespace>): Promise<void> {
    // With its version: a finalizer that somebody adds at this moment must not be lost.
    const draft = { ...structuredClone(namespace as Namespace), spec: {} }
    await unlessAbsent(() => this.#client.update(NAMESPACES, draft, 'finalize'))
  }
}
