/** JSON Patch (RFC 6902) with JSON Pointers (RFC 6901). */
import { type Static, Type, validatorOf } from '../../../../kit/index.ts'
import {
  cloneJson,
  equalJson,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  memberOf,
  setMember,
} from '../json.ts'
import { badRequest, StatusError } from '../status.ts'
import { COPY_LIMIT, checkDepth, OPERATIONS_LIMIT, unprocessable } from './limits.ts'

const operation = Type.Union([
  Type.Object({
    op: Type.Union([Type.Literal('add'), Type.Literal('replace'), Type.Literal('test')]),
    path: Type.String(),
    value: Type.Optional(Type.Unknown()),
  }),
  Type.Object({ op: Type.Literal('remove'), path: Type.String() }),
  Type.Object({
    op: Type.Union([Type.Literal('move'), Type.Literal('copy')]),
    path: Type.String(),
    from: Type.String(),
  }),
])
const operations = validatorOf(Type.Array(operation))

type Operation = Static<typeof operation>

/** The parts of a pointer; the pointer to the whole document has none. */
function parsePointer(pointer: string): string[] {
  if (pointer === '') return []
  if (!pointer.startsWith('/'))
    throw badRequest(`JSON pointer ${JSON.stringify(pointer)} does not start with /`)
  const parts = pointer.slice(1).split('/')
  checkDepth(parts.length)
  return parts.map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function listIndex(part: string, length: number): number {
  const index = /^(0|[1-9]\d{0,8})$/.test(part) ? Number(part) : -1
  if (index < 0 || index > length) throw unprocessable(`list has no element ${JSON.stringify(part)}`)
  return index
}

function step(container: JsonValue, part: string): JsonValue {
  const next = Array.isArray(container)
    ? container[listIndex(part, container.length - 1)]
    : isJsonObject(container)
      ? memberOf(container, part)
      : undefined
  if (next === undefined) throw unprocessable(`path part ${JSON.stringify(part)} does not exist`)
  return next
}

class Document {
  root: JsonValue
  #copied = 0

  constructor(root: JsonValue) {
    this.root = root
  }

  get(pointer: string): JsonValue {
    return parsePointer(pointer).reduce(step, this.root)
  }

  #parent(parts: readonly string[]): JsonValue[] | JsonObject {
    const parent = parts.slice(0, -1).reduce(step, this.root)
    if (!Array.isArray(parent) && !isJsonObject(parent)) throw unprocessable('path leads through a scalar')
    return parent
  }

  add(pointer: string, value: JsonValue): void {
    const parts = parsePointer(pointer)
    const last = parts.at(-1)
    if (last === undefined) {
      this.root = value
      return
    }
    const parent = this.#parent(parts)
    if (!Array.isArray(parent)) setMember(parent, last, value)
    else parent.splice(last === '-' ? parent.length : listIndex(last, parent.length), 0, value)
  }

  remove(pointer: string): void {
    const parts = parsePointer(pointer)
    const last = parts.at(-1)
    if (last === undefined) throw unprocessable('the whole document cannot be removed')
    const parent = this.#parent(parts)
    step(parent, last)
    if (Array.isArray(parent)) parent.splice(listIndex(last, parent.length - 1), 1)
    else delete parent[last]
  }

  copy(from: string, pointer: string): void {
    const value = this.get(from)
    this.#copied += JSON.stringify(value).length
    if (this.#copied > COPY_LIMIT) {
      throw new StatusError('RequestEntityTooLarge', `copy operations add more than ${COPY_LIMIT} bytes`)
    }
    this.add(pointer, cloneJson(value))
  }
}

function move(document: Document, from: string, path: string): void {
  if (path.startsWith(`${from}/`)) throw unprocessable('a value cannot move into itself')
  const value = document.get(from)
  document.remove(from)
  document.add(path, value)
}

function replace(document: Document, path: string, value: JsonValue): void {
  document.get(path)
  if (path !== '') document.remove(path)
  document.add(path, value)
}

function run(document: Document, operation: Operation): void {
  switch (operation.op) {
    case 'add':
      document.add(operation.path, requireValue(operation))
      break
    case 'replace':
      replace(document, operation.path, requireValue(operation))
      break
    case 'remove':
      document.remove(operation.path)
      break
    case 'copy':
      document.copy(operation.from, operation.path)
      break
    case 'move':
      move(document, operation.from, operation.path)
      break
    case 'test':
      if (!equalJson(document.get(operation.path), requireValue(operation))) {
        throw unprocessable(`testing path ${JSON.stringify(operation.path)} failed`)
      }
  }
}

function requireValue(operation: { readonly op: string; readonly value?: unknown }): JsonValue {
  if (operation.value === undefined) throw badRequest(`JSON patch operation ${operation.op} has no value`)
  return operation.value as JsonValue
}

/**
 * Applies `patch` to `target`, changing it.
 *
 * @throws `BadRequest` when the patch is not a JSON patch, `Invalid` when an operation does not fit the document or a
 *   test fails, `RequestEntityTooLarge` when it has too many operations or copies too much
 */
export function applyJsonPatch(target: JsonValue, patch: JsonValue): JsonValue {
  if (!operations.accepts(patch))
    throw badRequest('the body is not a JSON patch: a list of operations (RFC 6902)')
  if (patch.length > OPERATIONS_LIMIT) {
    throw new StatusError(
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${OPERATIONS_LIMIT}, got ${patch.length}`,
    )
  }
  const document = new Document(target)
  for (const operation of patch) run(document, operation)
  return document.root
}
