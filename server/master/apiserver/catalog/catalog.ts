/** Everything a cluster of one Kubernetes version serves. Frozen, and shared by all clusters of that version. */
import {
  type KindTable,
  loadTable,
  Schemas,
  type TableResource,
  type TableSubresource,
} from '../schema/index.ts'
import { pathNotFound } from '../status.ts'
import { ENABLED, type EnabledResource, SHOW_DELETED } from './enabled.ts'
import {
  apiVersionOf,
  type GroupVersionKind,
  type KeptForm,
  type Resource,
  type Subresource,
} from './resource.ts'

export interface GroupVersion {
  readonly group: string
  readonly version: string
  readonly resources: readonly Resource[]
}

function parseKind(text: string): GroupVersionKind {
  const [group = '', version = '', kind = ''] = text.split('/')
  return { group, version, kind }
}

function storeKind(group: string, resource: string): string {
  return group === '' ? resource : `${group}/${resource}`
}

/** Where the kinds of a catalog come from. */
interface CatalogParts {
  readonly version: string
  readonly schemas: Schemas
  readonly groupVersions: readonly GroupVersion[]
  readonly byPath: ReadonlyMap<string, Resource>
  /** Each kept object belongs to exactly one. */
  readonly kept: readonly Resource[]
}

function pathOf({ group, version, resource }: Resource): string {
  return `${group}/${version}/${resource}`
}

function keptOf(groupVersions: readonly GroupVersion[]): Resource[] {
  return groupVersions
    .flatMap(({ resources }) => resources)
    .filter(({ face, review }) => face === undefined && !review)
}

function byPathOf(resources: readonly Resource[]): Map<string, Resource> {
  return new Map(resources.map(resource => [pathOf(resource), resource]))
}

export class Catalog {
  /** `1.36` */
  readonly version: string
  readonly schemas: Schemas
  /** In order of preference, the core group first. */
  readonly groupVersions: readonly GroupVersion[]
  /** What all clusters of the version share; undefined for that itself. */
  readonly base: Catalog | undefined
  readonly #byPath: ReadonlyMap<string, Resource>
  readonly #kept: readonly Resource[]

  constructor({ version, schemas, groupVersions, byPath, kept }: CatalogParts, base?: Catalog) {
    this.version = version
    this.schemas = schemas
    this.groupVersions = Object.freeze(groupVersions)
    this.base = base
    this.#byPath = byPath
    this.#kept = kept
  }

  /** This catalog and more. What it has already stays as it is. @param kept of the additional kinds, served or not */
  extend(groupVersions: readonly GroupVersion[], kept: readonly Resource[]): Catalog {
    const own = new Set(this.groupVersions.map(apiVersionOf))
    const added = groupVersions.filter(groupVersion => !own.has(apiVersionOf(groupVersion)))
    return new Catalog(
      {
        version: this.version,
        schemas: this.schemas,
        groupVersions: [...this.groupVersions, ...added],
        byPath: byPathOf(added.flatMap(({ resources }) => resources)),
        kept,
      },
      this,
    )
  }

  /** What the base does not have. */
  ownGroupVersions(): readonly GroupVersion[] {
    return this.groupVersions.slice(this.base?.groupVersions.length ?? 0)
  }

  /** The resource under a path; undefined when it is not served. */
  find(group: string, version: string, resource: string): Resource | undefined {
    const path = `${group}/${version}/${resource}`
    return this.#byPath.get(path) ?? this.base?.find(group, version, resource)
  }

  /** A resource that the program itself uses. @throws `NotFound`: custom kinds come and go */
  get(group: string, version: string, resource: string): Resource {
    const found =
      this.find(group, version, resource) ??
      this.#kept.find(each => each.group === group && each.version === version && each.resource === resource)
    if (found === undefined) throw pathNotFound()
    return found
  }

  /** Resources whose objects are kept in their own form: each kept object belongs to exactly one. */
  keptResources(): Resource[] {
    return [...(this.base?.keptResources() ?? []), ...this.#kept]
  }
}

/** Makes the resources of a table. */
class TableReader {
  readonly schemas: Schemas

