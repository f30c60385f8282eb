/** What every new pod gets: tolerations for short outages of its node, and its priority. */
import type { Frozen } from '../json.ts'
import type { Pod, PodSpec, PriorityClass, Toleration } from '../objects.ts'
import { forbidden } from '../status.ts'
import type { AdmissionRequest } from './request.ts'

const NOT_READY = 'node.kubernetes.io/not-ready'
const UNREACHABLE = 'node.kubernetes.io/unreachable'
/** Seconds that a pod stays on a node that is not there. */
const PATIENCE = 300

function tolerates({ key, effect }: Toleration, taint: string): boolean {
  return ((key ?? '') === '' || key === taint) && ((effect ?? '') === '' || effect === 'NoExecute')
}

/** Kubernetes' DefaultTolerationSeconds. */
export function addTolerations(spec: PodSpec): void {
  for (const key of [NOT_READY, UNREACHABLE]) {
    if ((spec.tolerations ?? []).some(toleration => tolerates(toleration, key))) continue
    spec.tolerations = [
      ...(spec.tolerations ?? []),
      { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: PATIENCE },
    ]
  }
}

function classes({ cluster }: AdmissionRequest): Frozen<PriorityClass>[] {
  return cluster
    .list('scheduling.k8s.io/priorityclasses', undefined)
    .map(stored => cluster.read(stored) as Frozen<PriorityClass>)
}

/** The class of pods that name none; the lowest of several, as Kubernetes has it. */
function defaultClass(request: AdmissionRequest): Frozen<PriorityClass> | undefined {
  return classes(request)
    .filter(({ globalDefault }) => globalDefault === true)
    .sort((a, b) => a.value - b.value)[0]
}

/** Kubernetes' Priority. @throws `Forbidden` for a class that is not there, or a number that is not its */
export function setPriority(request: AdmissionRequest, pod: Pod): void {
  const { cluster, resource } = request
  const { spec } = pod
  const name = spec.priorityClassName ?? ''
  let chosen: Frozen<PriorityClass> | undefined
  if (name === '') chosen = defaultClass(request)
  else {
    const stored = cluster.find('scheduling.k8s.io/priorityclasses', '', name)
    if (stored === undefined) {
      throw forbidden(resource, pod.metadata.name ?? '', `no PriorityClass with name ${name} was found`)
    }
    chosen = cluster.read(stored) as Frozen<PriorityClass>
  }
  const value = chosen?.value ?? 0
  if (spec.priority !== undefined && spec.priority !== value) {
    const why = `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`
    throw forbidden(resource, pod.metadata.name ?? '', why)
  }
  if (chosen !== undefined) spec.priorityClassName = chosen.metadata.name
  spec.priority = value
  spec.preemptionPolicy ??= chosen?.preemptionPolicy ?? 'PreemptLowerPriority'
}

/** Only one class can be everybody's. @throws `Forbidden` */
export function requireOneDefault(request: AdmissionRequest, object: Frozen<PriorityClass>): void {
  if (object.globalDefault !== true) return
  const other = classes(request).find(
    ({ globalDefault, metadata }) => globalDefault === true && metadata.name !== object.metadata.name,
  )
  if (other === undefined) return
  const why = `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`
  throw forbidden(request.resource, object.metadata.name, why)
}
