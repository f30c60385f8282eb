/** ConfigMaps and Secrets. */
import { equalJson, type Frozen, type JsonValue, setMember } from '../json.ts'
import { checkDataKey } from '../names.ts'
import type { ConfigMap, Secret } from '../objects.ts'
import { configMapPrinter, secretPrinter } from '../printing/index.ts'
import { duplicate, type FieldProblem, forbiddenField, invalid, required, tooLong } from '../problems.ts'
import { defineStrategy, selectableFields } from './strategy.ts'

const DATA_LIMIT = 1024 * 1024

/** Keys that a Secret of a well-known type must have; one of each inner list. */
const REQUIRED_KEYS = new Map<string, readonly (readonly string[])[]>([
  ['kubernetes.io/dockercfg', [['.dockercfg']]],
  ['kubernetes.io/dockerconfigjson', [['.dockerconfigjson']]],
  ['kubernetes.io/basic-auth', [['username', 'password']]],
  ['kubernetes.io/ssh-auth', [['ssh-privatekey']]],
  ['kubernetes.io/tls', [['tls.crt'], ['tls.key']]],
])

function validateKeys(data: Readonly<Record<string, string>> | undefined, field: string): FieldProblem[] {
  return Object.keys(data ?? {}).flatMap(key => {
    const problem = checkDataKey(key)
    return problem === undefined ? [] : [invalid(`${field}[${key}]`, key, problem)]
  })
}

function sizeOf(data: Readonly<Record<string, string>> | undefined, base64: boolean): number {
  return Object.values(data ?? {}).reduce(
    (size, value) => size + Buffer.byteLength(value, base64 ? 'base64' : 'utf8'),
    0,
  )
}

interface Immutable {
  readonly immutable?: boolean
  readonly [part: string]: unknown
}

function validateImmutable(
  object: Immutable,
  old: Frozen<Immutable>,
  parts: readonly string[],
): FieldProblem[] {
  if (old.immutable !== true) return []
  const problems: FieldProblem[] = []
  if (object.immutable !== true) {
    problems.push(forbiddenField('immutable', 'field is immutable when `immutable` is set'))
  }
  for (const part of parts) {
    if (!equalJson(object[part] as JsonValue | undefined, old[part] as JsonValue | undefined)) {
      problems.push(forbiddenField(part, 'field is immutable when `immutable` is set'))
    }
  }
  return problems
}

export const configMapStrategy = defineStrategy<ConfigMap>({
  printer: configMapPrinter,
  validate(map) {
    const problems = [...validateKeys(map.data, 'data'), ...validateKeys(map.binaryData, 'binaryData')]
    for (const key of Object.keys(map.binaryData ?? {})) {
      if (map.data !== undefined && Object.hasOwn(map.data, key)) {
        problems.push(duplicate(`data[${key}]`, key))
      }
    }
    if (sizeOf(map.data, false) + sizeOf(map.binaryData, true) > DATA_LIMIT) {
      problems.push(tooLong('', `may not be more than ${DATA_LIMIT} bytes`))
    }
    return problems
  },
  validateUpdate: (map, old) => validateImmutable(map, old, ['data', 'binaryData']),
})

/** `stringData` is for writing only: it overrides `data` and is never kept. */
function mergeStringData(secret: Secret): void {
  const { stringData } = secret
  if (stringData === undefined) return
  const data = secret.data ?? {}
  for (const [key, value] of Object.entries(stringData)) {
    setMember(data, key, Buffer.from(value, 'utf8').toString('base64'))
  }
  secret.data = data
  delete secret.stringData
}

function validateSecret(secret: Secret): FieldProblem[] {
  const problems = validateKeys(secret.data, 'data')
  for (const alternatives of REQUIRED_KEYS.get(secret.type) ?? []) {
    if (!alternatives.some(key => secret.data !== undefined && Object.hasOwn(secret.data, key))) {
      problems.push(...alternatives.map(key => required(`data[${key}]`)))
    }
  }
  if (sizeOf(secret.data, true) > DATA_LIMIT) {
    problems.push(tooLong('data', `may not be more than ${DATA_LIMIT} bytes`))
  }
  return problems
}

export const secretStrategy = defineStrategy<Secret>({
  printer: secretPrinter,
  selectable: selectableFields<Secret>({ type: secret => secret.type }),
  complete: mergeStringData,
  validate: validateSecret,
  validateUpdate(secret, old) {
    const problems = validateImmutable(secret, old, ['data'])
    if (secret.type !== old.type) problems.push(invalid('type', secret.type, 'field is immutable'))
    return problems
  },
})
