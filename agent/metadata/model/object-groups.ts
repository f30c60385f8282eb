/** Objects of one type in groups: all of an environment, all of a service, all with a name. */
import type { MetadataObject } from '../../../protocol/index.ts'

/** A number that grows with every object that is made: the order of lists is that of creation. */
export function creationNumber(object: MetadataObject): number {
  return Number(/\d+$/.exec(object.infoTypeId)?.[0] ?? 0)
}

function compare(left: MetadataObject, right: MetadataObject): number {
  const difference = creationNumber(left) - creationNumber(right)
  if (difference !== 0) return difference
  return left.uuid < right.uuid ? -1 : left.uuid > right.uuid ? 1 : 0
}

/** The first place in `list` whose object is not before `object`. */
function placeOf(list: readonly MetadataObject[], object: MetadataObject): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const other = list[middle]
    if (other !== undefined && compare(other, object) < 0) low = middle + 1
    else high = middle
  }
  return low
}

const NONE: readonly never[] = []

export class ObjectGroups<T extends MetadataObject> {
  readonly #groups = new Map<string, T[]>()

  /** The objects of a group in order of creation. It changes with the model: copy it before waiting for anything. */
  get(key: string): readonly T[] {
    return this.#groups.get(key) ?? NONE
  }

  /** Adds an object, or puts a newer version in the place of an older one. */
  put(key: string, object: T): void {
    const group = this.#groups.get(key)
    if (group === undefined) {
      this.#groups.set(key, [object])
      return
    }
    const place = placeOf(group, object)
    group.splice(place, group[place]?.uuid === object.uuid ? 1 : 0, object)
  }

  remove(key: string, object: T): void {
    const group = this.#groups.get(key)
    if (group === undefined) return
    const place = placeOf(group, object)
    if (group[place]?.uuid === object.uuid) group.splice(place, 1)
    if (group.length === 0) this.#groups.delete(key)
  }
}
