/** Values as YAML (1.2), piece by piece; readable by people, and the same data as their JSON. */
import {
  isPlainList,
  isScalar,
  LazyMap,
  ObjectList,
  type PlainMap,
  type PlainValue,
  type Scalar,
  type ViewValue,
} from './view-value.ts'

/** Text that no reader of YAML, of whatever version, takes for anything but itself. */
const PLAIN = /^[A-Za-z_/][A-Za-z0-9_/.-]*$/
/** Words that mean something else than themselves to some of them. */
const RESERVED = /^(null|true|false|yes|no|on|off|y|n|\.?nan|\.?inf)$/i

/** A double-quoted JSON string is one in YAML, too. */
function stringText(text: string): string {
  return PLAIN.test(text) && !RESERVED.test(text) ? text : JSON.stringify(text)
}

function scalarText(value: Scalar): string {
  return typeof value === 'string' ? stringText(value) : String(value)
}

function entriesOf(map: PlainMap | LazyMap): [string, () => ViewValue][] {
  const fields: PlainMap = map instanceof LazyMap ? map.fields : map
  const plain = Object.entries(fields).map(([key, value]): [string, () => ViewValue] => [key, () => value])
  return map instanceof LazyMap ? [...plain, ...Object.entries(map.parts)] : plain
}

function* elementsOf(list: ObjectList | readonly PlainValue[]): Generator<ViewValue> {
  if (list instanceof ObjectList) yield* list.views()
  else yield* list
}

/** A value behind `key:`, and the lines below it. */
function* valuePieces(value: ViewValue, indent: string): Generator<string> {
  if (isScalar(value)) {
    yield ` ${scalarText(value)}\n`
    return
  }
  const lines = blockPieces(value, indent)
  const first = lines.next()
  if (first.done === true) {
    yield value instanceof ObjectList || isPlainList(value) ? ' []\n' : ' {}\n'
    return
  }
  yield '\n'
  yield first.value
  yield* lines
}

/** The lines of a map or a list; none when it is empty. */
function* blockPieces(value: Exclude<ViewValue, Scalar>, indent: string): Generator<string> {
  if (value instanceof ObjectList || isPlainList(value)) {
    for (const element of elementsOf(value)) {
      yield `${indent}-`
      yield* valuePieces(element, `${indent}  `)
    }
    return
  }
  for (const [key, part] of entriesOf(value as PlainMap | LazyMap)) {
    yield `${indent}${stringText(key)}:`
    yield* valuePieces(part(), `${indent}  `)
  }
}

/** The YAML of any value, in pieces of any size. */
export function* yamlPieces(value: ViewValue): Generator<string> {
  if (isScalar(value)) {
    yield `${scalarText(value)}\n`
    return
  }
  const lines = blockPieces(value, '')
  const first = lines.next()
  if (first.done === true) {
    yield value instanceof ObjectList || isPlainList(value) ? '[]\n' : '{}\n'
    return
  }
  yield first.value
  yield* lines
}
