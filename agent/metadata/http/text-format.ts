/** Values as text: scalars as they are, maps and lists as one line per entry. */
import {
  isPlainList,
  isScalar,
  LazyMap,
  ObjectList,
  type PlainMap,
  type Scalar,
  type ViewValue,
} from './view-value.ts'

/** Go's `url.QueryEscape`, which clients undo: a space is a plus sign. */
function escapeKey(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
}

/** A value without anything around it; nothing for null. */
export function scalarText(value: Scalar): string {
  return value === null ? '' : String(value)
}

function mapLine(key: string, value: ViewValue): string {
  return `${escapeKey(key)}${isScalar(value) ? '' : '/'}\n`
}

function mapText(map: PlainMap | LazyMap): string {
  const fields: PlainMap = map instanceof LazyMap ? map.fields : map
  const lines = Object.entries(fields).map(([key, value]) => mapLine(key, value))
  if (map instanceof LazyMap) {
    for (const [key, part] of Object.entries(map.parts)) lines.push(mapLine(key, part()))
  }
  return lines.toSorted().join('')
}

function elementLine(index: number, element: ViewValue): string {
  if (isScalar(element)) return `${index}\n`
  const { name, uuid } = (isPlainList(element) ? {} : element) as PlainMap
  const label = name ?? uuid
  return typeof label === 'string' ? `${index}=${escapeKey(label)}\n` : `${index}/\n`
}

/** The text form of any value. */
export function toText(value: ViewValue): string {
  if (isScalar(value)) return scalarText(value)
  if (value instanceof ObjectList) {
    return value
      .names()
      .map((name, index) => `${index}=${escapeKey(name)}\n`)
      .join('')
  }
  if (isPlainList(value)) return value.map((element, index) => elementLine(index, element)).join('')
  return mapText(value as PlainMap | LazyMap)
}
