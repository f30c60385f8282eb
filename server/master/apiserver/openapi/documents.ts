/** OpenAPI v2 and v3 documents of what is served, for validation, explain and apply in clients. */
import { createHash } from 'node:crypto'
import type { Catalog, GroupVersion } from '../catalog/index.ts'
import { toSecondVersion } from '../custom/index.ts'
import type { JsonObject } from '../json.ts'
import type { ObjectSchema } from '../schema/index.ts'
import { groupOperation, groupsOf, resourceListOperation, serverOperations } from './discovery-paths.ts'
import { groupVersionPath, type Operation, operationsOf, type ProtocolSchemas } from './paths.ts'
import { type Dialect, documentName, schemasOf } from './schemas.ts'
import { encodeSecondVersion } from './second-version-protobuf.ts'

const V2: Dialect = {
  reference: name => ({ $ref: `#/definitions/${name}` }),
  defaults: false,
  published: toSecondVersion,
}
const V3: Dialect = {
  // Wrapped, because nothing may stand beside a `$ref` in OpenAPI 3.0.
  reference: name => ({ allOf: [{ $ref: `#/components/schemas/${name}` }] }),
  defaults: true,
  published: schema => schema,
}

/** What of an operation is the same in both versions. */
function described({ operationId, tag, action, kind }: Operation) {
  return {
    operationId,
    tags: [tag],
    ...(action === undefined ? {} : { 'x-kubernetes-action': action }),
    ...(kind === undefined ? {} : { 'x-kubernetes-group-version-kind': kind }),
  }
}

function byPath(operations: readonly Operation[], describe: (operation: Operation) => unknown) {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const operation of operations) {
    const methods = paths[operation.path] ?? {}
    methods[operation.method] = describe(operation)
    paths[operation.path] = methods
  }
  return paths
}

const REFUSED = { 401: { description: 'Unauthorized' } }
const SUCCESSES: Readonly<Record<number, string>> = { 200: 'OK', 201: 'Created', 202: 'Accepted' }

function v2Operation({ body, answer, statuses, consumes, produces, parameters, ...operation }: Operation) {
  const schemaOf = (schema: ObjectSchema | 'object' | 'string') =>
    typeof schema === 'string' ? { type: schema } : V2.reference(documentName(schema))
  const sent =
    body === undefined
      ? []
      : [
          {
            ...{ in: 'body', name: 'body', schema: schemaOf(body.schema) },
            ...(body.required ? { required: true } : {}),
          },
        ]
  const success = (status: number) => ({
    description: SUCCESSES[status],
    ...(answer === undefined ? {} : { schema: schemaOf(answer) }),
  })
  return {
    ...described({ ...operation, statuses, consumes, produces, parameters }),
    ...{ consumes, produces },
    parameters: [
      ...parameters
        .filter(parameter => parameter.in === 'path')
        .map(parameter => ({ ...parameter, required: true, uniqueItems: true })),
      ...sent,
      ...parameters
        .filter(parameter => parameter.in === 'query')
        .map(parameter => ({ ...parameter, uniqueItems: true })),
    ],
    responses: {
      ...Object.fromEntries(statuses.map(status => [status, success(status)])),
      ...REFUSED,
    },
  }
}

function v3Operation(operation: Operation) {
  const { body, answer, statuses, consumes, produces, parameters } = operation
  const schemaOf = (schema: ObjectSchema | 'object' | 'string') =>
    typeof schema === 'string' ? { type: schema } : { $ref: `#/components/schemas/${documentName(schema)}` }
  const success = (status: number) => ({
    description: SUCCESSES[status],
    ...(answer === undefined
      ? {}
      : { content: Object.fromEntries(produces.map(media => [media, { schema: schemaOf(answer) }])) }),
  })
  const requestBody = body && {
    content: Object.fromEntries(consumes.map(media => [media, { schema: schemaOf(body.schema) }])),
    ...(body.required ? { required: true } : {}),
  }
  return {
    ...described(operation),
    parameters: parameters.map(({ name, in: place, type }) => ({
      ...{ name, in: place, schema: { type, uniqueItems: true } },
      ...(place === 'path' ? { required: true } : {}),
    })),
    ...(requestBody === undefined ? {} : { requestBody }),
    responses: {
      ...Object.fromEntries(statuses.map(status => [status, success(status)])),
      ...REFUSED,
    },
  }
}

