/** Paths and operations, as far as clients read them: kinds, actions and the parameters of writes. */
import { apiVersionOf, type GroupVersionKind, type Resource, type Subresource } from '../catalog/index.ts'
import type { ObjectSchema } from '../schema/index.ts'

export interface Operation {
  readonly path: string
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  readonly action: string
  readonly kind: GroupVersionKind
  readonly operationId: string
  /** What is sent; undefined when nothing is. */
  readonly body: ObjectSchema | undefined
  readonly answer: ObjectSchema
  /** Forms of a patch. */
  readonly patchMedia: readonly string[]
  /** Names of parameters in the query. */
  readonly query: readonly string[]
  /** Names of parameters in the path. */
  readonly inPath: readonly string[]
}

const PATCH_MEDIA = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
]
/** Nobody knows how lists of custom kinds would be merged; kubectl looks here before it sends such a patch. */
const CUSTOM_PATCH_MEDIA = PATCH_MEDIA.filter(media => !media.includes('strategic'))

const WRITE_PARAMETERS = ['dryRun', 'fieldManager', 'fieldValidation']
const LIST_PARAMETERS = [
  'allowWatchBookmarks',
  'continue',
  'fieldSelector',
  'labelSelector',
  'limit',
  'resourceVersion',
  'resourceVersionMatch',
  'sendInitialEvents',
  'timeoutSeconds',
  'watch',
]
const DELETE_PARAMETERS = ['dryRun', 'gracePeriodSeconds', 'propagationPolicy']

interface VerbShape {
  readonly method: Operation['method']
  readonly action: string
  readonly query: readonly string[]
  readonly sendsObject: boolean
}

/** Verbs on one object, then verbs on a collection. `list` stands for `watch` too. */
const ITEM_VERBS: Readonly<Record<string, VerbShape>> = {
  get: { method: 'get', action: 'get', query: [], sendsObject: false },
  update: { method: 'put', action: 'put', query: WRITE_PARAMETERS, sendsObject: true },
  patch: { method: 'patch', action: 'patch', query: [...WRITE_PARAMETERS, 'force'], sendsObject: false },
  delete: { method: 'delete', action: 'delete', query: DELETE_PARAMETERS, sendsObject: false },
}
const COLLECTION_VERBS: Readonly<Record<string, VerbShape>> = {
  list: { method: 'get', action: 'list', query: LIST_PARAMETERS, sendsObject: false },
  create: { method: 'post', action: 'post', query: WRITE_PARAMETERS, sendsObject: true },
  deletecollection: {
    method: 'delete',
    action: 'deletecollection',
    query: [...LIST_PARAMETERS, ...DELETE_PARAMETERS],
    sendsObject: false,
  },
}

/** The path of a group version. */
export function groupVersionPath({
  group,
  version,
}: {
  readonly group: string
  readonly version: string
}): string {
  return group === '' ? `/api/${version}` : `/apis/${group}/${version}`
}

interface OperationTarget {
  readonly verbs: readonly string[]
  readonly kind: GroupVersionKind
  readonly schema: ObjectSchema
  readonly suffix: string
  readonly patchMedia: readonly string[]
}

function operationsAt(
  path: string,
  shapes: Readonly<Record<string, VerbShape>>,
  target: OperationTarget,
): Operation[] {
  return target.verbs.flatMap(verb => {
    const shape = shapes[verb]
    if (shape === undefined) return []
    return [
      {
        path,
        method: shape.method,
        action: shape.action,
        kind: target.kind,
        operationId: `${verb}${apiVersionOf(target.kind).replaceAll(/[^A-Za-z0-9]/g, '')}${target.suffix}`,
        body: shape.sendsObject ? target.schema : undefined,
        answer: target.schema,
        patchMedia: target.patchMedia,
        query: shape.query,
        inPath: [...path.matchAll(/\{(\w+)\}/g)].map(match => match[1] ?? ''),
      },
    ]
  })
}

function subresourceOperations(
  itemPath: string,
  subresource: Subresource,
  { suffix, patchMedia }: OperationTarget,
): Operation[] {
  const { name, kind, schema } = subresource
  if (schema === undefined) return []
  // Creating a subresource is a POST to the object.
  const shapes = { ...ITEM_VERBS, ...COLLECTION_VERBS }
  return operationsAt(`${itemPath}/${name}`, shapes, {
    verbs: subresource.verbs,
    kind,
    schema,
    patchMedia,
    suffix: `${suffix}${name.charAt(0).toUpperCase()}${name.slice(1)}`,
  })
}

/** Every operation on a resource. */
export function operationsOf(resource: Resource): Operation[] {
  const { schema, verbs, kind } = resource
  const root = groupVersionPath(resource)
  const collection = `${root}/${resource.namespaced ? 'namespaces/{namespace}/' : ''}${resource.resource}`
  const item = `${collection}/{name}`
  const suffix = `${resource.namespaced ? 'Namespaced' : ''}${kind}`
  const patchMedia = resource.custom === undefined ? PATCH_MEDIA : CUSTOM_PATCH_MEDIA
  const target: OperationTarget = { verbs, kind: resource, schema, suffix, patchMedia }
  const everywhere = resource.namespaced
    ? operationsAt(`${root}/${resource.resource}`, COLLECTION_VERBS, {
        ...target,
        verbs: ['list'],
        suffix: `${kind}ForAllNamespaces`,
      })
    : []
  return [
    ...operationsAt(collection, COLLECTION_VERBS, { ...target, suffix: `${suffix}Collection` }),
    ...operationsAt(item, ITEM_VERBS, target),
    ...everywhere,
    ...[...resource.subresources.values()].flatMap(subresource =>
      subresourceOperations(item, subresource, target),
    ),
  ]
}
