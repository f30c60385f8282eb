/**
 * What a path can lead to. Large things are not made before something in them is asked for: a map or a list of objects
 * knows how to make its parts.
 */
import type { ObjectSequence } from '../model/index.ts'

export type Scalar = string | number | boolean | null
export type PlainValue = Scalar | readonly PlainValue[] | { readonly [key: string]: PlainValue }
export type PlainMap = { readonly [key: string]: PlainValue }

/** A map with parts that are made when they are asked for. */
export class LazyMap {
  readonly fields: PlainMap
  readonly parts: Readonly<Record<string, () => ViewValue>>

  constructor(fields: PlainMap, parts: Readonly<Record<string, () => ViewValue>>) {
    this.fields = fields
    this.parts = parts
  }
}

/** How the objects of a list are shown. */
export interface ListOptions<T> {
  readonly show: (object: T) => PlainMap | LazyMap
  /** A name as this version of the service shows it; as it is when absent. */
  readonly shownName?: (name: string) => string
  /** Where there is a faster way than to look at all of them. The name may be in any case. */
  readonly findByName?: (name: string) => T | undefined
}

/** A list of objects. */
export class ObjectList {
  /** The names, as they are shown. */
  readonly names: () => string[]
  readonly at: (index: number) => PlainMap | LazyMap | undefined
  /** By name without regard to case, or by uuid. */
  readonly find: (name: string) => PlainMap | LazyMap | undefined
  /** All of them that are in the list now, one after the other. */
  readonly views: () => Generator<PlainMap | LazyMap>

  private constructor(parts: Pick<ObjectList, 'names' | 'at' | 'find' | 'views'>) {
    this.names = parts.names
    this.at = parts.at
    this.find = parts.find
    this.views = parts.views
  }

  static of<T>(objects: ObjectSequence<T>, options: ListOptions<T>): ObjectList {
    const { show, shownName = name => name, findByName = name => objects.withName(name) } = options
    return new ObjectList({
      names: () => objects.names().map(shownName),
      at: index => {
        const object = objects.at(index)
        return object && show(object)
      },
      find: name => {
        const object = findByName(name) ?? objects.withUuid(name.toLowerCase())
        return object && show(object)
      },
      *views() {
        for (const object of objects) yield show(object)
      },
    })
  }
}

export type ViewValue = PlainValue | LazyMap | ObjectList

export function isScalar(value: ViewValue): value is Scalar {
  return value === null || typeof value !== 'object'
}

export function isPlainList(value: ViewValue): value is readonly PlainValue[] {
  return Array.isArray(value)
}

/** The part of a map called `key`; exact, else in lower case. */
export function partOf(map: PlainMap | LazyMap, key: string): ViewValue | undefined {
  return ownPart(map, key) ?? ownPart(map, key.toLowerCase())
}

function ownPart(map: PlainMap | LazyMap, key: string): ViewValue | undefined {
  const fields: PlainMap = map instanceof LazyMap ? map.fields : map
  // Labels may be called anything, `constructor` as well.
  if (Object.hasOwn(fields, key)) return fields[key]
  if (map instanceof LazyMap && Object.hasOwn(map.parts, key)) return map.parts[key]?.()
  return undefined
}

const INDEX = /^(0|[1-9]\d{0,8})$/

function plainElement(list: readonly PlainValue[], key: string): PlainValue | undefined {
  if (INDEX.test(key)) return list[Number(key)]
  const wanted = key.toLowerCase()
  return list.find(element => {
    if (element === null || typeof element !== 'object' || Array.isArray(element)) return false
    const { name, uuid } = element as PlainMap
    return [name, uuid].some(field => typeof field === 'string' && field.toLowerCase() === wanted)
  })
}

/** The value one step down from `value`; undefined when there is nothing. */
function stepInto(value: ViewValue, key: string): ViewValue | undefined {
  if (isScalar(value)) return undefined
  if (value instanceof ObjectList) {
    return INDEX.test(key) ? value.at(Number(key)) : value.find(key)
  }
  if (isPlainList(value)) return plainElement(value, key)
  return partOf(value as PlainMap | LazyMap, key)
}

/** The value at the end of a path. */
export function valueAt(root: ViewValue, path: readonly string[]): ViewValue | undefined {
  let value: ViewValue | undefined = root
  for (const key of path) {
    if (value === undefined) return undefined
    value = stepInto(value, key)
  }
  return value
}
