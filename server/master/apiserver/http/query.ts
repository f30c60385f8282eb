/** Parameters of requests, checked. */
import type { DeleteOptions } from '../objects.ts'
import type { FieldValidation, ListOptions } from '../operations/index.ts'
import { invalid, invalidObject } from '../problems.ts'
import { badRequest } from '../status.ts'
import type { WatchOptions } from '../watch/index.ts'

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null || text === '') return undefined
  if (!/^-?\d{1,12}$/.test(text))
    throw badRequest(`${name} must be a whole number, not ${JSON.stringify(text.slice(0, 80))}`)
  const value = Number(text)
  if (value < 0) throw badRequest(`${name} must be greater than or equal to 0`)
  return value
}

/** Go's strconv.ParseBool, which decides for Kubernetes. */
export function flag(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name)
  if (text === null || text === '') return undefined
  if (/^(1|t|true)$/i.test(text)) return true
  if (/^(0|f|false)$/i.test(text)) return false
  throw badRequest(`${name} must be true or false, not ${JSON.stringify(text.slice(0, 80))}`)
}

function oneOf<T extends string>(query: URLSearchParams, name: string, values: readonly T[]): T | '' {
  const text = query.get(name) ?? ''
  if (text === '') return ''
  const value = values.find(candidate => candidate === text)
  if (value === undefined) {
    throw badRequest(
      `${name}: Unsupported value: ${JSON.stringify(text.slice(0, 80))}: supported values: ${values.join(', ')}`,
    )
  }
  return value
}

export function selectorTexts(query: URLSearchParams) {
  return {
    labelSelector: query.get('labelSelector') ?? undefined,
    fieldSelector: query.get('fieldSelector') ?? undefined,
  }
}

export function listOptions(query: URLSearchParams): ListOptions {
  return {
    limit: wholeNumber(query, 'limit') ?? 0,
    continueToken: query.get('continue') ?? '',
    resourceVersion: query.get('resourceVersion') ?? '',
    resourceVersionMatch: oneOf(query, 'resourceVersionMatch', ['Exact', 'NotOlderThan']),
  }
}

export function watchOptions(query: URLSearchParams): WatchOptions {
  return {
    resourceVersion: query.get('resourceVersion') ?? '',
    resourceVersionMatch: oneOf(query, 'resourceVersionMatch', ['Exact', 'NotOlderThan']),
    allowBookmarks: flag(query, 'allowWatchBookmarks') ?? false,
    sendInitialEvents: flag(query, 'sendInitialEvents'),
    timeoutSeconds: wholeNumber(query, 'timeoutSeconds'),
  }
}

export function writeOptions(query: URLSearchParams): { dryRun: boolean; fieldValidation: FieldValidation } {
  for (const value of query.getAll('dryRun')) {
    if (value !== '' && value !== 'All') {
      throw badRequest(
        `dryRun: Unsupported value: ${JSON.stringify(value.slice(0, 80))}: supported values: "All"`,
      )
    }
  }
  return {
    dryRun: query.getAll('dryRun').includes('All'),
    fieldValidation: oneOf(query, 'fieldValidation', ['Strict', 'Warn', 'Ignore']) || 'Warn',
  }
}

/** The parameters that a delete may bring instead of a body. */
export function deleteParameters(query: URLSearchParams): DeleteOptions {
  const grace = wholeNumber(query, 'gracePeriodSeconds')
  const policy = query.get('propagationPolicy')
  return {
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
    ...(policy === null || policy === '' ? {} : { propagationPolicy: policy }),
  }
}

const LONGEST_MANAGER = 128

/** The name under which fields are managed; empty when the client gives none. @throws `Invalid` */
export function fieldManager(query: URLSearchParams): string {
  const name = query.get('fieldManager') ?? ''
  if (name.length > LONGEST_MANAGER || !/^[ -~]*$/.test(name)) {
    throw invalidObject({ group: 'meta.k8s.io', kind: 'PatchOptions' }, '', [
      invalid(
        'fieldManager',
        name.slice(0, LONGEST_MANAGER),
        `must be at most ${LONGEST_MANAGER} printable characters`,
      ),
    ])
  }
  return name
}
