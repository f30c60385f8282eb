/** How the containers of a pod are while they run: what is done after their start, what probes say, how they end. */
import type { Logger } from '../../kit/index.ts'
import type { Container, Pod } from '../../protocol/kubernetes/index.ts'
import type { DockerEngine } from '../docker/index.ts'
import type { ContainerEnder } from './container-ender.ts'
import { type HandlerTarget, type Outcome, perform } from './handlers.ts'
import type { Happening } from './pod-events.ts'
import type { ContainerView, PodView } from './pod-view.ts'
import { Prober } from './prober.ts'
import type { Sandboxes } from './sandboxes.ts'

export interface ContainerLifeOptions {
  readonly engine: DockerEngine
  readonly sandboxes: Sandboxes
  readonly ender: ContainerEnder
  readonly hostIp: string
  /** What is known of a pod's containers has changed. */
  readonly onChange: (uid: string) => void
  /** Something happened that people want to know. */
  readonly tell: (uid: string, happening: Happening) => void
  readonly log: Logger
}

/** Milliseconds for a hook after the start: the container counts as starting until then. */
const START_HOOK_DEADLINE = 10 * 60_000

const DEFAULT_GRACE = 30

/** In the order in which they start; ephemeral ones may come at any time. */
export function allContainers({ spec }: Pod): readonly Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])]
}

function containerOf(pod: Pod, { name }: Pick<ContainerView, 'name'>): Container | undefined {
  return allContainers(pod).find(candidate => candidate.name === name)
}

export class ContainerLife {
  readonly #options: ContainerLifeOptions
  readonly #prober: Prober
  /** Docker ids of containers whose hook after the start has not done its work. Losing it costs a hook that failed unseen. */
  readonly #hooks = new Map<string, 'running' | 'failed'>()

