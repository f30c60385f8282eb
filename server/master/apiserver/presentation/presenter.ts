/** Stored objects as clients see them: as kept, in another group's form, as metadata only, or as rows of a table. */
import type { StoredObject } from '../../../store/index.ts'
import { apiVersionOf, type Resource } from '../catalog/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { Frozen, JsonObject } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import type { ObjectList } from '../operations/index.ts'
import { partialObject, type TableMetadata, tableObject, tableRow } from '../printing/index.ts'
import type { Representation } from './representation.ts'

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
  readonly #prepared = new Map<StoredObject, Frozen<KubernetesObject>>()

  constructor(cluster: Cluster, resource: Resource, representation: Representation) {
    this.#cluster = cluster
    this.#resource = resource
    this.#representation = representation
  }

  /** Whether objects have to be prepared. */
  get converts(): boolean {
    return this.#resource.custom?.conversion !== undefined
  }

  /** Brings objects into the client's version, where that takes a webhook. @throws why it does not do that */
  async prepare(storeds: readonly StoredObject[]): Promise<void> {
    if (!this.converts) return
    const objects = await this.#cluster.conversions.readAll(this.#resource, storeds)
    for (const [index, object] of objects.entries()) {
      const stored = storeds[index]
      if (stored !== undefined) this.#prepared.set(stored, object)
    }
  }

  /** An object that was prepared will not be shown any more. */
  forget(stored: StoredObject): void {
    this.#prepared.delete(stored)
  }

  /** An object as JSON, prepared where that has to be. @throws as `prepare` */
  async present(stored: StoredObject): Promise<string> {
    await this.prepare([stored])
    return this.object(stored)
  }

  /** Names what the presentation depends on besides the object, so that it can be shared. */
  get form(): string {
    const { as, include } = this.#representation
    const { group, version } = this.#resource
    return as === 'table' ? `table ${include}` : as === 'object' ? `${group}/${version}` : as
  }

  /** One object as JSON; prepared before, where objects have to be. */
  object(stored: StoredObject): string {
    const resource = this.#resource
    switch (this.#representation.as) {
      case 'object':
        return this.#whole(stored)
      case 'partial':
        return JSON.stringify(partialObject(this.#read(stored)))
      case 'table':
        return JSON.stringify(
          tableObject([this.#read(stored)], resource.strategy.printer, {
            include: this.#representation.include,
            now: this.#cluster.clock.now(),
            metadata: tableMetadata(stored.revision),
          }),
        )
    }
  }

  /** In the form of the request's resource. */
  #whole(stored: StoredObject): string {
    const { custom, face } = this.#resource
    if (custom !== undefined && !custom.isCurrent(stored)) {
      const prepared = this.#prepared.get(stored)
      return JSON.stringify(prepared ?? custom.show(JSON.parse(stored.json) as JsonObject))
    }
    return face === undefined
      ? stored.json
      : JSON.stringify(face.fromKept(JSON.parse(stored.json) as JsonObject))
  }

  #read(stored: StoredObject): Frozen<KubernetesObject> {
    return this.#prepared.get(stored) ?? this.#cluster.read(stored)
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
      this.#read(stored),
      this.#resource.strategy.printer,
      this.#representation.include,
      this.#cluster.clock.now(),
    )
    return JSON.stringify(row)
  }
}
