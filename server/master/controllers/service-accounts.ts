/** Keeps a service account `default` in every namespace. */
import { ReconcileLoop } from '../../../kit/index.ts'
import {
  type Frozen,
  type KubernetesObject,
  NAMESPACES,
  SERVICE_ACCOUNTS,
  StatusError,
} from '../apiserver/index.ts'
import type { Controller, ControllerOptions } from './controller.ts'

const NAME = 'default'

export class ServiceAccountController implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #loop: ReconcileLoop
  readonly #stopObserving: (() => void)[] = []

  constructor({ client, clock, log }: ControllerOptions) {
    this.#client = client
    this.#loop = new ReconcileLoop({
      name: 'service accounts',
      reconcile: async namespace => {
        await this.#reconcile(namespace)
        return undefined
      },
      log,
      clock,
    })
  }

  async start(): Promise<void> {
    const kickNamespace = (namespace: Frozen<KubernetesObject>) => {
      if (namespace.metadata.deletionTimestamp === undefined) this.#loop.kick(namespace.metadata.name)
    }
    this.#stopObserving.push(
      await this.#client.observe(NAMESPACES, {
        sync: namespaces => namespaces.forEach(kickNamespace),
        changed: (namespace, previous) => {
          if (previous === undefined) kickNamespace(namespace)
        },
        removed: () => undefined,
      }),
      await this.#client.observe(SERVICE_ACCOUNTS, {
        sync: () => undefined,
        changed: () => undefined,
        removed: ({ metadata }) => {
          if (metadata.name === NAME) this.#loop.kick(metadata.namespace ?? '')
        },
      }),
    )
    this.#loop.start()
  }

  async stop(): Promise<void> {
    for (const stop of this.#stopObserving) stop()
    await this.#loop.stop()
  }

  async #reconcile(namespace: string): Promise<void> {
    const owner = await this.#client.get(NAMESPACES, { namespace: '', name: namespace })
    if (owner === undefined || owner.metadata.deletionTimestamp !== undefined) return
    if ((await this.#client.get(SERVICE_ACCOUNTS, { namespace, name: NAME })) !== undefined) return
    try {
      await this.#client.create(SERVICE_ACCOUNTS, {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: NAME, namespace },
      })
    } catch (error) {
      // Somebody else made it, or the namespace began to go: both are fine.
      const expected = ['AlreadyExists', 'NotFound', 'Forbidden']
      if (!(error instanceof StatusError) || !expected.includes(error.reason)) throw error
    }
  }
}
