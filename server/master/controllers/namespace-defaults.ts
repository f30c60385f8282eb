/** Keeps what every namespace has: its service account `default`, and the authority that the API's certificate is of. */
import { ReconcileLoop } from '../../../kit/index.ts'
import {
  CONFIG_MAPS,
  type ConfigMap,
  type Frozen,
  type KubernetesObject,
  NAMESPACES,
  type Observer,
  SERVICE_ACCOUNTS,
  StatusError,
} from '../apiserver/index.ts'
import { unlessNamespaceEnds } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'

const ACCOUNT = 'default'
const AUTHORITY = 'kube-root-ca.crt'
const AUTHORITY_KEY = 'ca.crt'

export interface NamespaceDefaultsOptions extends ControllerOptions {
  /** Certificates in PEM that a client of the API has to believe. */
  readonly authority: string
}

/** Calls `work` for which a namespace that begins to go, or another who was faster, is fine. */
async function unlessTooLate(work: () => Promise<unknown>): Promise<void> {
  try {
    await unlessNamespaceEnds(work)
  } catch (error) {
    const expected = ['AlreadyExists', 'Conflict']
    if (!(error instanceof StatusError) || !expected.includes(error.reason)) throw error
  }
}

export class NamespaceDefaultsController implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #authority: string
  readonly #loop: ReconcileLoop
  readonly #stopObserving: (() => void)[] = []

  constructor({ client, clock, log, authority }: NamespaceDefaultsOptions) {
    this.#client = client
    this.#authority = authority
    this.#loop = new ReconcileLoop({
      name: 'defaults of namespaces',
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
    const whenNamed = (name: string): Observer<KubernetesObject> => {
      const kick = ({ metadata }: Frozen<KubernetesObject>) => {
        if (metadata.name === name) this.#loop.kick(metadata.namespace ?? '')
      }
      return {
        sync: () => undefined,
        changed: (object, previous) => {
          if (previous !== undefined) kick(object)
        },
        removed: kick,
      }
    }
    this.#stopObserving.push(
      await this.#client.observe(NAMESPACES, {
        sync: namespaces => namespaces.forEach(kickNamespace),
        changed: (namespace, previous) => {
          if (previous === undefined) kickNamespace(namespace)
        },
        removed: () => undefined,
      }),
      await this.#client.observe(SERVICE_ACCOUNTS, whenNamed(ACCOUNT)),
      await this.#client.observe(CONFIG_MAPS, whenNamed(AUTHORITY)),
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
    await Promise.all([this.#ensureAccount(namespace), this.#ensureAuthority(namespace)])
  }

  async #ensureAccount(namespace: string): Promise<void> {
    if ((await this.#client.get(SERVICE_ACCOUNTS, { namespace, name: ACCOUNT })) !== undefined) return
    const metadata = { name: ACCOUNT, namespace }
    await unlessTooLate(() =>
      this.#client.create(SERVICE_ACCOUNTS, { apiVersion: 'v1', kind: 'ServiceAccount', metadata }),
    )
  }

  async #ensureAuthority(namespace: string): Promise<void> {
    const present = await this.#client.get(CONFIG_MAPS, { namespace, name: AUTHORITY })
    if (present === undefined) {
      const draft = authorityMap(namespace, this.#authority)
      await unlessTooLate(() => this.#client.create(CONFIG_MAPS, draft))
      return
    }
    if (present.data?.[AUTHORITY_KEY] === this.#authority) return
    const body = { data: { [AUTHORITY_KEY]: this.#authority } }
    await unlessTooLate(() =>
      this.#client.patch(CONFIG_MAPS, { namespace, name: AUTHORITY }, { type: 'merge', body }),
    )
  }
}

/** The object that tells a namespace's pods whom to believe. */
export function authorityMap(namespace: string, authority: string) {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: AUTHORITY,
      namespace,
      annotations: {
        'kubernetes.io/description':
          'The certificates of the authority that the API of this cluster proves itself by.',
      },
    },
    data: { [AUTHORITY_KEY]: authority },
  } satisfies ConfigMap
}
