/** The health of services and stacks. Pure. */
import { type Container, type SummaryHealth, shownHealth } from '../../model/index.ts'

type Part = 'healthy' | 'initializing' | 'unhealthy'

function partOf(container: Pick<Container, 'state' | 'health' | 'ready'>): Part {
  const health = shownHealth(container)
  if (container.state === 'error' || health === 'unhealthy' || health === 'updating-unhealthy')
    return 'unhealthy'
  const starting = health === 'initializing' || health === 'reinitializing'
  return container.state === 'running' && !starting ? 'healthy' : 'initializing'
}

/**
 * The health of a service.
 *
 * @param expected how many containers it should have
 */
export function serviceHealth(
  containers: readonly Pick<Container, 'state' | 'health' | 'ready'>[],
  expected: number,
): SummaryHealth {
  const parts = containers.filter(({ state }) => state !== 'removing').map(partOf)
  const count = (part: Part) => parts.filter(each => each === part).length
  if (parts.length > 0 && count('unhealthy') === parts.length) return 'unhealthy'
  if (count('unhealthy') > 0) return 'degraded'
  if (count('healthy') >= expected) return 'healthy'
  return count('initializing') > 0 || parts.length === 0 ? 'initializing' : 'degraded'
}

/** The health of a stack: the same when all its services agree. */
export function stackHealth(services: readonly (SummaryHealth | undefined)[]): SummaryHealth {
  const known = services.map(state => state ?? 'healthy')
  const [first = 'healthy'] = known
  if (known.every(state => state === first)) return first
  return known.some(state => state === 'unhealthy' || state === 'degraded') ? 'degraded' : 'initializing'
}
