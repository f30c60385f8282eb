/** Kubernetes' quality of service classes, and what follows from them. Pure. */
import { type Container, type Pod, parseQuantity } from '../../protocol/kubernetes/index.ts'

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort'

const RESOURCES = ['cpu', 'memory'] as const

function amount(container: Container, kind: 'limits' | 'requests', name: string): number {
  const { limits, requests } = container.resources ?? {}
  // A limit is a request where none is said.
  const text = kind === 'limits' ? limits?.[name] : (requests?.[name] ?? limits?.[name])
  return (text && parseQuantity(text)) || 0
}

/** The class of a pod (Kubernetes documentation, "Pod Quality of Service Classes"). */
export function qosClassOf({ spec }: Pod): QosClass {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])]
  const asks = containers.some(container =>
    RESOURCES.some(name => amount(container, 'limits', name) > 0 || amount(container, 'requests', name) > 0),
  )
  if (!asks) return 'BestEffort'
  const guaranteed = containers.every(container =>
    RESOURCES.every(name => {
      const limit = amount(container, 'limits', name)
      return limit > 0 && limit === amount(container, 'requests', name)
    }),
  )
  return guaranteed ? 'Guaranteed' : 'Burstable'
}

/**
 * Who is ended first when the host has no memory left. A guaranteed pod is left where Docker's own processes are: to be below them
 * takes rights that an engine need not have.
 */
export function oomScore(pod: Pod, container: Container, hostMemory: number): { OomScoreAdj?: number } {
  switch (qosClassOf(pod)) {
    case 'Guaranteed':
      return {}
    case 'BestEffort':
      return { OomScoreAdj: 1000 }
    case 'Burstable': {
      const score = 1000 - Math.floor((1000 * amount(container, 'requests', 'memory')) / hostMemory)
      return { OomScoreAdj: Math.min(999, Math.max(3, score)) }
    }
  }
}
