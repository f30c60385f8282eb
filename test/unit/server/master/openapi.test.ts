/** OpenAPI documents, beside those of real servers. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { temporaryMaster } from './temporary-master.ts'

const root = path.resolve(import.meta.dirname, '../../../..')
const reference = process.env.DROVER_KUBERNETES_REFERENCE ?? path.join(root, '../shared/kubernetes')
const skip = existsSync(path.join(reference, '1.36/swagger.json'))
  ? false
  : `no reference data at ${reference}`

interface Parameter {
  readonly name: string
  readonly in: string
  readonly type?: string
  readonly required?: boolean
  readonly $ref?: string
}

interface OperationDocument {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly parameters?: readonly Parameter[]
  readonly responses: Readonly<Record<string, { readonly schema?: { $ref?: string; type?: string } }>>
  readonly 'x-kubernetes-action'?: string
  readonly 'x-kubernetes-group-version-kind'?: object
}

interface Swagger {
  readonly paths: Readonly<
    Record<string, Record<string, OperationDocument> & { parameters?: readonly Parameter[] }>
  >
  readonly parameters?: Readonly<Record<string, Parameter>>
}

/** Of alpha features, and of other stores than ours. */
const UNKNOWN_PARAMETERS = new Set(['shardSelector', 'ignoreStoreReadErrorWithClusterBreakingPotential'])

/** Answers to who asks what there is have no schemas here. */
const UNDESCRIBED =
  /\/(apis?|apis\/[^/]+|api\/v1|apis\/[^/]+\/[^/]+|version|openid\/v1\/jwks|openid-configuration)\/$/

/** Deprecated, of groups without anything generally available, and of machines that have no files of such logs. */
const UNSERVED =
  /(\/componentstatuses(\/\{name\})?|\}\/bindings| \/logs\/.*|\/(internal\.apiserver|storagemigration)\.k8s\.io\/)$/

function said(swagger: Swagger, place: string, method: string) {
  const item = swagger.paths[place]
  const operation = item?.[method]
  if (item === undefined || operation === undefined) return undefined
  const resolve = (parameter: Parameter) =>
    parameter.$ref === undefined ? parameter : swagger.parameters?.[parameter.$ref.split('/').at(-1) ?? '']
  const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])]
    .flatMap(each => resolve(each) ?? [])
    .filter(({ name }) => !UNKNOWN_PARAMETERS.has(name))
  const { $ref, type = '' } = operation.responses[200]?.schema ?? {}
  return {
    id: operation.operationId,
    tags: operation.tags,
    action: operation['x-kubernetes-action'],
    kind: operation['x-kubernetes-group-version-kind'],
    answer: UNDESCRIBED.test(place) ? '' : ($ref?.split('/').at(-1) ?? type),
    statuses: Object.keys(operation.responses).toSorted(),
    parameters: [
      ...new Set(
        parameters.map(each => `${each.in} ${each.name} ${each.type ?? ''} ${each.required ?? false}`),
      ),
    ].toSorted(),
  }
}

function operationsOf({ paths }: Swagger): string[] {
  return Object.entries(paths).flatMap(([place, item]) =>
    Object.keys(item)
      .filter(method => method !== 'parameters')
      .map(method => `${method} ${place}`),
  )
}

t.test('every operation is called and described as by a real server', { skip }, async t => {
  const { ask } = await temporaryMaster(t)
  const theirs: Swagger = JSON.parse(await readFile(path.join(reference, '1.36/swagger.json'), 'utf8'))
  const ours: Swagger = (await ask('/openapi/v2')).body
  const general = operationsOf(theirs).filter(each => !/v\d+(alpha|beta)\d+/.test(each))
  const served = new Set(operationsOf(ours))
  const missing = general.filter(each => !served.has(each))
  t.strictSame(
    missing.filter(each => !UNSERVED.test(each)),
    [],
    'what is not served is in the README of the room',
  )
  const known = new Set(general)
  t.strictSame(
    [...served].filter(each => !known.has(each)),
    [],
    'nothing besides',
  )
  for (const each of served) {
    const [method = '', place = ''] = each.split(' ')
    t.strictSame(said(ours, place, method), said(theirs, place, method), each)
  }
})

t.test('both versions tell of the same operations', async t => {
  const { ask } = await temporaryMaster(t)
  const second: Swagger = (await ask('/openapi/v2')).body
  const index = (await ask('/openapi/v3')).body as { paths: Record<string, { serverRelativeURL: string }> }
  const third = await Promise.all(
    Object.values(index.paths).map(
      async ({ serverRelativeURL }) => (await ask(serverRelativeURL)).body as Swagger,
    ),
  )
  t.strictSame(third.flatMap(operationsOf).toSorted(), operationsOf(second).toSorted())
  const ids = (documents: readonly Swagger[]) =>
    documents
      .flatMap(({ paths }) => Object.values(paths))
      .flatMap(({ parameters: _, ...item }) => Object.values(item as Record<string, OperationDocument>))
      .map(({ operationId }) => operationId)
      .toSorted()
  t.strictSame(ids(third), ids([second]))
  t.equal(new Set(ids([second])).size, ids([second]).length, 'no name twice')
})
