/** Numbers of tasks as jobs write them: `0-2,5`. Pure. */

/** `0-2,5` as numbers. */
export function parseIndexes(text: string | undefined): Set<number> {
  const indexes = new Set<number>()
  for (const part of (text ?? '').split(',').filter(each => each !== '')) {
    const [first = 0, last = first] = part.split('-').map(Number)
    for (let index = first; index <= last; index += 1) indexes.add(index)
  }
  return indexes
}

/** Numbers as `0-2,5`. */
export function formatIndexes(indexes: ReadonlySet<number>): string {
  const parts: string[] = []
  const sorted = [...indexes].toSorted((a, b) => a - b)
  for (let at = 0; at < sorted.length; ) {
    let end = at
    while (sorted[end + 1] === (sorted[end] ?? 0) + 1) end += 1
    parts.push(
      end === at
        ? `${sorted[at]}`
        : end === at + 1
          ? `${sorted[at]},${sorted[end]}`
          : `${sorted[at]}-${sorted[end]}`,
    )
    at = end + 1
  }
  return parts.join(',')
}
