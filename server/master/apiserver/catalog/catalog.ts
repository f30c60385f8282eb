/** Everything a cluster of one Kubernetes version serves. Frozen, and shared by all clusters of that version. */
import { apiServerErrors } from '../errors.ts'
import {
  type KindTable,
  loadTable,
  Schemas,
  type TableResource,
  type TableSubresource,
} from '../schema/index.ts'
import { ENABLED, type EnabledResource } from './enabled.ts'
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

export class Catalog {
  /** `1.36` */
  readonly version: string
  readonly schemas: Schemas
  /** In order of preference, the core group first. */
  readonly groupVersions: readonly GroupVersion[]
  readonly #byPath = new Map<string, Resource>()

  constructor(table: KindTable) {
    this.version = table.version
    this.schemas = new Schemas(table)
    const enabled = new Map(ENABLED.map(entry => [entry.path, entry]))
    this.groupVersions = table.groupVersions.flatMap(({ group, version, resources }) => {
      const served = resources.flatMap(resource => {
        const entry = enabled.get(`${group}/${version}/${resource.name}`)
        return entry === undefined ? [] : [this.#resource(group, version, resource, entry)]
      })
      return served.length === 0 ? [] : [{ group, version, resources: served }]
    })
    for (const { resources } of this.groupVersions) {
      for (const resource of resources) {
        this.#byPath.set(`${resource.group}/${resource.version}/${resource.resource}`, resource)
      }
    }
    Object.freeze(this.groupVersions)
  }

  /** The resource under a path; undefined when it is not served. */
  find(group: string, version: string, resource: string): Resource | undefined {
    return this.#byPath.get(`${group}/${version}/${resource}`)
  }

  /** A resource that the program itself uses. @throws `CorruptTable` when the table does not have it */
  get(group: string, version: string, resource: string): Resource {
    const found = this.find(group, version, resource)
    if (found === undefined)
      throw apiServerErrors.CorruptTable({ object: `resource ${group}/${version}/${resource}` })
    return found
  }

  /** Resources whose objects are kept in their own form: each kept object belongs to exactly one. */
  keptResources(): Resource[] {
    return [...this.#byPath.values()].filter(({ face, review }) => face === undefined && !review)
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
      namespaced: described.namespaced,
      verbs: described.verbs,
      shortNames: described.shortNames ?? [],
      categories: described.categories ?? [],
      subresources: new Map(subresources),
      schema,
      strategy: enabled.strategy,
      kept: this.#kept(group, version, described, enabled),
      face: enabled.face,
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

const catalogs = new Map<string, Promise<Catalog>>()

/**
 * The catalog of a Kubernetes version, made once for the process.
 *
 * @throws `UnknownVersion`, `CorruptTable`
 */
export function loadCatalog(version: string): Promise<Catalog> {
  let catalog = catalogs.get(version)
  if (catalog === undefined) {
    catalog = loadTable(version).then(table => new Catalog(table))
    catalogs.set(version, catalog)
    catalog.catch(() => catalogs.delete(version))
  }
  return catalog
}
