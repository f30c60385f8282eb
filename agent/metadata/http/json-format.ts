/** Values as JSON, piece by piece: the whole model has many megabytes. */
import {
  isScalar,
  LazyMap,
  ObjectList,
  type PlainMap,
  type PlainValue,
  type ViewValue,
} from './view-value.ts'

/** JSON of maps that are shown again and again; undefined before it was asked for. */
const texts = new WeakMap<PlainMap, string | undefined>()

/** Marks a map whose JSON is worth keeping as long as the map is. */
export function keepJson(map: PlainMap): PlainMap {
  texts.set(map, undefined)
  return map
}

function plainJson(value: PlainValue): string {
  const kept = value as PlainMap
  if (isScalar(value) || !texts.has(kept)) return JSON.stringify(value)
  const text = texts.get(kept) ?? JSON.stringify(value)
  texts.set(kept, text)
  return text
}

function* listPieces(list: ObjectList): Generator<string> {
  let separator = '['
  for (const view of list.views()) {
    yield separator
    yield* jsonPieces(view)
    separator = ','
  }
  yield separator === '[' ? '[]' : ']'
}

function* mapPieces(map: LazyMap): Generator<string> {
  let separator = '{'
  for (const [key, value] of Object.entries(map.fields)) {
    yield `${separator}${JSON.stringify(key)}:${JSON.stringify(value)}`
    separator = ','
  }
  for (const [key, part] of Object.entries(map.parts)) {
    yield `${separator}${JSON.stringify(key)}:`
    yield* jsonPieces(part())
    separator = ','
  }
  yield separator === '{' ? '{}' : '}'
}

/** The JSON of any value, in pieces of any size. */
export function* jsonPieces(value: ViewValue): Generator<string> {
  if (value instanceof ObjectList) yield* listPieces(value)
  else if (value instanceof LazyMap) yield* mapPieces(value)
  else yield plainJson(value)
}
