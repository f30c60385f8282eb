/** Pods: what they start with, which fields selectors may name, how they are deleted. */
import { isMirror } from '../../../../protocol/kubernetes/index.ts'
import type { Frozen } from '../json.ts'
import type { Condition, Container, DeleteOptions, Pod, PodSpec } from '../objects.ts'
import { podPrinter } from '../printing/index.ts'
import { formatTime } from '../schema/index.ts'
import { ephemeralContainersPart } from './ephemeral-containers.ts'
import { validatePodUpdate } from './pod-updates.ts'
import { validatePod } from './pod-validation.ts'
import { qosClassOf } from './quality-of-service.ts'
import { resizePart } from './resize.ts'
import { defineStrategy, selectableFields } from './strategy.ts'

const DEFAULT_GRACE_PERIOD = 30
/** `Always` for images that may change under their name: without a tag or digest, or with the tag `latest`. */
function defaultPullPolicy(image: string): string {
  if (image.includes('@')) return 'IfNotPresent'
  const name = image.slice(image.lastIndexOf('/') + 1)
  const colon = name.indexOf(':')
  return colon < 0 || name.slice(colon + 1) === 'latest' ? 'Always' : 'IfNotPresent'
}

function completeContainer(container: Container): void {
  container.imagePullPolicy ??= defaultPullPolicy(container.image ?? '')
}

function completeDemands(container: Container, hostNetwork: boolean): void {
  const { resources } = container
  if (resources?.limits !== undefined) resources.requests = { ...resources.limits, ...resources.requests }
  if (!hostNetwork) return
  for (const port of container.ports ?? []) port.hostPort ??= port.containerPort
}

/**
 * Defaults that depend on other fields.
 *
 * @param use templates leave the account, demands and ports of the host open: they are each pod's to have
 */
export function completePodSpec(spec: PodSpec, use: 'pod' | 'template'): void {
  const account = spec.serviceAccountName ?? spec.serviceAccount ?? (use === 'pod' ? 'default' : undefined)
  if (account !== undefined) {
    spec.serviceAccountName = account
    // The old name of the same field; clients of either read it.
    spec.serviceAccount = account
  }
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    completeContainer(container)
    if (use === 'pod') completeDemands(container, spec.hostNetwork === true)
  }
  for (const container of spec.ephemeralContainers ?? []) completeContainer(container)
  for (const volume of spec.volumes ?? []) {
    if (Object.keys(volume).every(key => key === 'name')) volume.emptyDir = {}
  }
}

/** Whether everything that a pod was for has ended. */
export function isOver({ status }: Frozen<Pod>): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}

/**
 * The condition that says that a pod does not end by itself: jobs count such ends as they are told to.
 *
 * @param now milliseconds since 1970
 */
export function disruptionTarget(
  reason: string,
  message: string,
  now: number,
): Required<Pick<Condition, 'type' | 'status' | 'reason' | 'message' | 'lastTransitionTime'>> {
  return { type: 'DisruptionTarget', status: 'True', reason, message, lastTransitionTime: formatTime(now) }
}

function gracePeriod(pod: Frozen<Pod>, options: DeleteOptions): number {
  // Nobody would ever confirm the end of a pod that no node has.
  if ((pod.spec.nodeName ?? '') === '') return 0
  if (isOver(pod)) return 0
  return options.gracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_PERIOD
}

export const podStrategy = defineStrategy<Pod>({
  printer: podPrinter,
  countsGenerations: true,
  selectable: selectableFields<Pod>({
    'spec.nodeName': pod => pod.spec.nodeName,
    'spec.restartPolicy': pod => pod.spec.restartPolicy,
    'spec.schedulerName': pod => pod.spec.schedulerName,
    'spec.serviceAccountName': pod => pod.spec.serviceAccountName,
    'spec.hostNetwork': pod => String(pod.spec.hostNetwork === true),
    'status.phase': pod => pod.status.phase,
    'status.podIP': pod => pod.status.podIP,
    'status.podIPs': pod => pod.status.podIPs?.map(({ ip }) => ip).join(','),
    'status.nominatedNodeName': pod => pod.status.nominatedNodeName,
  }),
  prepareCreate(pod) {
    pod.status = { phase: 'Pending', qosClass: qosClassOf(pod.spec) }
    if ((pod.spec.schedulingGates ?? []).length > 0) {
      pod.status.conditions = [
        {
          type: 'PodScheduled',
          status: 'False',
          reason: 'SchedulingGated',
          message: 'Scheduling is blocked due to non-empty scheduling gates',
        },
      ]
    }
  },
  // Its host runs it as nobody of the cluster.
  complete: pod => completePodSpec(pod.spec, isMirror(pod) ? 'template' : 'pod'),
  validate: validatePod,
  validateUpdate: validatePodUpdate,
  parts: new Map([
    ['ephemeralcontainers', ephemeralContainersPart],
    ['resize', resizePart],
  ]),
  gracePeriod,
})
