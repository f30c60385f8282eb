/** Numbers of pods as users write them: so many, or so many of a hundred. */

/**
 * @param value `2` or `25%`
 * @param total of which a percentage is taken
 */
export function countOf(value: number | string | undefined, total: number, round: 'up' | 'down'): number {
  if (typeof value === 'number') return value
  const percent = Number(/^(\d{1,3})%$/.exec(value ?? '')?.[1] ?? 0)
  const share = (percent * total) / 100
  return round === 'up' ? Math.ceil(share) : Math.floor(share)
}

/** Counts without those that are nothing: zero is said by silence, as everywhere in Kubernetes. */
export function positive(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
}
