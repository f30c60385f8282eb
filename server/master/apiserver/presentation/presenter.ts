/** Stored objects as clients see them: as kept, in another group's form, as metadata only, or as rows of a table. */
import type { StoredObject } from '../../../store/index.ts'
import { apiVersionOf, type Resource } from '../catalog/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { JsonObject } from '../json.ts'
import type { ObjectList } from '../operations/index.ts'
import { partialObject, type TableMetadata, tableObject, tableRow } from '../printing/index.ts'
import type { Representation } from './representation.ts'

function asFace(resource: Resource, stored: StoredObject): string {
  const { custom } = resource
  if (custom !== undefined && !custom.isCurrent(stored))
    return JSON.stringify(custom.show(JSON.parse(stored.json) as JsonObject))
  if (resource.face === undefined) return stored.json
  return JSON.stringify(resource.face.fromKept(JSON.parse(stored.json) as JsonObject))
}

function tableMetadata(revision: number, list?: ObjectList): TableMetadata {
  return {
    resourceVersion: String(revision),
    ...(list?.continueToken === undefined ? {} : { continue: list.continueToken }),
    ...(list?.remaining === undefined ? {} : { remainingItemCount: list.remaining }),
  }
}

export class Presenter {
  readonly #cluster: Cluster
  readonly #resource: Resource
  readonly #representation: Representation

  constructor(cluster: Cluster, resource: Resource, representation: Representation) {
    this.#cluster = cluster
    this.#resource = resource
    this.#representation = representation
  }

  /** Names what the presentation depends on besides the object, so that it can be shared. */
  get form(): string {
    const { as, include } = this.#representation
    const { group, version } = this.#resource
    return as === 'table' ? `table ${include}` : as === 'object' ? `${group}/${version}` : as
  }

  /** One object as JSON. */
  object(stored: StoredObject): string {
    const resource = this.#resource
    switch (this.#representation.as) {
      case 'object':
        return asFace(resource, stored)
      case 'partial':
        return JSON.stringify(partialObject(this.#cluster.read(stored)))
      case 'table':
        return JSON.stringify(
          tableObject([this.#cluster.read(stored)], resource.strategy.printer, {
            include: this.#representation.include,
            now: this.#cluster.clock.now(),
            metadata: tableMetadata(stored.revision),
          }),
        )
    }
  }

  /** A list as JSON, in pieces: the whole text of a large one is never in memory. */
  *list(list: ObjectList): Generator<string> {
    yield this.#head(list)
    let first = true
    for (const stored of list.objects) {
      yield first ? this.#item(stored) : `,${this.#item(stored)}`
      first = false
    }
    yield ']}'
  }

  /** The beginning of a list up to its first item; every form ends with its items. */
  #head(list: ObjectList): string {
    const { as } = this.#representation
    const metadata = tableMetadata(list.revision, list)
    if (as === 'table') {
      const { columns } = this.#resource.strategy.printer
      return `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":${JSON.stringify(metadata)},"columnDefinitions":${JSON.stringify(columns)},"rows":[`
    }
    const [kind, apiVersion] =
      as === 'partial'
        ? ['PartialObjectMetadataList', 'meta.k8s.io/v1']
        : [this.#resource.listKind, apiVersionOf(this.#resource)]
    return `{"kind":"${kind}","apiVersion":"${apiVersion}","metadata":${JSON.stringify(metadata)},"items":[`
  }

  #item(stored: StoredObject): string {
    if (this.#representation.as !== 'table') return this.object(stored)
    const row = tableRow(
      this.#cluster.read(stored),
      this.#resource.strategy.printer,
      this.#representation.include,
      this.#cluster.clock.now(),
    )
    return JSON.stringify(row)
  }
}
