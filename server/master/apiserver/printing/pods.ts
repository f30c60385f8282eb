/** `kubectl get pods`: the words of the STATUS column are Kubernetes' (`pkg/printers/internalversion`, printPod). */
import type { Frozen } from '../json.ts'
import type { Container, ContainerStatus, Pod } from '../objects.ts'
import { AGE_COLUMN, NAME_COLUMN, type Printer, textColumn, wide } from './column.ts'
import { since } from './duration.ts'

interface Summary {
  reason: string
  ready: number
  restarts: number
  /** The newest end of a container that was restarted. */
  lastRestart: string
}

function terminatedReason(terminated: { reason?: string; exitCode?: number; signal?: number }): string {
  if (terminated.reason !== undefined && terminated.reason !== '') return terminated.reason
  if (terminated.signal !== undefined && terminated.signal !== 0) return `Signal:${terminated.signal}`
  return `ExitCode:${terminated.exitCode ?? 0}`
}

function isSidecar(container: Frozen<Container> | undefined): boolean {
  return container?.restartPolicy === 'Always'
}

function countRestarts(summary: Summary, status: Frozen<ContainerStatus>): void {
  summary.restarts += status.restartCount
  const finished = status.lastState?.terminated?.finishedAt ?? ''
  if (finished > summary.lastRestart) summary.lastRestart = finished
}

/** What an init container that is not done says about the pod; undefined when it is done or a running sidecar. */
function initReason(status: Frozen<ContainerStatus>, sidecar: boolean, position: string): string | undefined {
  const { terminated, waiting } = status.state ?? {}
  if (terminated !== undefined && (terminated.exitCode ?? 0) === 0) return undefined
  if (sidecar && status.started === true) return undefined
  if (terminated !== undefined) return `Init:${terminatedReason(terminated)}`
  if (waiting?.reason !== undefined && waiting.reason !== '' && waiting.reason !== 'PodInitializing') {
    return `Init:${waiting.reason}`
  }
  return `Init:${position}`
}

/** Summarizes the init containers into `summary`; true while one of them holds up the rest. */
function summarizeInit(pod: Frozen<Pod>, summary: Summary, sidecars: Summary): boolean {
  const containers = pod.spec.initContainers ?? []
  const byName = new Map(containers.map(container => [container.name, container]))
  for (const [index, status] of (pod.status.initContainerStatuses ?? []).entries()) {
    const sidecar = isSidecar(byName.get(status.name))
    countRestarts(summary, status)
    if (sidecar) countRestarts(sidecars, status)
    const reason = initReason(status, sidecar, `${index}/${containers.length}`)
    if (reason !== undefined) {
      summary.reason = reason
      return true
    }
    if (sidecar && status.ready) summary.ready += 1
  }
  return false
}

function summarizeContainers(pod: Frozen<Pod>, summary: Summary): void {
  let running = false
  for (const status of (pod.status.containerStatuses ?? []).toReversed()) {
    countRestarts(summary, status)
    const { waiting, terminated } = status.state ?? {}
    if (waiting?.reason !== undefined && waiting.reason !== '') summary.reason = waiting.reason
    else if (terminated !== undefined) summary.reason = terminatedReason(terminated)
    else if (status.ready && status.state?.running !== undefined) {
      running = true
      summary.ready += 1
    }
  }
  if (summary.reason === 'Completed' && running) {
    summary.reason = hasCondition(pod, 'Ready') ? 'Running' : 'NotReady'
  }
}

function hasCondition(pod: Frozen<Pod>, type: string): boolean {
  return (
    pod.status.conditions?.some(condition => condition.type === type && condition.status === 'True') === true
  )
}

function summarize(pod: Frozen<Pod>): Summary {
  const gated = pod.status.conditions?.some(
    condition => condition.type === 'PodScheduled' && condition.reason === 'SchedulingGated',
  )
  const reported = pod.status.reason ?? ''
  const phase = pod.status.phase ?? ''
  const summary: Summary = {
    reason: gated === true ? 'SchedulingGated' : reported === '' ? phase : reported,
    ready: 0,
    restarts: 0,
    lastRestart: '',
  }
  const sidecars: Summary = { reason: '', ready: 0, restarts: 0, lastRestart: '' }
  const initializing = summarizeInit(pod, summary, sidecars)
  if (!initializing || hasCondition(pod, 'Initialized')) {
    summary.restarts = sidecars.restarts
    summary.lastRestart = sidecars.lastRestart
    summarizeContainers(pod, summary)
  }
  if (pod.metadata.deletionTimestamp !== undefined) {
    if (reported === 'NodeLost') summary.reason = 'Unknown'
    else if (phase !== 'Succeeded' && phase !== 'Failed') summary.reason = 'Terminating'
  }
  return summary
}

function readinessGates(pod: Frozen<Pod>): string {
  const gates = pod.spec.readinessGates ?? []
  if (gates.length === 0) return '<none>'
  return `${gates.filter(gate => hasCondition(pod, gate.conditionType)).length}/${gates.length}`
}

function orNone(text: string | undefined): string {
  return text === undefined || text === '' ? '<none>' : text
}

export const podPrinter: Printer<Pod> = {
  columns: [
    NAME_COLUMN,
    textColumn('Ready', 'How many containers are ready, of how many.'),
    textColumn('Status', 'What the pod is doing, or why it does not.'),
    textColumn('Restarts', 'How often containers were restarted, and when last.'),
    AGE_COLUMN,
    wide(textColumn('IP', 'Address of the pod.')),
    wide(textColumn('Node', 'Node the pod is bound to.')),
    wide(textColumn('Nominated Node', 'Node that will be free for the pod.')),
    wide(textColumn('Readiness Gates', 'How many readiness gates are open, of how many.')),
  ],
  cells(pod, now) {
    const summary = summarize(pod)
    const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar).length
    const restarts =
      summary.restarts !== 0 && summary.lastRestart !== ''
        ? `${summary.restarts} (${since(summary.lastRestart, now)} ago)`
        : `${summary.restarts}`
    return [
      pod.metadata.name,
      `${summary.ready}/${pod.spec.containers.length + sidecars}`,
      summary.reason,
      restarts,
      since(pod.metadata.creationTimestamp, now),
      orNone(pod.status.podIPs?.[0]?.ip ?? pod.status.podIP),
      orNone(pod.spec.nodeName),
      orNone(pod.status.nominatedNodeName),
      readinessGates(pod),
    ]
  },
}
