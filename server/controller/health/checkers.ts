/** Which hosts check a container. Pure. */
import { CHECKERS_PER_CONTAINER } from '../../../protocol/index.ts'

export interface CheckersInput {
  /** uuid of the container's own host; undefined while it has none. */
  readonly own: string | undefined
  readonly current: readonly string[]
  /** uuids of the hosts that could check it, its own included. */
  readonly candidates: ReadonlySet<string>
  /** From 0 up to 1. */
  readonly random: () => number
}

/** `count` of `values`, any of them as likely as the others. */
function sample(values: readonly string[], count: number, random: () => number): string[] {
  const rest = [...values]
  const chosen: string[] = []
  while (chosen.length < count && rest.length > 0) {
    chosen.push(...rest.splice(Math.floor(random() * rest.length), 1))
  }
  return chosen
}

/**
 * Up to three hosts, never the container's own unless it is the only one there is. Those that can go on do, so that what
 * they found out stays. With no candidate at all nothing is changed: a server that knows of nobody knows too little.
 *
 * @returns `current` itself when nothing changes
 */
export function assignCheckers({ own, current, candidates, random }: CheckersInput): readonly string[] {
  if (candidates.size === 0) return current
  const alone = candidates.size === 1 && own !== undefined && candidates.has(own)
  const kept = current.filter(host => candidates.has(host) && (host !== own || alone))
  if (kept.length === CHECKERS_PER_CONTAINER) return current
  const fresh = [...candidates].filter(host => (host !== own || alone) && !kept.includes(host))
  const added = sample(fresh, CHECKERS_PER_CONTAINER - kept.length, random)
  return added.length === 0 && kept.length === current.length ? current : [...kept, ...added]
}
