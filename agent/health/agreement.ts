/** What the checkers of a container say together when no server asks them. Pure; times are of a monotonic clock. */

export interface HostVote {
  readonly verdict: 'up' | 'down' | 'unknown'
  readonly since: number
  readonly expires: number
}

/** Milliseconds for which one who says `down` is not believed alone: whoever finds the container up says so meanwhile. */
export const OBJECTION_TIME = 1_500

export interface Agreement {
  readonly opinion: 'up' | 'down' | 'none'
  /** When it may be another one though nobody said anything; infinite when never. */
  readonly until: number
}

/**
 * `up` when one of the checkers says so. `down` when one does and none says up: all of them have said it, or those who have
 * not have had their time.
 *
 * @param checkers uuids of the hosts that check it
 * @param votes what they said of the present run, by host
 */
export function agree(
  checkers: readonly string[],
  votes: ReadonlyMap<string, HostVote>,
  now: number,
): Agreement {
  const valid = checkers.flatMap(checker => {
    const vote = votes.get(checker)
    return vote !== undefined && vote.expires > now ? [vote] : []
  })
  const until = Math.min(...valid.map(vote => vote.expires))
  if (valid.some(({ verdict }) => verdict === 'up')) return { opinion: 'up', until }
  const down = valid.filter(({ verdict }) => verdict === 'down')
  if (down.length === 0) return { opinion: 'none', until }
  if (down.length === checkers.length) return { opinion: 'down', until }
  const decided = Math.min(...down.map(vote => vote.since)) + OBJECTION_TIME
  return decided <= now ? { opinion: 'down', until } : { opinion: 'none', until: Math.min(until, decided) }
}
