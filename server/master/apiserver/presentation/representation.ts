/** The form in which a client wants its answer (RFC 9110 §12.5.1, Kubernetes "Receiving resources as Tables"). */
import type { IncludeObject } from '../printing/index.ts'
import { StatusError } from '../status.ts'

export interface Representation {
  readonly media: 'json' | 'yaml'
  readonly as: 'object' | 'table' | 'partial'
  /** How much of the object each row of a table carries. */
  readonly include: IncludeObject
}

const LONGEST_ACCEPT = 4096
const META_GROUP = 'meta.k8s.io'

const MEDIA = new Map<string, Representation['media']>([
  ['application/json', 'json'],
  ['application/yaml', 'yaml'],
  ['*/*', 'json'],
  ['application/*', 'json'],
])

const TRANSFORMATIONS = new Map<string, Representation['as']>([
  ['Table', 'table'],
  ['PartialObjectMetadata', 'partial'],
  ['PartialObjectMetadataList', 'partial'],
])

interface Range {
  readonly type: string
  readonly parameters: ReadonlyMap<string, string>
}

/** The ranges of an Accept header, in order. */
export function parseAccept(header: string): Range[] {
  return header
    .slice(0, LONGEST_ACCEPT)
    .split(',')
    .map(part => {
      const [type = '', ...parameters] = part.split(';').map(text => text.trim())
      const pairs = parameters.map(text => {
        const equals = text.indexOf('=')
        return equals < 0 ? ([text, ''] as const) : ([text.slice(0, equals), text.slice(equals + 1)] as const)
      })
      return { type: type.toLowerCase(), parameters: new Map(pairs) }
    })
}

function transformationOf({ parameters }: Range): Representation['as'] | undefined {
  const as = parameters.get('as')
  if (as === undefined) return 'object'
  if (parameters.get('g') !== META_GROUP || parameters.get('v') !== 'v1') return undefined
  return TRANSFORMATIONS.get(as)
}

function includeOf(text: string | null): IncludeObject {
  return text === 'None' || text === 'Object' ? text : 'Metadata'
}

/**
 * The first form in `accept` that there is. Who only names Kubernetes' protobuf gets JSON: clients that ask for it can
 * read both and look at the content type.
 *
 * @throws `NotAcceptable`
 */
export function negotiate(accept: string | undefined, includeObject: string | null): Representation {
  return firstForm(accept, includeOf(includeObject), () => true)
}

/**
 * As `negotiate`, for answers that are no objects with names, and so no rows of a table.
 *
 * @throws `NotAcceptable`
 */
export function negotiateWhole(accept: string | undefined): Representation {
  return firstForm(accept, includeOf(null), as => as === 'object')
}

function firstForm(
  accept: string | undefined,
  include: IncludeObject,
  allows: (as: Representation['as']) => boolean,
): Representation {
  if (accept === undefined || accept === '') return { media: 'json', as: 'object', include }
  const ranges = parseAccept(accept)
  for (const range of ranges) {
    const media = MEDIA.get(range.type)
    const as = transformationOf(range)
    if (media !== undefined && as !== undefined && allows(as)) return { media, as, include }
  }
  if (ranges.some(({ type }) => type === 'application/vnd.kubernetes.protobuf')) {
    return { media: 'json', as: 'object', include }
  }
  throw new StatusError(
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/yaml',
  )
}
