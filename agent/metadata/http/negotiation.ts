/** Which form of an answer a client wants (RFC 9110, 12.5.1). */

export type Format = 'text' | 'json'

const TYPES: Readonly<Record<Format, { readonly type: string; readonly group: string }>> = {
  text: { type: 'text/plain', group: 'text/*' },
  json: { type: 'application/json', group: 'application/*' },
}

/** A longer header is not a browser's or a tool's. */
const LONGEST_HEADER = 1_024

/** The weight that `accept` gives to a form; undefined when it does not mention it. */
function weight(accept: string, format: Format): number | undefined {
  const { type, group } = TYPES[format]
  let found: { specific: number; weight: number } | undefined
  for (const range of accept.split(',')) {
    const [name = '', ...parameters] = range.split(';').map(part => part.trim().toLowerCase())
    const specific = [name === '*/*', name === group, name === type].lastIndexOf(true)
    if (specific < 0 || (found !== undefined && found.specific > specific)) continue
    const quality = Number(parameters.find(parameter => parameter.startsWith('q='))?.slice(2) ?? 1)
    found = { specific, weight: Number.isFinite(quality) ? quality : 0 }
  }
  return found?.weight
}

/** Text unless the client would rather have JSON. */
export function negotiate(accept: string | undefined): Format {
  if (accept === undefined || accept === '*/*' || accept.length > LONGEST_HEADER) return 'text'
  if (accept === 'application/json') return 'json'
  return (weight(accept, 'json') ?? 0) > (weight(accept, 'text') ?? 0) ? 'json' : 'text'
}
