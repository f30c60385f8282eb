/** Filters, order and pages of a collection. Pure. */
import { apiErrors } from './errors.ts'
import type { Fields } from './fields.ts'

const DEFAULT_LIMIT = 100
const MAXIMUM_LIMIT = 3000

/** Query parameters that are not filters. */
const RESERVED = new Set([
  'limit',
  'marker',
  'sort',
  'order',
  'include',
  '_format',
  '_method',
  'projectId',
  'action',
])

type Modifier = 'eq' | 'ne' | 'lt' | 'lte' | 'gt' | 'gte' | 'prefix' | 'like' | 'notlike' | 'null' | 'notnull'
const MODIFIERS: readonly Modifier[] = [
  'eq',
  'ne',
  'lt',
  'lte',
  'gt',
  'gte',
  'prefix',
  'like',
  'notlike',
  'null',
  'notnull',
]

export interface Filter {
  readonly field: string
  readonly modifier: Modifier
  /** Several values of one field and modifier: any of them. */
  readonly values: readonly string[]
}

export interface ListQuery {
  readonly filters: readonly Filter[]
  readonly sort: string | undefined
  readonly order: 'asc' | 'desc'
  readonly limit: number
  /** How many matching resources come before the page. */
  readonly offset: number
}

function parseFilterName(name: string): { field: string; modifier: Modifier } {
  const underscore = name.lastIndexOf('_')
  const suffix = name.slice(underscore + 1) as Modifier
  return underscore > 0 && MODIFIERS.includes(suffix)
    ? { field: name.slice(0, underscore), modifier: suffix }
    : { field: name, modifier: 'eq' }
}

function parseMarker(marker: string | null): number {
  if (marker === null) return 0
  const match = /^m(\d{1,9})$/.exec(marker)
  if (match === null) throw apiErrors.InvalidFormat({ object: 'marker', field: 'marker' })
  return Number(match[1])
}

/** @throws `InvalidFormat`, `InvalidOption` when the query names a field that the type does not have */
export function parseListQuery(query: URLSearchParams, fields: Fields): ListQuery {
  const filters = new Map<string, { field: string; modifier: Modifier; values: string[] }>()
  for (const [name, value] of query) {
    if (RESERVED.has(name)) continue
    const { field, modifier } = parseFilterName(name)
    if (fields[field] === undefined) {
      throw apiErrors.InvalidOption({
        object: name,
        field: name,
        message: `"${field}" is not a field to filter by`,
      })
    }
    const key = `${field}_${modifier}`
    const filter = filters.get(key) ?? { field, modifier, values: [] }
    filter.values.push(value)
    filters.set(key, filter)
  }
  const limit = Number(query.get('limit') ?? DEFAULT_LIMIT)
  if (!Number.isInteger(limit)) throw apiErrors.InvalidFormat({ object: 'limit', field: 'limit' })
  const sort = query.get('sort') ?? undefined
  if (sort !== undefined && fields[sort] === undefined) {
    throw apiErrors.InvalidOption({
      object: 'sort',
      field: 'sort',
      message: `"${sort}" is not a field to sort by`,
    })
  }
  return {
    filters: [...filters.values()],
    sort,
    order: query.get('order') === 'desc' ? 'desc' : 'asc',
    limit: limit <= 0 ? MAXIMUM_LIMIT : Math.min(limit, MAXIMUM_LIMIT),
    offset: parseMarker(query.get('marker')),
  }
}

/** SQL's LIKE: `%` is any text, `_` any character. */
function matchesLike(text: string, pattern: string): boolean {
  const expression = pattern
    .split('')
    .map(character =>
      character === '%' ? '.*' : character === '_' ? '.' : character.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
    )
    .join('')
  return new RegExp(`^${expression}$`, 's').test(text)
}

function compare(value: unknown, other: string): number {
  if (typeof value === 'number') return value - Number(other)
  const text = String(value)
  return text < other ? -1 : text > other ? 1 : 0
}

function matchesOne(value: unknown, modifier: Modifier, wanted: string): boolean {
  const absent = value === undefined || value === null
  switch (modifier) {
    case 'null':
      return absent
    case 'notnull':
      return !absent
    case 'eq':
      return !absent && String(value) === wanted
    case 'ne':
      return absent || String(value) !== wanted
    case 'prefix':
      return !absent && String(value).startsWith(wanted)
    case 'like':
      return !absent && matchesLike(String(value), wanted)
    case 'notlike':
      return absent || !matchesLike(String(value), wanted)
    case 'lt':
      return !absent && compare(value, wanted) < 0
    case 'lte':
      return !absent && compare(value, wanted) <= 0
    case 'gt':
      return !absent && compare(value, wanted) > 0
    case 'gte':
      return !absent && compare(value, wanted) >= 0
  }
}

/** Whether a resource, as shown, passes all filters. */
export function passes(resource: Readonly<Record<string, unknown>>, filters: readonly Filter[]): boolean {
  return filters.every(({ field, modifier, values }) => {
    const test = (wanted: string) => matchesOne(resource[field], modifier, wanted)
    // Several negative conditions must all hold; of several positive ones any is enough.
    return modifier === 'ne' || modifier === 'notlike' ? values.every(test) : values.some(test)
  })
}

/** Orders resources by a field; equal ones keep their order. */
export function sorted<T extends Readonly<Record<string, unknown>>>(
  resources: readonly T[],
  query: Pick<ListQuery, 'sort' | 'order'>,
): readonly T[] {
  const { sort, order } = query
  if (sort === undefined) return order === 'desc' ? resources.toReversed() : resources
  const direction = order === 'desc' ? -1 : 1
  return resources.toSorted((a, b) => direction * compare(a[sort] ?? '', String(b[sort] ?? '')))
}

export function formatMarker(offset: number): string {
  return `m${offset}`
}
