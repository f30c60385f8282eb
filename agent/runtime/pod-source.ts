/** Learns from the cluster's Kubernetes API which pods this host should run. */
import { type Daemon, explainError, type Logger } from '../../kit/index.ts'
import { Informer, type KubernetesClient, type Pod } from '../../protocol/kubernetes/index.ts'
import type { PodStore } from './pod-store.ts'

export class PodSource implements Daemon {
  readonly name = 'pod source'
  readonly #informer: Informer<Pod>
  readonly #store: PodStore
  readonly #log: Logger
  readonly #onChange: (uid: string) => void
  /** Changes are written in the order in which they came. */
  #writing: Promise<void> = Promise.resolve()

  constructor(
    client: KubernetesClient,
    nodeName: string,
    store: PodStore,
    onChange: (uid: string) => void,
    log: Logger,
  ) {
    this.#store = store
    this.#log = log
    this.#onChange = onChange
    this.#informer = new Informer<Pod>({
      client,
      path: '/api/v1/pods',
      query: { fieldSelector: `spec.nodeName=${nodeName}` },
      log,
      onChange: (pod, previous) => this.#enqueue(pod, previous),
      onSynchronized: () => this.#forgetOthers(),
    })
  }

  async start(): Promise<void> {
    await this.#informer.start()
  }

  async stop(): Promise<void> {
    await this.#informer.stop()
    await this.#writing
  }

  #enqueue(pod: Pod | undefined, previous: Pod | undefined): void {
    this.#writing = this.#writing.then(() => this.#take(pod, previous))
  }

  async #take(pod: Pod | undefined, previous: Pod | undefined): Promise<void> {
    const uid = (pod ?? previous)?.metadata.uid ?? ''
    const before = previous?.metadata.uid
    try {
      if (pod === undefined) this.#store.delete(uid)
      else await this.#store.put(pod)
    } catch (error) {
      // It runs all the same; only a restart without a server would not know it.
      this.#log.error({ err: error, pod: uid }, `a pod was not written to disk: ${explainError(error)}`)
    }
    this.#onChange(uid)
    // Removed and made again under the same name between two looks: the old one has to go.
    if (before !== undefined && before !== uid) {
      this.#store.delete(before)
      this.#onChange(before)
    }
  }

  /** Pods that were kept on disk and that the server does not have any more. */
  #forgetOthers(): void {
    this.#writing = this.#writing.then(() => {
      const wanted = new Set([...this.#informer.values()].map(pod => pod.metadata.uid))
      for (const uid of this.#store.uids()) {
        if (wanted.has(uid)) continue
        this.#store.delete(uid)
        this.#onChange(uid)
      }
    })
  }
}
