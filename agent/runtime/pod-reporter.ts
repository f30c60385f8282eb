/** What is told of a pod: its status, after every look at it. */
import type { Pod, PodStatus } from '../../protocol/kubernetes/index.ts'
import { allContainers, type ContainerLife } from './container-life.ts'
import type { PodFailures } from './pod-failures.ts'
import type { PodResizes } from './pod-resizes.ts'
import { isInitialized, podStatus } from './pod-status.ts'
import type { PodStore } from './pod-store.ts'
import type { PodView } from './pod-view.ts'
import type { Sandboxes } from './sandboxes.ts'
import type { TerminationMessages } from './termination-messages.ts'
import type { WaitingReasons } from './waiting-reasons.ts'

export interface PodReporterOptions {
  readonly sandboxes: Sandboxes
  readonly life: ContainerLife
  readonly waiting: WaitingReasons
  readonly messages: TerminationMessages
  readonly failures: PodFailures
  readonly resizes: PodResizes
  readonly store: PodStore
  readonly hostIp: string
  readonly events: { readonly onStatus: (pod: Pod, status: PodStatus) => void }
}

function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`
}

export class PodReporter {
  readonly #options: PodReporterOptions
  /** When this agent saw each pod first; losing it costs nothing where the server knows it. */
  readonly #startTimes = new Map<string, string>()

  constructor(options: PodReporterOptions) {
    this.#options = options
  }

  /** Whether the pod was seen before. */
  knows(uid: string): boolean {
    return this.#startTimes.has(uid)
  }

  /** ISO 8601. */
  startTime(uid: string, pod: Pod): string {
    const known = this.#startTimes.get(uid) ?? pod.status?.startTime ?? now()
    this.#startTimes.set(uid, known)
    return known
  }

  /** Reads what containers that ended say why. */
  async readMessages(uid: string, pod: Pod, view: PodView): Promise<void> {
    const { messages, store, life } = this.#options
    for (const container of allContainers(pod)) {
      for (const run of view.containers.get(container.name) ?? []) {
        if (run.details.status !== 'exited') continue
        life.hasEnded(run.details.id)
        await messages.read(store.directoryOf(uid), container, run)
      }
    }
  }

  report(uid: string, pod: Pod, view: PodView): void {
    const { sandboxes, hostIp, events, messages, life, waiting, failures, resizes } = this.#options
    const sandbox = view.sandboxes[0]
    const podIps =
      sandbox?.details.status === 'running' ? sandboxes.addresses(pod, sandbox.details.id, hostIp) : []
    events.onStatus(
      pod,
      podStatus(pod, view, {
        hostIp,
        podIps,
        waiting: waiting.of(uid),
        initialized: isInitialized(pod, view, run => life.started(pod, run)),
        started: run => life.started(pod, run),
        ready: run => life.ready(pod, run),
        message: id => messages.get(id),
        startTime: this.startTime(uid, pod),
        resources: (container, run) => resizes.givenTo(container, run),
        resize: resizes.state(uid, pod, view),
        failure: failures.get(uid),
        now: now(),
      }),
    )
  }

  /** The pod is not known any more. */
  forget(uid: string): void {
    this.#startTimes.delete(uid)
  }
}
