/** Parts of an object with rules of their own, which are changed through a subresource of their name. */
import type { Frozen, JsonObject } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import type { FieldProblem } from '../problems.ts'

export interface ObjectPart<T extends KubernetesObject = KubernetesObject> {
  /** Takes from `wanted` what may be changed through the part; `object` is what is there, and may be changed. */
  take(object: T, wanted: T): void
  /** What of a specification that is applied through the part is meant by it. */
  restrict(spec: JsonObject): JsonObject
  /** Checks what was changed, beside the whole object. */
  validateUpdate(object: T, old: Frozen<T>): FieldProblem[]
}

/** A part from what is special about its kind. */
export function defineObjectPart<T extends KubernetesObject>(part: ObjectPart<T>): ObjectPart {
  return Object.freeze(part as unknown as ObjectPart)
}
