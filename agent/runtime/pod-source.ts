/** Learns from the cluster's Kubernetes API which pods this host should run. */
import { type Daemon, explainError, type Logger } from '../../kit/index.ts'
import {
  Informer,
  isMirror,
  isStatic,
  type KubernetesClient,
  type Pod,
  STATIC_POD,
} from '../../protocol/kubernetes/index.ts'
import type { PodStore } from './pod-store.ts'

export interface PodSourceOptions {
  readonly client: KubernetesClient
  readonly nodeName: string
  readonly store: PodStore
  readonly onChange: (uid: string) => void
  /** What the cluster shows of static pods of this host came, changed or went. */
  readonly onMirror: (mirror: Pod | undefined, previous: Pod | undefined) => void
  readonly log: Logger
}

/** Whatever it says: it does not come from a file of this host. */
function asOfCluster(pod: Pod): Pod {
  if (pod.metadata.annotations?.[STATIC_POD.source] === undefined) return pod
  const { [STATIC_POD.source]: _, ...annotations } = pod.metadata.annotations
  return { ...pod, metadata: { ...pod.metadata, annotations } }
}

export class PodSource implements Daemon {
  readonly name = 'pod source'
  readonly #informer: Informer<Pod>
  readonly #store: PodStore
  readonly #log: Logger
  readonly #onChange: (uid: string) => void
  readonly #onMirror: PodSourceOptions['onMirror']
  /** Changes are written in the order in which they came. */
  #writing: Promise<void> = Promise.resolve()

  constructor({ client, nodeName, store, onChange, onMirror, log }: PodSourceOptions) {
    this.#store = store
    this.#log = log
    this.#onChange = onChange
    this.#onMirror = onMirror
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
    const of = (each: Pod | undefined, mirror: boolean) =>
      each !== undefined && isMirror(each) === mirror ? each : undefined
    const [mirror, previousMirror] = [of(pod, true), of(previous, true)]
    if (mirror !== undefined || previousMirror !== undefined) this.#onMirror(mirror, previousMirror)
    const [own, previousOwn] = [of(pod, false), of(previous, false)]
    if (own === undefined && previousOwn === undefined) return
    this.#writing = this.#writing.then(() => this.#take(own, previousOwn))
  }

  async #take(pod: Pod | undefined, previous: Pod | undefined): Promise<void> {
    const uid = (pod ?? previous)?.metadata.uid ?? ''
    const before = previous?.metadata.uid
    try {
      if (pod === undefined) this.#store.delete(uid)
      else await this.#store.put(asOfCluster(pod))
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
        const pod = this.#store.get(uid)
        if (wanted.has(uid) || (pod !== undefined && isStatic(pod))) continue
        this.#store.delete(uid)
        this.#onChange(uid)
      }
    })
  }
}
