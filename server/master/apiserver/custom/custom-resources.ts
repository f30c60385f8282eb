/** The resources that a definition brings, one for each of its versions. */
import type { GroupVersion, Resource, Subresource } from '../catalog/index.ts'
import type { Frozen, JsonObject } from '../json.ts'
import type { ObjectSchema, Schemas } from '../schema/index.ts'
import { customForm } from './custom-form.ts'
import { customStrategy } from './custom-strategy.ts'
import {
  type CustomResourceDefinition,
  compareVersions,
  conditionOf,
  conversionOf,
  type DefinitionVersion,
} from './definition.ts'
import { objectSchemaOf, publishedList, publishedName, publishedSchema } from './object-schema.ts'
import { readSchema } from './schema-node.ts'

const VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch']
const PART_VERBS = ['get', 'patch', 'update']

/** What a definition brings to a cluster's catalog. */
export interface DefinedKind {
  /** Served versions, the preferred one first. */
  readonly served: readonly Resource[]
  /** The version in which objects are kept, served or not. */
  readonly kept: Resource
}

function headOf(kind: string, apiVersion: string): string {
  return `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":{"resourceVersion":"`
}

function outlineOf(schemas: Schemas) {
  const { fields } = schemas.byKind('', 'v1', 'ConfigMap')
  const pick = (name: string) => {
    const field = fields.get(name)
    // Every kind of the table has them.
    if (field === undefined) throw new TypeError(`the table has objects without ${name}`)
    return field
  }
  const metadata = pick('metadata')
  const outline: ObjectSchema = {
    name: '',
    fields: new Map([['metadata', metadata]]),
    completed: [metadata],
    source: { fields: {} },
  }
  return { outline, fields: { apiVersion: pick('apiVersion'), kind: pick('kind'), metadata } }
}

class Definer {
  readonly #definition: Frozen<CustomResourceDefinition>
  readonly #schemas: Schemas
  readonly #since: number
  readonly #isTerminating: () => boolean

  constructor(
    definition: Frozen<CustomResourceDefinition>,
    schemas: Schemas,
    since: number,
    isTerminating: () => boolean,
  ) {
    this.#definition = definition
    this.#schemas = schemas
    this.#since = since
    this.#isTerminating = isTerminating
  }

  #subresources(version: DefinitionVersion, schema: ObjectSchema): Map<string, Subresource> {
    const { group, names } = this.#definition.spec
    const { status, scale } = version.subresources ?? {}
    const subresources = new Map<string, Subresource>()
    const own = { group, version: version.name, kind: names.kind }
    if (status !== undefined)
      subresources.set('status', { name: 'status', kind: own, verbs: PART_VERBS, schema })
    if (scale !== undefined) {
      const kind = { group: 'autoscaling', version: 'v1', kind: 'Scale' }
      subresources.set('scale', {
        name: 'scale',
        kind,
        verbs: PART_VERBS,
        schema: this.#schemas.byKind('autoscaling', 'v1', 'Scale'),
      })
    }
    return subresources
  }

  resource(version: DefinitionVersion): Resource {
    const { spec, status } = this.#definition
    const { group, scope } = spec
    const names = status?.acceptedNames ?? spec.names
    const { kind, plural, listKind = `${kind}List` } = names
    const identity = { group, version: version.name, kind }
    const raw: JsonObject = version.schema?.openAPIV3Schema ?? { type: 'object' }
    const node = readSchema(raw)
    const { outline, fields } = outlineOf(this.#schemas)
    const name = publishedName(group, version.name, kind)
    const schema = objectSchemaOf(node, name, fields, publishedSchema(raw, identity))
    const list: ObjectSchema = {
      ...outline,
      name: publishedName(group, version.name, listKind),
      published: publishedList(name, { ...identity, kind: listKind }),
    }
    const storage = spec.versions.find(each => each.storage)?.name ?? version.name
    const apiVersion = `${group}/${version.name}`
    const keptVersion = `${group}/${storage}`
    const own = headOf(kind, apiVersion)
    return Object.freeze({
      ...identity,
      resource: plural,
      singular: names.singular ?? kind.toLowerCase(),
      listKind,
      namespaced: scope === 'Namespaced',
      verbs: VERBS,
      shortNames: [...(names.shortNames ?? [])],
      categories: [...(names.categories ?? [])],
      subresources: this.#subresources(version, schema),
      schema,
      listSchema: list,
      showsDeleted: false,
      strategy: customStrategy(version, node, this.#isTerminating),
      kept: Object.freeze({
        storeKind: `${group}/${plural}`,
        head: headOf(kind, keptVersion),
        apiVersion: keptVersion,
        kind,
        schema,
      }),
      face: undefined,
      custom: customForm({
        schema: node,
        apiVersion,
        head: own,
        outline,
        since: this.#since,
        conversion: conversionOf(this.#definition),
      }),
      review: false,
      warning: warningOf(version, `${apiVersion} ${kind}`),
    })
  }
}

function warningOf({ deprecated, deprecationWarning }: DefinitionVersion, what: string): string | undefined {
  return deprecated === true ? (deprecationWarning ?? `${what} is deprecated`) : undefined
}

/**
 * The resources of a definition whose names are accepted.
 *
 * @param since the revision from which on objects are written under its schemas
 */
export function resourcesOf(
  definition: Frozen<CustomResourceDefinition>,
  schemas: Schemas,
  since: number,
  isTerminating: () => boolean = () => conditionOf(definition, 'Terminating')?.status === 'True',
): DefinedKind {
  const definer = new Definer(definition, schemas, since, isTerminating)
  const versions = (definition.spec.versions as DefinitionVersion[]).toSorted((a, b) =>
    compareVersions(a.name, b.name),
  )
  const made = new Map(versions.map(version => [version, definer.resource(version)] as const))
  const storage = versions.find(version => version.storage) ?? versions[0]
  const kept = storage && made.get(storage)
  if (kept === undefined) throw new TypeError('a definition without versions')
  return {
    served: versions.flatMap(version => (version.served ? [made.get(version) as Resource] : [])),
    kept,
  }
}

/** Resources by group and version, as catalogs list them: groups by name, the preferred version first. */
export function groupVersionsOf(kinds: Iterable<DefinedKind>): GroupVersion[] {
  const resources = [...kinds].flatMap(({ served }) => served)
  const grouped = Map.groupBy(resources, ({ group, version }) => `${group}/${version}`)
  return [...grouped.values()]
    .map(list => ({
      group: list[0]?.group ?? '',
      version: list[0]?.version ?? '',
      resources: list.toSorted((a, b) => (a.resource < b.resource ? -1 : 1)),
    }))
    .toSorted((a, b) =>
      a.group === b.group ? compareVersions(a.version, b.version) : a.group < b.group ? -1 : 1,
    )
}
