/** A YAML file that knows where everything stands, so that errors can point at it. */
import { isMap, isScalar, LineCounter, type Node, parseDocument, type Scalar } from 'yaml'
import type { DroverError, ErrorDetails } from '../../kit/index.ts'
import { composeErrors } from './errors.ts'

/** Keys and indexes from the root to a value. */
export type ValuePath = readonly (string | number)[]

/** Aliases resolved at most: a file of nested aliases would otherwise grow without end (CVE-2019-11253). */
const MAXIMUM_ALIASES = 100
/** Largest file that is read, in characters. */
const MAXIMUM_LENGTH = 1024 * 1024

export class SourceFile {
  readonly name: string
  /** The content as plain values. */
  readonly content: unknown
  readonly #root: Node | null
  readonly #lines: LineCounter

  /** @throws `InvalidYaml` with line and column */
  constructor(name: string, text: string) {
    this.name = name
    this.#lines = new LineCounter()
    if (text.length > MAXIMUM_LENGTH) {
      throw composeErrors.InvalidYaml({
        object: name,
        message: 'is too large',
        expected: `at most ${MAXIMUM_LENGTH} characters`,
      })
    }
    const document = parseDocument(text, { lineCounter: this.#lines, merge: true, prettyErrors: false })
    const [problem] = document.errors
    if (problem !== undefined) {
      throw composeErrors.InvalidYaml({
        object: this.#place(problem.pos[0]),
        message: `is not valid YAML: ${problem.message}`,
      })
    }
    this.#root = document.contents
    try {
      this.content = document.toJS({ maxAliasCount: MAXIMUM_ALIASES })
    } catch (cause) {
      throw composeErrors.InvalidYaml({ object: name, message: 'uses too many aliases', cause })
    }
  }

  /** `file:line:column` of the value at `path`, or of the nearest thing around it. */
  placeOfValue(path: ValuePath): string {
    return this.#place(this.#find(path).value)
  }

  /** `file:line:column` of the last key of `path`. */
  placeOfKey(path: ValuePath): string {
    const found = this.#find(path)
    return this.#place(found.key ?? found.value)
  }

  /** An error about the value at `path`. */
  invalid(path: ValuePath, message: string, expected?: string): DroverError {
    const details: ErrorDetails = {
      object: this.placeOfValue(path),
      field: path.join('.'),
      message: `${path.join('.')} ${message}`,
      ...(expected === undefined ? {} : { expected }),
    }
    return composeErrors.InvalidValue(details)
  }

  #place(offset: number): string {
    const { line, col } = this.#lines.linePos(offset)
    return `${this.name}:${line}:${col}`
  }

  #find(path: ValuePath): { key?: number; value: number } {
    let node: unknown = this.#root
    let best: { key?: number; value: number } = { value: this.#root?.range?.[0] ?? 0 }
    for (const step of path) {
      if (isMap(node)) {
        const pair = node.items.find(item => isScalar(item.key) && String(item.key.value) === String(step))
        if (pair === undefined) return best
        const key = (pair.key as Scalar).range?.[0]
        // A key without a value is where an absent value is best looked for.
        const empty = isScalar(pair.value) && pair.value.value === null
        const value = (empty ? key : (pair.value as Node | null)?.range?.[0]) ?? key ?? best.value
        best = key === undefined ? { value } : { key, value }
        node = pair.value
      } else if (node !== null && typeof node === 'object' && 'items' in node && Array.isArray(node.items)) {
        node = node.items[Number(step)]
        const value = (node as Node | undefined)?.range?.[0]
        if (value === undefined) return best
        best = { value }
      } else return best
    }
    return best
  }
}
