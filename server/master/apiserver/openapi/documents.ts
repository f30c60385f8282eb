/** OpenAPI v2 and v3 documents of what is served, for validation, explain and apply in clients. */
import { createHash } from 'node:crypto'
import type { Catalog, GroupVersion, GroupVersionKind } from '../catalog/index.ts'
import { toSecondVersion } from '../custom/index.ts'
import type { JsonObject } from '../json.ts'
import type { ObjectSchema } from '../schema/index.ts'
import { groupVersionPath, type Operation, operationsOf } from './paths.ts'
import { type Dialect, documentName, schemasOf } from './schemas.ts'
import { encodeSecondVersion } from './second-version-protobuf.ts'

const JSON_MEDIA = 'application/json'

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

function kindExtension({ group, version, kind }: GroupVersionKind) {
  return { 'x-kubernetes-group-version-kind': { group, kind, version } }
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

function v2Operation(operation: Operation) {
  const reference = (schema: ObjectSchema) => V2.reference(documentName(schema))
  const body =
    operation.body === undefined && operation.method !== 'patch'
      ? []
      : [
          {
            in: 'body',
            name: 'body',
            required: true,
            schema: operation.body === undefined ? { type: 'object' } : reference(operation.body),
          },
        ]
  return {
    operationId: operation.operationId,
    consumes: operation.method === 'patch' ? operation.patchMedia : ['*/*'],
    produces: [JSON_MEDIA, 'application/yaml'],
    parameters: [
      ...operation.inPath.map(name => ({
        in: 'path',
        name,
        required: true,
        type: 'string',
        uniqueItems: true,
      })),
      ...body,
      ...operation.query.map(name => ({ in: 'query', name, type: 'string', uniqueItems: true })),
    ],
    responses: { 200: { description: 'OK', schema: reference(operation.answer) } },
    'x-kubernetes-action': operation.action,
    ...kindExtension(operation.kind),
  }
}

function v3Operation(operation: Operation) {
  const reference = (schema: ObjectSchema) => ({
    $ref: `#/components/schemas/${documentName(schema)}`,
  })
  const patch = Object.fromEntries(operation.patchMedia.map(media => [media, { schema: { type: 'object' } }]))
  const content =
    operation.method === 'patch'
      ? patch
      : operation.body === undefined
        ? undefined
        : { '*/*': { schema: reference(operation.body) } }
  return {
    operationId: operation.operationId,
    parameters: [
      ...operation.inPath.map(name => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
      ...operation.query.map(name => ({ name, in: 'query', schema: { type: 'string' } })),
    ],
    ...(content === undefined ? {} : { requestBody: { content } }),
    responses: {
      200: { description: 'OK', content: { [JSON_MEDIA]: { schema: reference(operation.answer) } } },
    },
    'x-kubernetes-action': operation.action,
    ...kindExtension(operation.kind),
  }
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
  const operations = groupVersions.flatMap(({ resources }) => resources.flatMap(operationsOf))
  const roots = groupVersions.flatMap(({ group, version }) => rootsOf(catalog, group, version))
  return {
    swagger: '2.0',
    info: { title: 'Kubernetes', version: `v${catalog.version}.0` },
    paths: byPath(operations, v2Operation),
    definitions: schemasOf(catalog, roots, V2),
  }
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
  for (const { group, version, resources } of groupVersions) {
    const document = JSON.stringify({
      openapi: '3.0.0',
      info: { title: 'Kubernetes', version: `v${catalog.version}.0` },
      paths: byPath(resources.flatMap(operationsOf), v3Operation),
      components: { schemas: schemasOf(catalog, rootsOf(catalog, group, version), V3) },
    })
    documents.set(groupVersionPath({ group, version }).slice(1), document)
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