  constructor(options: ContainerLifeOptions) {
    this.#options = options
    this.#prober = new Prober({
      perform: (probe, target, milliseconds, signal) =>
        perform(options.engine, probe, target, milliseconds, signal),
      onChange: options.onChange,
      onFailure: (uid, container, kind, message) =>
        options.tell(uid, {
          ...{ type: 'Warning', reason: 'Unhealthy', container },
          message: `${kind[0]?.toUpperCase()}${kind.slice(1)} probe failed: ${message}`,
        }),
      log: options.log,
    })
  }

  stop(): void {
    this.#prober.stop()
  }

  /** A container is about to start: nobody is to see it as started before its hook has done its work. */
  starts(container: Container, dockerId: string): void {
    if (container.lifecycle?.postStart !== undefined) this.#hooks.set(dockerId, 'running')
  }

  /** Does in the background what is to be done right after the start; a container for which that fails is ended. */
  hasStarted(uid: string, pod: Pod, container: Container, dockerId: string, sandboxId: string): void {
    const hook = container.lifecycle?.postStart
    if (hook === undefined) return
    const { engine, log, onChange } = this.#options
    const target = this.#targetOf(pod, container, dockerId, sandboxId)
    void perform(engine, hook, target, START_HOOK_DEADLINE).then(({ successful, message }) => {
      if (successful) this.#hooks.delete(dockerId)
      else {
        this.#hooks.set(dockerId, 'failed')
        this.#options.tell(uid, {
          ...{ type: 'Warning', reason: 'FailedPostStartHook', container: container.name },
          message: `PostStartHook failed: ${message}`,
        })
        log.warn(
          { pod: pod.metadata.name, container: container.name, message },
          'the hook after a start failed',
        )
      }
      onChange(uid)
    })
  }

  /** A container that does not run any more. */
  hasEnded(dockerId: string): void {
    this.#hooks.delete(dockerId)
    this.#options.ender.forget(dockerId)
  }

  /** Has those containers of a pod probed that run, and those only. */
  probe(uid: string, pod: Pod, view: PodView, sandboxId: string): void {
    const podIp = this.#addressOf(pod, sandboxId)
    this.#prober.follow(
      uid,
      allContainers(pod).flatMap(container => {
        const run = view.containers.get(container.name)?.[0]
        const probed = run?.details.status === 'running' && !this.#hooks.has(run.details.id)
        return probed ? [{ run, container, podIp }] : []
      }),
    )
  }

  /** Nothing of a pod is probed any more. */
  forget(uid: string): void {
    this.#prober.follow(uid, [])
  }

  /** Whether a run has got through its start. */
  started(pod: Pod, run: ContainerView): boolean {
    const container = containerOf(pod, run)
    return container !== undefined && !this.#hooks.has(run.details.id) && this.#prober.started(run, container)
  }

  /** Whether a run does its work now. */
  ready(pod: Pod, run: ContainerView): boolean {
    const container = containerOf(pod, run)
    return container !== undefined && this.started(pod, run) && this.#prober.ready(run, container)
  }

  /** Whether a run has to be ended because it does not work. */
  unwell({ details }: ContainerView): boolean {
    return this.#hooks.get(details.id) === 'failed' || this.#prober.failure(details.id) !== undefined
  }

  /** Ends one container of a pod that goes on. @returns milliseconds until it is worth another look */
  async endOne(pod: Pod, run: ContainerView): Promise<number> {
    const failure = this.#prober.failure(run.details.id)
    const seconds =
      failure?.probe.terminationGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE
    if (failure !== undefined) {
      this.#options.log.info(
        { pod: pod.metadata.name, container: run.name, probe: failure.kind, message: failure.message },
        'a container is ended because it does not work',
      )
    }
    this.#tellEnd(pod, run, failure?.kind)
    return await this.#options.ender.end(run, seconds * 1000, this.#endHook(pod, run))
  }

  /**
   * Ends the containers of a pod: its own ones, then its sidecars.
   *
   * @param grace milliseconds that are left
   * @param pod undefined when it is not known any more
   * @returns milliseconds until it is worth another look
   */
  async endAll(pod: Pod | undefined, running: readonly ContainerView[], grace: number): Promise<number> {
    const now = endingNow(pod, running, grace)
    if (pod !== undefined) for (const run of now) this.#tellEnd(pod, run, undefined)
    const waits = await Promise.all(
      now.map(run => this.#options.ender.end(run, grace, this.#endHook(pod, run))),
    )
    return Math.max(1, Math.min(...waits))
  }

  /** Once, when the end begins. */
  #tellEnd(pod: Pod, run: ContainerView, failed: string | undefined): void {
    if (this.#options.ender.isEnding(run.details.id)) return
    const message =
      failed === undefined
        ? `Stopping container ${run.name}`
        : `Container ${run.name} failed ${failed} probe, will be restarted`
    this.#options.tell(pod.metadata.uid ?? '', {
      type: 'Normal',
      reason: 'Killing',
      message,
      container: run.name,
    })
  }

  #endHook(
    pod: Pod | undefined,
    run: ContainerView,
  ): ((milliseconds: number) => Promise<Outcome>) | undefined {
    const container = pod && containerOf(pod, run)
    const hook = container?.lifecycle?.preStop
    if (pod === undefined || container === undefined || hook === undefined) return undefined
    const target = this.#targetOf(pod, container, run.details.id, run.sandboxId)
    return milliseconds => perform(this.#options.engine, hook, target, milliseconds)
  }

  #addressOf(pod: Pod, sandboxId: string): string {
    const { sandboxes, hostIp } = this.#options
    return sandboxes.address(pod, sandboxId, hostIp) ?? ''
  }

  #targetOf(pod: Pod, container: Container, dockerId: string, sandboxId: string): HandlerTarget {
    return { container, dockerId, podIp: this.#addressOf(pod, sandboxId) }
  }
}

/**
 * Which of a pod's running containers are asked to end now: its own ones, then its sidecars, the last one first; all of them when
 * there is no time left. Pure.
 */
export function endingNow(
  pod: Pod | undefined,
  running: readonly ContainerView[],
  grace: number,
): readonly ContainerView[] {
  const sidecars = (pod?.spec.initContainers ?? []).filter(each => each.restartPolicy === 'Always')
  const place = (run: ContainerView) => sidecars.findIndex(({ name }) => name === run.name)
  const own = running.filter(run => place(run) < 0)
  if (grace === 0 || sidecars.length === 0) return running
  if (own.length > 0) return own
  return running.toSorted((a, b) => place(b) - place(a)).slice(0, 1)
}
