/**
 * Follows the cluster's services and endpoint slices, and keeps the last that was known of them on disk: names are
 * answered also when no server can be asked.
 */
import path from 'node:path'
import {
  type CancelTimer,
  type Clock,
  type Daemon,
  explainError,
  type Logger,
  makePrivateDirectory,
  readJsonFile,
  removeInterruptedWrites,
  systemClock,
  validatorOf,
  writeFileDurably,
} from '../../../../kit/index.ts'
import {
  type EndpointSlice,
  Informer,
  type KubernetesClient,
  type Service,
} from '../../../../protocol/kubernetes/index.ts'
import { KubernetesNames } from './kubernetes-names.ts'
import { keptRecords, serviceRecordOf, sliceRecordOf } from './records.ts'

export interface KubernetesSourceOptions {
  readonly client: KubernetesClient
  /** Of its own; made when it is missing. */
  readonly directory: string
  readonly log: Logger
  /** The machine's clock unless a test says otherwise. */
  readonly clock?: Clock
}

/** Milliseconds for which changes are collected before they are written. */
const WRITE_DELAY = 5_000
const FILE = 'names.json'

const kept = validatorOf(keptRecords)

export class KubernetesSource implements Daemon {
  readonly name = 'names of Kubernetes'
  readonly names = new KubernetesNames()
  readonly #options: KubernetesSourceOptions
  readonly #services: Informer<Service>
  readonly #slices: Informer<EndpointSlice>
  #timer: CancelTimer | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(options: KubernetesSourceOptions) {
    this.#options = options
    const { client, log } = options
    this.#services = new Informer<Service>({
      client,
      path: '/api/v1/services',
      log,
      onChange: (service, previous) => this.#serviceChanged(service, previous),
      onSynchronized: () => this.#forgetServices(),
    })
    this.#slices = new Informer<EndpointSlice>({
      client,
      path: '/apis/discovery.k8s.io/v1/endpointslices',
      log,
      onChange: (slice, previous) => this.#sliceChanged(slice, previous),
      onSynchronized: () => this.#forgetSlices(),
    })
  }

  /** Resolves when what was kept is known. */
  async start(): Promise<void> {
    const { directory } = this.#options
    await makePrivateDirectory(directory)
    await removeInterruptedWrites(directory)
    await this.#load()
    await this.#services.start()
    await this.#slices.start()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#services.stop(), this.#slices.stop()])
    if (this.#timer !== undefined) this.#write()
    await this.#writing
  }

  #serviceChanged(service: Service | undefined, previous: Service | undefined): void {
    if (service !== undefined) this.names.putService(serviceRecordOf(service))
    else if (previous !== undefined) this.names.removeService(serviceRecordOf(previous))
    this.#changed()
  }

  #sliceChanged(slice: EndpointSlice | undefined, previous: EndpointSlice | undefined): void {
    const record = slice && sliceRecordOf(slice)
    const { namespace = '', name = '' } = (slice ?? previous)?.metadata ?? {}
    if (record === undefined) this.names.removeSlice({ namespace, name })
    else this.names.putSlice(record)
    this.#changed()
  }

  /** Services that were kept and that there are none of any more. */
  #forgetServices(): void {
    for (const record of this.names.services()) {
      if (this.#services.get(record.namespace, record.name) !== undefined) continue
      this.names.removeService(record)
      this.#changed()
    }
  }

  #forgetSlices(): void {
    for (const record of this.names.slices()) {
      if (this.#slices.get(record.namespace, record.name) !== undefined) continue
      this.names.removeSlice(record)
      this.#changed()
    }
  }

  #changed(): void {
    const { clock = systemClock } = this.#options
    this.#timer ??= clock.after(WRITE_DELAY, () => this.#write())
  }

  #write(): void {
    this.#timer?.()
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#writeNow())
  }

  async #writeNow(): Promise<void> {
    const { directory, log } = this.#options
    const content = { services: this.names.services(), slices: this.names.slices() }
    try {
      await writeFileDurably(path.join(directory, FILE), JSON.stringify(content))
    } catch (error) {
      log.warn({ err: error }, `names of Kubernetes were not written to disk: ${explainError(error)}`)
    }
  }

  /** A file that makes no sense is left out: the server will say what there is. */
  async #load(): Promise<void> {
    const { directory, log } = this.#options
    try {
      const content = await readJsonFile(path.join(directory, FILE), kept)
      for (const service of content?.services ?? []) this.names.putService(service)
      for (const slice of content?.slices ?? []) this.names.putSlice(slice)
    } catch (error) {
      log.warn({ err: error }, `kept names of Kubernetes were not understood: ${explainError(error)}`)
    }
  }
}
