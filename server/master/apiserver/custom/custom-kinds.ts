/**
 * The custom kinds of one cluster: its catalog is what all clusters share, and what its own definitions bring. A cluster
 * without definitions has the shared catalog itself.
 */
import { explainError, type Logger } from '../../../../kit/index.ts'
import type { ChangeEvent, Space, StoredObject } from '../../../store/index.ts'
import type { Catalog } from '../catalog/index.ts'
import type { Frozen } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import { type DefinedKind, groupVersionsOf, resourcesOf } from './custom-resources.ts'
import { type CustomResourceDefinition, conditionOf, DEFINITIONS_KIND, isEstablished } from './definition.ts'

interface Known {
  readonly uid: string
  readonly generation: number
  readonly names: string
  readonly kind: DefinedKind
  isTerminating: boolean
}

export interface CustomKindsOptions {
  readonly space: Space
  readonly base: Catalog
  readonly log: Logger
  read(stored: StoredObject): Frozen<KubernetesObject>
}

export class CustomKinds {
  readonly #options: CustomKindsOptions
  readonly #known = new Map<string, Known>()
  #catalog: Catalog
  /** The newest definition that has been looked at. */
  #revision = 0

  constructor(options: CustomKindsOptions) {
    this.#options = options
    this.#catalog = options.base
    this.refresh()
  }

  /** What the cluster serves. Another object after every change. */
  get catalog(): Catalog {
    return this.#catalog
  }

  /** How many definitions there are. */
  count(): number {
    return this.#stored().length
  }

  /** Takes a change of a definition. */
  receive({ revision }: ChangeEvent): void {
    if (revision > this.#revision) this.refresh()
  }

  /** Looks at all definitions, for somebody who knows of one that the feed has not brought yet. */
  refresh(): void {
    const { space, base } = this.#options
    this.#revision = space.revision
    const present = new Set<string>()
    let changed = false
    for (const stored of this.#stored()) {
      present.add(stored.key.name)
      if (this.#take(stored)) changed = true
    }
    for (const name of this.#known.keys()) {
      if (present.has(name)) continue
      this.#known.delete(name)
      changed = true
    }
    if (!changed) return
    const kinds = [...this.#known.values()].map(({ kind }) => kind)
    this.#catalog =
      kinds.length === 0
        ? base
        : base.extend(
            groupVersionsOf(kinds),
            kinds.map(({ kept }) => kept),
          )
  }

  #stored(): readonly StoredObject[] {
    return this.#options.space.list(DEFINITIONS_KIND).objects
  }

  /** @returns whether what is served changes */
  #take(stored: StoredObject): boolean {
    const { name } = stored.key
    const definition = this.#options.read(stored) as unknown as Frozen<CustomResourceDefinition>
    const known = this.#known.get(name)
    if (!isEstablished(definition)) return this.#known.delete(name)
    const { uid = '', generation = 0 } = definition.metadata
    const names = JSON.stringify(definition.status.acceptedNames ?? null)
    const isTerminating = conditionOf(definition, 'Terminating')?.status === 'True'
    if (known?.uid === uid && known.names === names && (known.generation === generation || isTerminating)) {
      known.isTerminating = isTerminating
      return false
    }
    try {
      const made: Known = {
        uid,
        generation,
        names,
        isTerminating,
        kind: resourcesOf(definition, this.#options.base.schemas, stored.revision, () => made.isTerminating),
      }
      this.#known.set(name, made)
    } catch (error) {
      this.#options.log.error(
        { definition: name, reason: explainError(error) },
        'a custom kind cannot be served',
      )
      return this.#known.delete(name)
    }
    return true
  }
}
