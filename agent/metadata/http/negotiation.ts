/** Which form of an answer a client wants (RFC 9110, 12.5.1). */

export type Format = 'text' | 'json' | 'yaml'

/** Forms in the order in which they win when a client likes several equally, with the names that clients use. */
const TYPES: readonly (readonly [Format, readonly string[]])[] = [
  ['text', ['text/plain']],
  ['json', ['application/json']],
  ['yaml', ['application/yaml', 'application/x-yaml', 'text/yaml', 'text/x-yaml']],
]

/** A longer header is not a browser's or a tool's. */
const LONGEST_HEADER = 1_024

/** Lower numbers are more exact; undefined when the range does not cover the type. */
function exactness(range: string, type: string): number | undefined {
  if (range === type) return 0
  if (range === `${type.split('/')[0]}/*`) return 1
  return range === '*/*' ? 2 : undefined
}

/** The weight that `accept` gives to a form: that of the most exact range which covers one of its types. */
function weight(ranges: readonly (readonly [string, number])[], types: readonly string[]): number {
  let best = { exactness: Number.POSITIVE_INFINITY, weight: 0 }
  for (const [range, quality] of ranges) {
    for (const type of types) {
      const exact = exactness(range, type)
      if (exact !== undefined && exact < best.exactness) best = { exactness: exact, weight: quality }
    }
  }
  return best.weight
}

function readRanges(accept: string): [string, number][] {
  return accept.split(',').map(range => {
    const [name = '', ...parameters] = range.split(';').map(part => part.trim().toLowerCase())
    const quality = Number(parameters.find(parameter => parameter.startsWith('q='))?.slice(2) ?? 1)
    return [name, Number.isFinite(quality) ? quality : 0]
  })
}

/** Text unless the client would rather have JSON or YAML. */
export function negotiate(accept: string | undefined): Format {
  if (accept === undefined || accept === '*/*' || accept.length > LONGEST_HEADER) return 'text'
  if (accept === 'application/json') return 'json'
  const ranges = readRanges(accept)
  let chosen: { format: Format; weight: number } = { format: 'text', weight: 0 }
  for (const [format, types] of TYPES) {
    const wanted = weight(ranges, types)
    if (wanted > chosen.weight) chosen = { format, weight: wanted }
  }
  return chosen.format
}
