/**
 * The generated table of one Kubernetes version: which kinds there are, what fields they have, under which paths
 * they are served. The generator (`../generate`) writes it, this module reads it and checks that it is whole.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type Static, Type, validatorOf } from '../../../../kit/index.ts'
import { apiServerErrors } from '../errors.ts'

/**
 * A type as text: `string`, `string:byte`, `integer:int32`, `integer:int64`, `number`, `boolean`, `any`, `time`,
 * `micro-time`, `quantity`, `int-or-string`, `#NAME` (a definition), `[]T` (list of T), `{}T` (map of strings to T).
 */
const tableField = Type.Union([
  Type.String(),
  Type.Object({
    type: Type.String(),
    /** `x-kubernetes-patch-merge-key` */
    mergeKey: Type.Optional(Type.String()),
    /** `x-kubernetes-patch-strategy`, comma-separated */
    patch: Type.Optional(Type.String()),
    /** `x-kubernetes-list-type` */
    list: Type.Optional(Type.String()),
    /** `x-kubernetes-list-map-keys` */
    keys: Type.Optional(Type.Array(Type.String())),
    /** `x-kubernetes-map-type` */
    map: Type.Optional(Type.String()),
    enum: Type.Optional(Type.Array(Type.String())),
    default: Type.Optional(Type.Unknown()),
    /** Zero and empty are values of their own and not the same as absent. */
    zero: Type.Optional(Type.Literal(true)),
  }),
])

/** Protobuf field number and name; a list of such pairs in place of a name is a message without a name in JSON. */
const wireField = Type.Cyclic(
  { Wire: Type.Array(Type.Tuple([Type.Integer(), Type.Union([Type.String(), Type.Ref('Wire')])])) },
  'Wire',
)

const tableDefinition = Type.Object({
  fields: Type.Record(Type.String(), tableField),
  required: Type.Optional(Type.Array(Type.String())),
  /** `x-kubernetes-map-type` */
  map: Type.Optional(Type.String()),
  /** `group/version/Kind` of definitions that are whole objects; the core group is empty. */
  kinds: Type.Optional(Type.Array(Type.String())),
  /** The protobuf form. */
  wire: Type.Optional(wireField),
})

const tableSubresource = Type.Object({
  name: Type.String(),
  /** `group/version/Kind` of what is sent and received. */
  kind: Type.String(),
  verbs: Type.Array(Type.String()),
})

const tableResource = Type.Object({
  name: Type.String(),
  singular: Type.String(),
  kind: Type.String(),
  namespaced: Type.Boolean(),
  verbs: Type.Array(Type.String()),
  shortNames: Type.Optional(Type.Array(Type.String())),
  categories: Type.Optional(Type.Array(Type.String())),
  subresources: Type.Optional(Type.Array(tableSubresource)),
})

const tableGroupVersion = Type.Object({
  /** Empty for the core group. */
  group: Type.String(),
  version: Type.String(),
  resources: Type.Array(tableResource),
})

const kindTable = Type.Object({
  format: Type.Literal(1),
  version: Type.String(),
  /** SHA-256 over `groupVersions` and `definitions`. */
  checksum: Type.String(),
  groupVersions: Type.Array(tableGroupVersion),
  definitions: Type.Record(Type.String(), tableDefinition),
})

export type TableField = Static<typeof tableField>
export type TableWire = [number, string | TableWire][]
export type TableDefinition = Static<typeof tableDefinition>
export type TableSubresource = Static<typeof tableSubresource>
export type TableResource = Static<typeof tableResource>
export type TableGroupVersion = Static<typeof tableGroupVersion>
export type KindTable = Static<typeof kindTable>

const validator = validatorOf(kindTable)

/** Every definition's name begins with this in an OpenAPI document; the table leaves it out. */
export const DEFINITION_PREFIX = 'io.k8s.'

/** The checksum that a table with this content carries. */
export function tableChecksum(content: Pick<KindTable, 'groupVersions' | 'definitions'>): string {
  return createHash('sha256')
    .update(JSON.stringify([content.groupVersions, content.definitions]))
    .digest('hex')
}

/** Reads a table's text. @throws `CorruptTable` when it is not what the generator wrote */
export function parseTable(text: string, object: string): KindTable {
  let table: KindTable
  try {
    table = validator.parse(JSON.parse(text), object)
  } catch (cause) {
    throw apiServerErrors.CorruptTable({ object, cause })
  }
  if (tableChecksum(table) !== table.checksum) throw apiServerErrors.CorruptTable({ object })
  return table
}

const loading = new Map<string, Promise<KindTable>>()

/**
 * The table of a Kubernetes version (`1.36`), read once and shared by every cluster of the process.
 *
 * @throws `CorruptTable`, `UnknownVersion`
 */
export function loadTable(version: string): Promise<KindTable> {
  let table = loading.get(version)
  if (table === undefined) {
    table = readTable(version)
    loading.set(version, table)
    // A failed read must not be remembered: the file may be mended while the process runs.
    table.catch(() => loading.delete(version))
  }
  return table
}

async function readTable(version: string): Promise<KindTable> {
  const file = new URL(`../gen/kubernetes-${version}.json`, import.meta.url)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw apiServerErrors.UnknownVersion({ object: `Kubernetes ${version}`, cause })
  }
  return parseTable(text, `Kubernetes ${version}`)
}