  constructor(table: KindTable) {
    this.schemas = new Schemas(table)
  }

  read({ groupVersions }: KindTable): GroupVersion[] {
    const enabled = new Map(ENABLED.map(entry => [entry.path, entry]))
    return groupVersions.flatMap(({ group, version, resources }) => {
      const served = resources.flatMap(resource => {
        const entry = enabled.get(`${group}/${version}/${resource.name}`)
        return entry === undefined ? [] : [this.#resource(group, version, resource, entry)]
      })
      return served.length === 0 ? [] : [{ group, version, resources: served }]
    })
  }

  #resource(group: string, version: string, described: TableResource, enabled: EnabledResource): Resource {
    const { kind, name } = described
    const schema = this.schemas.byKind(group, version, kind)
    const subresources = (described.subresources ?? [])
      .filter(subresource => enabled.subresources?.includes(subresource.name) === true)
      .map(subresource => [subresource.name, this.#subresource(subresource)] as const)
    return Object.freeze({
      group,
      version,
      kind,
      resource: name,
      singular: described.singular,
      listKind: `${kind}List`,
      namespaced: described.namespaced,
      verbs: described.verbs,
      shortNames: described.shortNames ?? [],
      categories: described.categories ?? [],
      subresources: new Map(subresources),
      schema,
      listSchema: enabled.review === true ? undefined : this.schemas.byKind(group, version, `${kind}List`),
      strategy: enabled.strategy,
      kept: this.#kept(group, version, described, enabled),
      face: enabled.face,
      custom: undefined,
      warning: enabled.warning,
      showsDeleted: SHOW_DELETED.has(`${group}/${name}`),
      review: enabled.review === true,
    })
  }

  #kept(group: string, version: string, { kind, name }: TableResource, { face }: EnabledResource): KeptForm {
    if (face !== undefined) {
      const [keptGroup = '', keptVersion = '', keptName = ''] = face.kept.split('/')
      // Faces change names of fields, not the kind's own name.
      return this.#keptForm(keptGroup, keptVersion, keptName, kind)
    }
    return this.#keptForm(group, version, name, kind)
  }

  #keptForm(group: string, version: string, resource: string, kind: string): KeptForm {
    const apiVersion = apiVersionOf({ group, version })
    return Object.freeze({
      storeKind: storeKind(group, resource),
      head: `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":{"resourceVersion":"`,
      apiVersion,
      kind,
      schema: this.schemas.byKind(group, version, kind),
    })
  }

  #subresource({ name, kind, verbs }: TableSubresource): Subresource {
    const parsed = parseKind(kind)
    // Connect options (exec, attach, …) travel in the query and have no definition.
    const hasBody = verbs.some(verb => verb !== 'get') && !parsed.kind.endsWith('Options')
    return Object.freeze({
      name,
      kind: parsed,
      verbs,
      schema: hasBody ? this.schemas.byKind(parsed.group, parsed.version, parsed.kind) : undefined,
    })
  }
}

/** The catalog of a table. */
export function catalogOf(table: KindTable): Catalog {
  const reader = new TableReader(table)
  const groupVersions = reader.read(table)
  const resources = groupVersions.flatMap(each => each.resources)
  const { version } = table
  const { schemas } = reader
  return new Catalog({
    version,
    schemas,
    groupVersions,
    byPath: byPathOf(resources),
    kept: keptOf(groupVersions),
  })
}

const catalogs = new Map<string, Promise<Catalog>>()

/**
 * The catalog of a Kubernetes version, made once for the process.
 *
 * @throws `UnknownVersion`, `CorruptTable`
 */
export function loadCatalog(version: string): Promise<Catalog> {
  let catalog = catalogs.get(version)
  if (catalog === undefined) {
    catalog = loadTable(version).then(catalogOf)
    catalogs.set(version, catalog)
    catalog.catch(() => catalogs.delete(version))
  }
  return catalog
}
