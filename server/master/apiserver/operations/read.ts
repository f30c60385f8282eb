/** Reading objects: one, or lists with selectors and pages. */
import { type Static, Type, validatorOf } from '../../../../kit/index.ts'
import type { StoredObject } from '../../../store/index.ts'
import type { Resource } from '../catalog/index.ts'
import { type Cluster, storeKey } from '../cluster/index.ts'
import type { Selection } from '../selection/index.ts'
import { badRequest, expired, notFound, tooLargeResourceVersion } from '../status.ts'

const LONGEST_TOKEN = 2048

const continueToken = Type.Object({
  /** The revision of the first page. */
  revision: Type.Integer({ minimum: 0 }),
  /** The last object of the page before. */
  namespace: Type.String(),
  name: Type.String(),
})
type ContinueToken = Static<typeof continueToken>
const tokenValidator = validatorOf(continueToken)

export interface ListOptions {
  /** Most objects of one page; 0 is all. */
  readonly limit: number
  /** Where the page before ended. */
  readonly continueToken: string
  /** Empty, or the digits of a revision. */
  readonly resourceVersion: string
  readonly resourceVersionMatch: '' | 'Exact' | 'NotOlderThan'
}

export interface ObjectList {
  readonly revision: number
  readonly objects: readonly StoredObject[]
  /** The token for the next page; undefined on the last one. */
  readonly continueToken?: string
  /** Known only without selectors. */
  readonly remaining?: number
}

/** @throws `NotFound` */
export function getObject(
  { space }: Cluster,
  resource: Resource,
  namespace: string,
  name: string,
): StoredObject {
  const stored = space.get(storeKey(resource, namespace, name))
  if (stored === undefined) throw notFound(resource, name)
  return stored
}

function encodeContinue(token: ContinueToken): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url')
}

/** @throws `BadRequest` */
function decodeContinue(text: string): ContinueToken {
  const refuse = (cause?: unknown) => badRequest('continue key is not valid', cause)
  if (text.length > LONGEST_TOKEN) throw refuse()
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
  } catch (cause) {
    throw refuse(cause)
  }
  if (!tokenValidator.accepts(value)) throw refuse()
  return value
}

/** A resourceVersion as a revision; undefined when it asks for none. @throws `BadRequest` */
export function parseRevision(text: string): number | undefined {
  if (text === '') return undefined
  const revision = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(revision)) {
    throw badRequest(`resourceVersion: Invalid value: ${JSON.stringify(text.slice(0, 80))}: must be a number`)
  }
  return revision
}

/** @throws `BadRequest`, `Timeout` for a revision of the future, `Expired` for an exact one of the past */
function checkRevision(options: ListOptions, current: number): void {
  const revision = parseRevision(options.resourceVersion)
  const { resourceVersionMatch: match } = options
  if (revision === undefined) {
    if (match !== '') throw badRequest('resourceVersionMatch is forbidden unless resourceVersion is provided')
    return
  }
  if (revision === 0) {
    if (match === 'Exact') throw badRequest('resourceVersionMatch Exact is forbidden for resourceVersion 0')
    return
  }
  if (revision > current) throw tooLargeResourceVersion(revision, current)
  if (match === 'Exact' && revision < current) {
    throw expired(`The resourceVersion for the provided list is too old: ${revision} (${current})`)
  }
}

/** Index of the first object after a token's. The objects are in order of namespace, then name. */
function indexAfter(objects: readonly StoredObject[], token: ContinueToken): number {
  let low = 0
  let high = objects.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const key = objects[middle]?.key
    const before =
      key !== undefined &&
      (key.namespace < token.namespace || (key.namespace === token.namespace && key.name <= token.name))
    if (before) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Lists the selected objects of a namespace, or of all when it is empty.
 *
 * @throws `BadRequest`, `Expired` when a page comes too late, `Timeout` for a revision of the future
 */
export function listObjects(
  cluster: Cluster,
  resource: Resource,
  namespace: string,
  selection: Selection,
  options: ListOptions,
): ObjectList {
  const { storeKind } = resource.kept
  const within = namespace === '' && resource.namespaced ? undefined : namespace
  const token = options.continueToken === '' ? undefined : decodeContinue(options.continueToken)
  if (token !== undefined && options.resourceVersion !== '' && options.resourceVersion !== '0') {
    throw badRequest('specifying resource version is not allowed when using continue')
  }
  const { space, snapshots } = cluster
  if (token === undefined) {
    checkRevision(options, space.revision)
    const named = namedObject(cluster, storeKind, within, selection)
    if (named !== undefined) return { revision: space.revision, objects: select(cluster, named, selection) }
    const list = space.list(storeKind, within)
    return page(cluster, { list, start: 0, selection, limit: options.limit, storeKind, within })
  }
  const objects =
    token.revision === space.revision
      ? space.list(storeKind, within).objects
      : snapshots.find(storeKind, within, token.revision)
  if (objects === undefined) {
    throw expired(
      'The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.',
    )
  }
  const list = { revision: token.revision, objects }
  return page(cluster, {
    list,
    start: indexAfter(objects, token),
    selection,
    limit: options.limit,
    storeKind,
    within,
  })
}

/** The one object that a selection by name can mean, without a look at all the others. */
function namedObject(
  { space }: Cluster,
  kind: string,
  namespace: string | undefined,
  selection: Selection,
): StoredObject[] | undefined {
  const name = selection.requiredValue('metadata.name')
  if (name === undefined || namespace === undefined) return undefined
  const stored = space.get({ kind, namespace, name })
  return stored === undefined ? [] : [stored]
}

interface Page {
  readonly list: { readonly revision: number; readonly objects: readonly StoredObject[] }
  readonly start: number
  readonly selection: Selection
  readonly limit: number
  readonly storeKind: string
  readonly within: string | undefined
}

function page(cluster: Cluster, { list, start, selection, limit, storeKind, within }: Page): ObjectList {
  const { revision, objects: all } = list
  if (limit === 0 || all.length - start <= limit) {
    const rest = start === 0 ? all : all.slice(start)
    return { revision, objects: select(cluster, rest, selection) }
  }
  const found: StoredObject[] = []
  let next = start
  for (; next < all.length && found.length < limit; next += 1) {
    const stored = all[next]
    if (stored !== undefined && selection.matches(stored, object => cluster.read(object))) found.push(stored)
  }
  const last = found.at(-1)
  if (next >= all.length || last === undefined) return { revision, objects: found }
  cluster.snapshots.keep(storeKind, within, list)
  const { namespace, name } = last.key
  return {
    revision,
    objects: found,
    continueToken: encodeContinue({ revision, namespace, name }),
    ...(selection.everything ? { remaining: all.length - next } : {}),
  }
}

function select(
  cluster: Cluster,
  objects: readonly StoredObject[],
  selection: Selection,
): readonly StoredObject[] {
  if (selection.everything) return objects
  return objects.filter(stored => selection.matches(stored, object => cluster.read(object)))
}
