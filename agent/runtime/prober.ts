/** Probes the containers of this host's pods, each at its own pace, and remembers what that says. */
import { type CancelTimer, type Clock, type Logger, systemClock } from '../../kit/index.ts'
import type { Container, Probe } from '../../protocol/kubernetes/index.ts'
import type { HandlerTarget, Outcome } from './handlers.ts'
import type { ContainerView } from './pod-view.ts'
import { NOT_PROBED, nextState, PROBE_DEFAULTS, type ProbeKind, type ProbeState } from './probe-state.ts'

/** A run of a container that is to be probed. */
export interface ProbedRun {
  readonly run: ContainerView
  readonly container: Container
  readonly podIp: string
}

export interface ProberOptions {
  readonly perform: (
    probe: Probe,
    target: HandlerTarget,
    milliseconds: number,
    signal: AbortSignal,
  ) => Promise<Outcome>
  /** What is known of a pod's containers has changed. */
  readonly onChange: (uid: string) => void
  /** A probe failed; so far, that need not mean anything. */
  readonly onFailure: (uid: string, container: string, kind: ProbeKind, message: string) => void
  readonly log: Logger
  readonly clock?: Clock
}

const KINDS: readonly ProbeKind[] = ['startup', 'liveness', 'readiness']

function probeOf(container: Container, kind: ProbeKind): Probe | undefined {
  return {
    startup: container.startupProbe,
    liveness: container.livenessProbe,
    readiness: container.readinessProbe,
  }[kind]
}

interface Worker {
  readonly probe: Probe
  state: ProbeState
  message: string
  cancel: CancelTimer | undefined
}

interface ProbedContainer {
  readonly uid: string
  readonly target: HandlerTarget
  readonly workers: Map<ProbeKind, Worker>
  readonly abort: AbortController
}

export class Prober {
  readonly #options: ProberOptions
  readonly #clock: Clock
  /** By Docker's id: another run is another container. */
  readonly #containers = new Map<string, ProbedContainer>()
  readonly #byPod = new Map<string, Set<string>>()
  #stopped = false

  constructor(options: ProberOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  stop(): void {
    this.#stopped = true
    for (const id of [...this.#containers.keys()]) this.#end(id)
  }

  /** These runs of a pod are to be probed, and no others. */
  follow(uid: string, runs: readonly ProbedRun[]): void {
    const wanted = new Set(runs.map(({ run }) => run.details.id))
    for (const id of this.#byPod.get(uid) ?? []) if (!wanted.has(id)) this.#end(id)
    for (const each of runs) if (!this.#containers.has(each.run.details.id)) this.#begin(uid, each)
  }

  /** Whether the run has got through its start, as far as probes say it. */
  started({ details }: ContainerView, container: Container): boolean {
    if (container.startupProbe === undefined) return true
    return this.#verdict(details.id, 'startup') === 'success'
  }

  ready({ details }: ContainerView, container: Container): boolean {
    if (container.readinessProbe === undefined) return true
    return this.#verdict(details.id, 'readiness') === 'success'
  }

  /** The probe by which a run is found not to work, with what it says; undefined when it works. */
  failure(
    dockerId: string,
  ): { readonly kind: ProbeKind; readonly probe: Probe; readonly message: string } | undefined {
    for (const kind of ['startup', 'liveness'] as const) {
      const worker = this.#containers.get(dockerId)?.workers.get(kind)
      if (worker?.state.verdict === 'failure') return { kind, probe: worker.probe, message: worker.message }
    }
    return undefined
  }

  #verdict(id: string, kind: ProbeKind): ProbeState['verdict'] {
    return this.#containers.get(id)?.workers.get(kind)?.state.verdict ?? 'unknown'
  }

  #begin(uid: string, { run, container, podIp }: ProbedRun): void {
    if (this.#stopped || KINDS.every(kind => probeOf(container, kind) === undefined)) return
    const { id, startedAt } = run.details
    const probed: ProbedContainer = {
      uid,
      target: { container, dockerId: id, podIp },
      workers: new Map(),
      abort: new AbortController(),
    }
    this.#containers.set(id, probed)
    this.#byPod.set(uid, (this.#byPod.get(uid) ?? new Set()).add(id))
    const age = startedAt === undefined ? 0 : Math.max(0, this.#clock.now() - Date.parse(startedAt))
    for (const kind of KINDS) {
      const probe = probeOf(container, kind)
      if (probe === undefined) continue
      const worker: Worker = { probe, state: NOT_PROBED, message: '', cancel: undefined }
      probed.workers.set(kind, worker)
      const delay = (probe.initialDelaySeconds ?? 0) * 1000 - age
      this.#schedule(probed, kind, worker, Math.max(0, delay))
    }
  }

  #end(id: string): void {
    const probed = this.#containers.get(id)
    if (probed === undefined) return
    probed.abort.abort(new Error('the container is not probed any more'))
    for (const { cancel } of probed.workers.values()) cancel?.()
    this.#containers.delete(id)
    const others = this.#byPod.get(probed.uid)
    others?.delete(id)
    if (others?.size === 0) this.#byPod.delete(probed.uid)
  }

  #schedule(probed: ProbedContainer, kind: ProbeKind, worker: Worker, milliseconds: number): void {
    if (probed.abort.signal.aborted) return
    worker.cancel = this.#clock.after(milliseconds, () => {
      void this.#probe(probed, kind, worker)
    })
  }

  async #probe(probed: ProbedContainer, kind: ProbeKind, worker: Worker): Promise<void> {
    const { probe } = worker
    const { timeoutSeconds = PROBE_DEFAULTS.timeoutSeconds, periodSeconds = PROBE_DEFAULTS.periodSeconds } =
      probe
    // Until it has started, only its start is asked about; that it begins now is asked about at once.
    const starting = kind !== 'startup' && probed.workers.get('startup')?.state.verdict === 'unknown'
    if (starting) return this.#schedule(probed, kind, worker, 250)
    const outcome = await this.#options.perform(
      probe,
      probed.target,
      timeoutSeconds * 1000,
      probed.abort.signal,
    )
    if (probed.abort.signal.aborted) return
    const before = worker.state
    worker.state = nextState(before, outcome.successful, probe)
    worker.message = outcome.message
    if (!outcome.successful) {
      const { container, dockerId } = probed.target
      this.#options.log.debug(
        { container: container.name, id: dockerId.slice(0, 12), kind, message: outcome.message },
        'a probe failed',
      )
      this.#options.onFailure(probed.uid, container.name, kind, outcome.message)
    }
    if (before.verdict !== worker.state.verdict) this.#options.onChange(probed.uid)
    const done = kind === 'startup' && worker.state.verdict === 'success'
    if (!done) this.#schedule(probed, kind, worker, periodSeconds * 1000)
  }
}
