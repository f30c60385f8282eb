/** Why containers of pods do not run although they should: what their status, `kubectl describe` and Drover's users are told. */
import { type ContainerProblem, LABEL } from '../../protocol/index.ts'
import type { Pod } from '../../protocol/kubernetes/index.ts'
import { requestedLabels } from './container-options.ts'
import type { Happening } from './pod-events.ts'
import type { WaitingReason } from './pod-status.ts'

export interface WaitingReasonsOptions {
  /** The pod, when it should run here. */
  readonly podOf: (uid: string) => Pod | undefined
  /** What stands in the way of containers changed. */
  readonly onChange: () => void
  readonly tell: (uid: string, happening: Happening) => void
}

/** Characters of a message that users are shown. */
const LONGEST_MESSAGE = 4_000

export class WaitingReasons {
  readonly #options: WaitingReasonsOptions
  /** By pod, then by container. */
  readonly #reasons = new Map<string, Map<string, WaitingReason>>()

  constructor(options: WaitingReasonsOptions) {
    this.#options = options
  }

  /** By container of the pod. */
  of(uid: string): ReadonlyMap<string, WaitingReason> {
    return this.#reasons.get(uid) ?? new Map()
  }

  set(uid: string, names: readonly string[], reason: WaitingReason): void {
    const reasons = this.#reasons.get(uid) ?? new Map<string, WaitingReason>()
    this.#reasons.set(uid, reasons)
    let changed = false
    for (const name of names) {
      const before = reasons.get(name)
      if (before?.reason === reason.reason && before.message === reason.message) continue
      reasons.set(name, reason)
      changed = true
      this.#options.tell(uid, happeningOf(name, reason))
    }
    if (changed) this.#options.onChange()
  }

  clear(uid: string, name: string): void {
    if (this.#reasons.get(uid)?.delete(name)) this.#options.onChange()
  }

  /** Those that wait for this reason do not any more. */
  clearReason(uid: string, reason: string): void {
    for (const [name, waiting] of this.of(uid)) if (waiting.reason === reason) this.clear(uid, name)
  }

  /** Nothing of the pod waits any more. */
  forget(uid: string): void {
    const before = this.#reasons.get(uid)
    this.#reasons.delete(uid)
    if (before !== undefined && before.size > 0) this.#options.onChange()
  }

  /** Everything that stands in the way of containers with a uuid. */
  problems(): ContainerProblem[] {
    const problems: ContainerProblem[] = []
    for (const [uid, reasons] of this.#reasons) {
      const pod = this.#options.podOf(uid)
      if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) continue
      const labels = requestedLabels(pod)
      for (const [name, { reason, message }] of reasons) {
        const uuid = labels[name]?.[LABEL.containerUuid]
        if (uuid !== undefined && message !== undefined)
          problems.push({ uuid, reason, message: message.slice(0, LONGEST_MESSAGE) })
      }
    }
    return problems
  }
}

/** What kubectl shows of a container that waits. */
function happeningOf(container: string, { reason, message = reason }: WaitingReason): Happening {
  const warning = { type: 'Warning', container } as const
  switch (reason) {
    case 'ContainerCreating':
      return { ...warning, reason: 'FailedMount', message }
    case 'FailedCreatePodSandBox':
      return { ...warning, reason, message }
    case 'CrashLoopBackOff':
      // How long it still waits is in its status; here it would be another message each time.
      return { ...warning, reason: 'BackOff', message: `Back-off restarting failed container ${container}` }
    case 'ImagePullBackOff':
      return { ...warning, reason: 'BackOff', message: `Back-off pulling the image: ${message}` }
    default:
      return { ...warning, reason: 'Failed', message: `Error: ${message}` }
  }
}
