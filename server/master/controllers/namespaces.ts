/** Empties namespaces that are being deleted, then lets them go. */
import { ReconcileLoop } from '../../../kit/index.ts'
import { type Frozen, NAMESPACES, type Namespace } from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'

export class NamespaceController implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #loop: ReconcileLoop
  #stopObserving: () => void = () => undefined
  /** Who watches what is left in each namespace that is going. */
  readonly #remains = new Map<string, (() => void)[]>()

  constructor({ client, clock, log }: ControllerOptions) {
    this.#client = client
    this.#loop = new ReconcileLoop({
      name: 'namespaces',
      reconcile: async name => {
        await this.#reconcile(name)
        return undefined
      },
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

  async #reconcile(name: string): Promise<void> {
    const namespace = await this.#client.get(NAMESPACES, { namespace: '', name })
    if (namespace?.metadata.deletionTimestamp === undefined) return
    await this.#observeRemains(name)
    const resources = this.#client.namespacedResources()
    const left = await Promise.all(resources.map(resource => this.#client.deleteCollection(resource, name)))
    // Whoever removes the last one kicks this namespace again.
    if (left.some(count => count > 0) || (namespace.spec.finalizers ?? []).length === 0) return
    await this.#finalize(namespace)
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
