/** Which container of a pod is meant. */
import type { Frozen } from '../json.ts'
import type { Pod } from '../objects.ts'
import { badRequest } from '../status.ts'

const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container'

/**
 * The container that a request means.
 *
 * @param wanted empty for the only one, or the one that the pod's annotation names
 * @throws `BadRequest` when there is no such container, or none is named and there are several
 */
export function containerOf(pod: Frozen<Pod>, wanted: string): string {
  const { name, annotations } = pod.metadata
  const containers = pod.spec.containers.map(container => container.name)
  const initContainers = (pod.spec.initContainers ?? []).map(container => container.name)
  if (wanted !== '') {
    const ephemeral = (pod.spec.ephemeralContainers ?? []).map(container => container.name)
    if ([...containers, ...initContainers, ...ephemeral].includes(wanted)) return wanted
    throw badRequest(`container ${wanted} is not valid for pod ${name}`)
  }
  const preferred = annotations?.[DEFAULT_CONTAINER]
  if (preferred !== undefined && containers.includes(preferred)) return preferred
  const [only, another] = containers
  if (only !== undefined && another === undefined) return only
  const choice = `choose one of: [${containers.join(' ')}]`
  const init =
    initContainers.length === 0 ? '' : ` or one of the init containers: [${initContainers.join(' ')}]`
  throw badRequest(`a container name must be specified for pod ${name}, ${choice}${init}`)
}
