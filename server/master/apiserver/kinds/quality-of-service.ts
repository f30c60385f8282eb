/** The class of a pod by what its containers ask for (Kubernetes "Pod Quality of Service Classes"). */
import type { Frozen } from '../json.ts'
import type { Container, PodSpec } from '../objects.ts'

const QOS_RESOURCES = ['cpu', 'memory']

function allContainers(spec: Frozen<PodSpec>): Frozen<Container>[] {
  return [...spec.containers, ...(spec.initContainers ?? [])]
}

export function qosClassOf(spec: Frozen<PodSpec>): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = allContainers(spec)
  const wants = (container: Frozen<Container>, name: string) =>
    container.resources?.requests?.[name] ?? container.resources?.limits?.[name]
  if (!containers.some(container => QOS_RESOURCES.some(name => (wants(container, name) ?? '0') !== '0'))) {
    return 'BestEffort'
  }
  const guaranteed = containers.every(container =>
    QOS_RESOURCES.every(name => {
      const limit = container.resources?.limits?.[name]
      return limit !== undefined && (container.resources?.requests?.[name] ?? limit) === limit
    }),
  )
  return guaranteed ? 'Guaranteed' : 'Burstable'
}