function protocolOf({ schemas }: Catalog): ProtocolSchemas {
  const named = (name: string) => schemas.byName(`apimachinery.pkg.apis.meta.v1.${name}`)
  return {
    status: named('Status'),
    watchEvent: named('WatchEvent'),
    deleteOptions: named('DeleteOptions'),
  }
}

/** Operations on the resources of group versions. */
function operationsIn(catalog: Catalog, groupVersions: readonly GroupVersion[]): Operation[] {
  const protocol = protocolOf(catalog)
  return groupVersions.flatMap(groupVersion => [
    resourceListOperation(groupVersion),
    ...groupVersion.resources.flatMap(resource => operationsOf(resource, protocol)),
  ])
}

function rootsOf(catalog: Catalog, group: string, version: string): ObjectSchema[] {
  const { resources = [] } =
    catalog.groupVersions.find(item => item.group === group && item.version === version) ?? {}
  return resources.flatMap(resource => [
    resource.schema,
    ...(resource.listSchema === undefined ? [] : [resource.listSchema]),
    ...[...resource.subresources.values()].flatMap(({ schema }) => (schema === undefined ? [] : [schema])),
  ])
}

/** The OpenAPI v2 document of group versions. */
function secondVersion(catalog: Catalog, groupVersions: readonly GroupVersion[]) {
  const operations = [
    ...(catalog.base === undefined ? serverOperations() : []),
    ...groupsOf(groupVersions).map(groupOperation),
    ...operationsIn(catalog, groupVersions),
  ]
  const roots = groupVersions.flatMap(({ group, version }) => rootsOf(catalog, group, version))
  return {
    swagger: '2.0',
    info: { title: 'Kubernetes', version: `v${catalog.version}.0` },
    paths: byPath(operations, v2Operation),
    definitions: schemasOf(catalog, roots, V2),
  }
}

/** A part of an OpenAPI v2 document as protobuf: see `second-version-protobuf.ts`. */
export function secondVersionPartProtobuf(part: JsonObject): Buffer {
  return encodeSecondVersion(part)
}

/** The OpenAPI v2 document of everything, as JSON. */
export function openApiV2(catalog: Catalog): string {
  return JSON.stringify(secondVersion(catalog, catalog.groupVersions))
}

/** The OpenAPI v2 document of group versions as protobuf. */
export function openApiV2Protobuf(catalog: Catalog, groupVersions: readonly GroupVersion[]): Buffer {
  return encodeSecondVersion(secondVersion(catalog, groupVersions) as unknown as JsonObject)
}

/** The OpenAPI v3 documents of group versions by path below `/openapi/v3`, as JSON. */
export function openApiV3(
  catalog: Catalog,
  groupVersions: readonly GroupVersion[],
): ReadonlyMap<string, string> {
  const documents = new Map<string, string>()
  const add = (path: string, operations: readonly Operation[], roots: readonly ObjectSchema[]) => {
    const document = JSON.stringify({
      openapi: '3.0.0',
      info: { title: 'Kubernetes', version: `v${catalog.version}.0` },
      paths: byPath(operations, v3Operation),
      components: { schemas: schemasOf(catalog, roots, V3) },
    })
    documents.set(path, document)
  }
  for (const operation of [
    ...(catalog.base === undefined ? serverOperations() : []),
    ...groupsOf(groupVersions).map(groupOperation),
  ]) {
    add(operation.path.slice(1, -1), [operation], [])
  }
  for (const groupVersion of groupVersions) {
    const { group, version } = groupVersion
    const path = groupVersionPath(groupVersion).slice(1)
    add(path, operationsIn(catalog, [groupVersion]), rootsOf(catalog, group, version))
  }
  return documents
}

/** The document that lists those of other paths. */
export function openApiV3Index(documents: ReadonlyMap<string, string>): string {
  const paths = Object.fromEntries(
    [...documents].map(([path, document]) => {
      const hash = createHash('sha256').update(document).digest('hex').toUpperCase()
      return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }]
    }),
  )
  return JSON.stringify({ paths })
}
