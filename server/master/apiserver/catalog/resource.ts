/** One served resource: the table's facts and the kind's strategy, together. */
import type { CustomForm } from '../custom/index.ts'
import type { KindStrategy } from '../kinds/index.ts'
import type { ObjectSchema } from '../schema/index.ts'
import type { Face } from './enabled.ts'

export interface GroupVersionKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

export interface Subresource {
  readonly name: string
  readonly kind: GroupVersionKind
  readonly verbs: readonly string[]
  readonly schema: ObjectSchema | undefined
}

/** How objects of a resource are kept. Faces of the same objects share it. */
export interface KeptForm {
  /** `kind` of the keys in the store. */
  readonly storeKind: string
  /** Every kept text starts with this, then the revision in digits, then `"`: see `../storage`. */
  readonly head: string
  readonly apiVersion: string
  readonly kind: string
  readonly schema: ObjectSchema
}

export interface Resource extends GroupVersionKind {
  /** Plural, lower case: the part of the path. */
  readonly resource: string
  readonly singular: string
  readonly listKind: string
  readonly namespaced: boolean
  readonly verbs: readonly string[]
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly subresources: ReadonlyMap<string, Subresource>
  readonly schema: ObjectSchema
  /** Undefined where there are no lists: questions are answered and not kept. */
  readonly listSchema: ObjectSchema | undefined
  readonly strategy: KindStrategy
  readonly kept: KeptForm
  /** Whether the answer to a delete shows the object, not a bare success. */
  readonly showsDeleted: boolean
  /** A question that is answered and not kept. */
  readonly review: boolean
  /** Undefined when objects are kept in this resource's own form. */
  readonly face: Face | undefined
  /** Undefined for kinds of the table. */
  readonly custom: CustomForm | undefined
  /** What those who use it are told: it is on its way out, or nothing acts on it. */
  readonly warning: string | undefined
}

/** `v1`, `apps/v1`. */
export function apiVersionOf({
  group,
  version,
}: {
  readonly group: string
  readonly version: string
}): string {
  return group === '' ? version : `${group}/${version}`
}
