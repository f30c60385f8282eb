/** Which objects a request means: its label and field selectors, ready to be asked many times. */
import type { StoredObject } from '../../../store/index.ts'
import type { Frozen } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import { type FieldRequirement, parseFieldSelector } from './fields.ts'
import { type LabelRequirement, matchesLabels, parseLabelSelector } from './labels.ts'

/** Reads one field for field selectors; absent fields are empty. */
export type FieldReader = (object: Frozen<KubernetesObject>) => string

/** Fields of a kind that selectors may name, besides `metadata.name` and `metadata.namespace`. */
export type SelectableFields = ReadonlyMap<string, FieldReader>

export interface SelectorTexts {
  readonly labelSelector: string | undefined
  readonly fieldSelector: string | undefined
}

/** Gives the parsed form of a stored object; only called when a selector has to look inside. */
export type ObjectReader = (stored: StoredObject) => Frozen<KubernetesObject>

const KEY_FIELDS = ['metadata.name', 'metadata.namespace']

export class Selection {
  readonly #labels: readonly LabelRequirement[]
  readonly #fields: readonly FieldRequirement[]
  readonly #selectable: SelectableFields

  /** @throws `BadRequest` when a selector cannot be read */
  constructor(texts: SelectorTexts, selectable: SelectableFields) {
    this.#selectable = selectable
    this.#labels = parseLabelSelector(texts.labelSelector ?? '')
    this.#fields = parseFieldSelector(texts.fieldSelector ?? '', {
      has: field => KEY_FIELDS.includes(field) || selectable.has(field),
    })
  }

  /** Selects everything. */
  get everything(): boolean {
    return this.#labels.length === 0 && this.#fields.length === 0
  }

  /** The value that `field` must have; undefined when the selection leaves it open. */
  requiredValue(field: string): string | undefined {
    return this.#fields.find(requirement => requirement.equal && requirement.field === field)?.value
  }

  /** The value that a label must have; undefined when the selection leaves it open. */
  requiredLabel(key: string): string | undefined {
    for (const requirement of this.#labels) {
      if (requirement.key !== key || requirement.operator !== 'in' || requirement.values.size !== 1) continue
      const [value] = requirement.values
      return value
    }
    return undefined
  }

  matches(stored: StoredObject, read: ObjectReader): boolean {
    return (
      this.#fields.every(requirement => this.#meets(stored, requirement, read)) &&
      (this.#labels.length === 0 || matchesLabels(read(stored).metadata.labels, this.#labels))
    )
  }

  #meets(stored: StoredObject, { field, equal, value }: FieldRequirement, read: ObjectReader): boolean {
    return (this.#fieldValue(stored, field, read) === value) === equal
  }

  #fieldValue(stored: StoredObject, field: string, read: ObjectReader): string {
    if (field === 'metadata.name') return stored.key.name
    if (field === 'metadata.namespace') return stored.key.namespace
    return this.#selectable.get(field)?.(read(stored)) ?? ''
  }
}
