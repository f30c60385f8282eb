/**
 * Ends pods before the host has nothing left, as the kubelet does it: looks at what there is, says in the node's conditions what is
 * scarce, gives back what nobody needs, and then ends one pod after the other until there is enough.
 */
import {
  type Clock,
  type Daemon,
  explainError,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
  systemClock,
} from '../../kit/index.ts'
import type { Pod } from '../../protocol/kubernetes/index.ts'
import { evictionMessage, refusalMessage } from './messages.ts'
import { type Candidate, isCritical, type PodUsage, type Resource, rankPods, resourceOf } from './ranking.ts'
import type { PressureSettings, Signal } from './settings.ts'
import { type Measurements, type PressureCondition, PressureMemory, scarceSignals } from './signals.ts'

export interface EvictionOptions {
  readonly settings: Pick<PressureSettings, 'thresholds' | 'reclaim' | 'transitionPeriod'>
  readonly measure: () => Promise<Measurements>
  /** Pods of which something runs. */
  readonly pods: () => readonly Pod[]
  /** What it uses of what is scarce. */
  readonly usageOf: (pod: Pod, signal: Signal) => Promise<PodUsage | undefined>
  /** Gives a pod up. */
  readonly evict: (pod: Pod, reason: string, message: string) => Promise<void>
  /** Gives disk space back that nobody needs. */
  readonly freeDisk: (signal: Signal) => Promise<void>
  /** What the node has to say of itself has changed. */
  readonly onConditions: () => void
  readonly onHappening: (reason: string, message: string) => void
  readonly isBestEffort: (pod: Pod) => boolean
  readonly log: Logger
  readonly clock?: Clock
}

/** Milliseconds between two looks, and while a pod is being ended. */
const INTERVAL = 10_000
const WAIT = 500
/** Milliseconds that a pod has to be gone; then the next one is looked for. */
const PATIENCE = 30_000

/** Pods that are measured side by side. */
const SIDE_BY_SIDE = 4

const EVICTED = 'Evicted'

interface Ending {
  readonly uid: string
  /** Monotonic milliseconds. */
  readonly until: number
}

export class Eviction implements Daemon {
  readonly name = 'eviction'
  readonly #options: EvictionOptions
  readonly #clock: Clock
  readonly #memory: PressureMemory
  readonly #loop: ReconcileLoop<'host'>
  #scarce: ReadonlySet<Signal> = new Set()
  #conditions: ReadonlySet<PressureCondition> = new Set()
  #ending: Ending | undefined
  readonly #announced = new Set<Resource>()

  constructor(options: EvictionOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#memory = new PressureMemory(options.settings.transitionPeriod)
    this.#loop = new ReconcileLoop<'host'>({
      name: 'eviction',
      log: options.log,
      concurrency: 1,
      deadline: 120_000,
      backoff: { initial: 1_000, maximum: INTERVAL },
      clock: this.#clock,
      reconcile: () => this.look(),
    })
  }

  start(): Promise<void> {
    this.#loop.kick('host')
    this.#loop.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /** What the node lacks, or did until a while ago. */
  conditions(): ReadonlySet<PressureCondition> {
    return this.#conditions
  }

  /** Why a new pod cannot be taken now; undefined when it can. */
  refuse(pod: Pod): { readonly reason: string; readonly message: string } | undefined {
    const conditions = this.#conditions
    if (conditions.size === 0 || isCritical(pod)) return undefined
    const memoryAlone = conditions.size === 1 && conditions.has('MemoryPressure')
    if (memoryAlone && (!this.#options.isBestEffort(pod) || toleratesMemoryPressure(pod))) return undefined
    return { reason: EVICTED, message: refusalMessage(conditions) }
  }

  /** Looks at the host once, and ends one pod at most. */
  async look(): Promise<ReconcileResult> {
    const { pods, freeDisk, log } = this.#options
    if (this.#isEnding()) return { requeueAfter: WAIT }
    let measured = await this.#measure()
    let [signal] = this.#scarce
    if (signal === undefined) return { requeueAfter: INTERVAL }
    const resource = resourceOf(signal)
    this.#announce(resource)
    if (resource === 'ephemeral-storage') {
      await freeDisk(signal).catch((error: unknown) =>
        log.warn({ reason: explainError(error) }, 'unused images were not removed'),
      )
      measured = await this.#measure()
      ;[signal] = this.#scarce
      if (signal === undefined) return { requeueAfter: INTERVAL }
    }
    const ended = await this.#endOne(pods(), signal, resourceOf(signal), measured)
    return { requeueAfter: ended ? WAIT : INTERVAL }
  }

  /** Once each time that something becomes scarce. */
  #announce(resource: Resource): void {
    if (this.#announced.has(resource)) return
    this.#announced.add(resource)
    this.#options.onHappening('EvictionThresholdMet', `Attempting to reclaim ${resource}`)
  }

  #isEnding(): boolean {
    const ending = this.#ending
    if (ending === undefined) return false
    const runs = this.#options.pods().some(({ metadata }) => metadata.uid === ending.uid)
    if (runs && this.#clock.monotonic() < ending.until) return true
    this.#ending = undefined
    return false
  }

  async #measure(): Promise<Measurements> {
    const { settings, measure, onConditions } = this.#options
    const measured = await measure()
    const scarce = scarceSignals(settings, measured, this.#scarce)
    this.#scarce = new Set(scarce)
    const resources = new Set(scarce.map(resourceOf))
    for (const resource of this.#announced) if (!resources.has(resource)) this.#announced.delete(resource)
    this.#memory.note(scarce, this.#clock.monotonic())
    const before = this.#conditions
    this.#conditions = this.#memory.conditions()
    const changed =
      before.size !== this.#conditions.size || [...before].some(each => !this.#conditions.has(each))
    if (changed) onConditions()
    return measured
  }

  async #endOne(
    pods: readonly Pod[],
    signal: Signal,
    resource: Resource,
    measured: Measurements,
  ): Promise<boolean> {
    const { settings, usageOf, evict, log } = this.#options
    const candidates: Candidate[] = []
    const waiting = pods.filter(pod => !isCritical(pod))
    const measure = async () => {
      for (let pod = waiting.pop(); pod !== undefined; pod = waiting.pop()) {
        candidates.push({ pod, usage: await usageOf(pod, signal) })
      }
    }
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, measure))
    // While Docker does not answer nothing can be ended, and nobody knows what ought to be.
    if (candidates.length > 0 && candidates.every(({ usage }) => usage === undefined)) return false
    const [first] = rankPods(candidates, resource)
    if (first === undefined) {
      log.warn({ signal }, 'the host has too little, and there is no pod that may be ended')
      return false
    }
    const threshold = settings.thresholds.get(signal)?.text ?? ''
    const message = evictionMessage(first, resource, threshold, measured.get(signal)?.available ?? 0)
    const { uid = '', name } = first.pod.metadata
    log.warn({ pod: name, signal, message }, 'a pod is ended because the host has too little')
    await evict(first.pod, EVICTED, message)
    this.#ending = { uid, until: this.#clock.monotonic() + PATIENCE }
    return true
  }
}

function toleratesMemoryPressure({ spec }: Pod): boolean {
  const taint = 'node.kubernetes.io/memory-pressure'
  return (spec.tolerations ?? []).some(({ key = '', operator = 'Equal', effect = '' }) => {
    const covers = effect === '' || effect === 'NoSchedule'
    return covers && ((key === '' && operator === 'Exists') || key === taint)
  })
}
