/** Which targets of a rule get clients. Pure. */
import type { Endpoint } from '../../lb/index.ts'
import { LABEL, type ServiceInfo } from '../../protocol/index.ts'
import type { Target } from './targets.ts'

/** Which targets a balancer leads to, as its label says: `any`, `prefer-local` or `only-local`. */
export function localityOf({ labels }: ServiceInfo): string {
  return labels[LABEL.balancerTarget] ?? 'any'
}

/**
 * The targets that get clients, each address once.
 *
 * @param locality as `localityOf` says
 * @param checked whether the balancer finds out by itself which of them answer
 */
export function endpointsOf(
  targets: readonly Target[],
  locality: string,
  hostUuid: string,
  checked: boolean,
): Endpoint[] {
  const local = targets.filter(target => target.hostUuid === hostUuid)
  const answering = (list: readonly Target[]) =>
    list.some(({ health, leaving }) => health === 'serving' && !leaving)
  const near =
    locality === 'only-local' || (locality === 'prefer-local' && answering(local)) ? local : targets
  // When none is known to do its work, what is known may be wrong: then all are tried.
  const known = answering(near)
  const unique = new Map<string, Endpoint>()
  for (const { id, address, port, weight, health, leaving } of near) {
    // Without checks of our own, nobody would tell when it is ready.
    if (health === 'waiting' && known && !checked) continue
    const place = `${address} ${port}`
    if (unique.has(place)) continue
    unique.set(place, {
      ...{ id, address, port, weight },
      ...(leaving || (health === 'failing' && known) ? { draining: true } : {}),
      ...(health === 'waiting' && checked ? { initially: 'down' as const } : {}),
    })
  }
  return [...unique.values()]
}
