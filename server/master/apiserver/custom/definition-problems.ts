/** What is wrong with a CustomResourceDefinition besides its schemas (`apiextensions-apiserver`'s validation). */
import type { Frozen, JsonObject } from '../json.ts'
import { isJsonObject } from '../json.ts'
import { checkDns1035Label, checkDnsSubdomain, type FormCheck } from '../names.ts'
import { duplicate, type FieldProblem, forbiddenField, invalid, notSupported, required } from '../problems.ts'
import { clientConfigProblems, reviewVersionProblems } from '../webhook-client/index.ts'
import {
  type CustomResourceDefinition,
  conditionOf,
  type DefinitionVersion,
  isEstablished,
} from './definition.ts'
import { itemPath } from './field-path.ts'
import { checkSchema } from './schema-problems.ts'
import { namesOf, parsePath } from './simple-path.ts'

const MOST_VERSIONS = 30
const MOST_COLUMNS = 64
const MOST_SELECTABLE = 8
const MOST_NAMES = 32
const LONGEST_WARNING = 256
const COLUMN_TYPES = new Set(['boolean', 'date', 'integer', 'number', 'string'])
const APPROVAL = 'api-approved.kubernetes.io'

function form(field: string, value: string, check: FormCheck): FieldProblem[] {
  const problem = check(value)
  return problem === undefined ? [] : [invalid(field, value, problem)]
}

function groupProblems({ metadata, spec }: CustomResourceDefinition): FieldProblem[] {
  const { group } = spec
  if (group === '') return [required('spec.group')]
  if (!group.includes('.')) return [invalid('spec.group', group, 'should be a domain with at least one dot')]
  const problems = form('spec.group', group, checkDnsSubdomain)
  const isProtected = ['k8s.io', 'kubernetes.io'].some(
    domain => group === domain || group.endsWith(`.${domain}`),
  )
  if (isProtected && (metadata.annotations?.[APPROVAL] ?? '') === '') {
    problems.push(
      required(
        `metadata.annotations[${APPROVAL}]`,
        'protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111',
      ),
    )
  }
  return problems
}

function nameProblems({ spec: { names } }: CustomResourceDefinition): FieldProblem[] {
  const { plural, singular = '', kind, listKind = '', shortNames = [], categories = [] } = names
  const problems: FieldProblem[] = []
  if (plural === '') problems.push(required('spec.names.plural'))
  else problems.push(...form('spec.names.plural', plural, checkDns1035Label))
  if (singular !== '') problems.push(...form('spec.names.singular', singular, checkDns1035Label))
  if (kind === '') problems.push(required('spec.names.kind'))
  else if (checkDns1035Label(kind.toLowerCase()) !== undefined)
    problems.push(
      invalid(
        'spec.names.kind',
        kind,
        `may have mixed case, but should otherwise match: ${checkDns1035Label(kind.toLowerCase())}`,
      ),
    )
  if (listKind !== '' && checkDns1035Label(listKind.toLowerCase()) !== undefined)
    problems.push(
      invalid(
        'spec.names.listKind',
        listKind,
        `may have mixed case, but should otherwise match: ${checkDns1035Label(listKind.toLowerCase())}`,
      ),
    )
  if (kind !== '' && kind === listKind)
    problems.push(invalid('spec.names.listKind', listKind, 'kind and listKind may not be the same'))
  for (const [field, list] of [
    ['shortNames', shortNames],
    ['categories', categories],
  ] as const) {
    if (list.length > MOST_NAMES)
      problems.push(invalid(`spec.names.${field}`, list.length, `may have ${MOST_NAMES} entries`))
    for (const [index, name] of list.entries())
      problems.push(...form(itemPath(`spec.names.${field}`, index), name, checkDns1035Label))
  }
  return problems
}

function columnProblems(
  { additionalPrinterColumns: columns = [] }: DefinitionVersion,
  path: string,
): FieldProblem[] {
  if (columns.length > MOST_COLUMNS)
    return [invalid(path, columns.length, `may have ${MOST_COLUMNS} entries`)]
  return columns.flatMap(({ name, type, format = '', jsonPath }, index) => {
    const place = itemPath(path, index)
    const problems: FieldProblem[] = []
    if (name === '') problems.push(required(`${place}.name`))
    if (!COLUMN_TYPES.has(type))
      problems.push(invalid(`${place}.type`, type, `must be one of ${[...COLUMN_TYPES].join(',')}`))
    if (format.length > 64) problems.push(invalid(`${place}.format`, format, 'must be at most 64 characters'))
    if (jsonPath === '') problems.push(required(`${place}.jsonPath`))
    // What is not understood behind the dot is shown as nothing.
    else if (!jsonPath.startsWith('.') && parsePath(jsonPath) === undefined)
      problems.push(invalid(`${place}.jsonPath`, jsonPath, 'must be a simple json path starting with .'))
    return problems
  })
}

function scaleProblems({ subresources }: DefinitionVersion, path: string): FieldProblem[] {
  const scale = subresources?.scale
  if (scale === undefined) return []
  const at = (field: string, value: string, roots: readonly string[]): FieldProblem[] => {
    const names = namesOf(parsePath(value))
    if (names !== undefined && value.startsWith('.') && roots.includes(names[0] ?? '') && names.length > 1)
      return []
    return [
      invalid(
        `${path}.${field}`,
        value,
        `should be a json path under ${roots.map(root => `.${root}`).join(' or ')}`,
      ),
    ]
  }
  const { specReplicasPath, statusReplicasPath, labelSelectorPath = '' } = scale
  return [
    ...(specReplicasPath === ''
      ? [required(`${path}.specReplicasPath`)]
      : at('specReplicasPath', specReplicasPath, ['spec'])),
    ...(statusReplicasPath === ''
      ? [required(`${path}.statusReplicasPath`)]
      : at('statusReplicasPath', statusReplicasPath, ['status'])),
    ...(labelSelectorPath === '' ? [] : at('labelSelectorPath', labelSelectorPath, ['spec', 'status'])),
  ]
}

/** The schema at a path of names; undefined when there is none. */
function schemaAt(schema: JsonObject | undefined, names: readonly string[]): JsonObject | undefined {
  let at = schema
  for (const name of names) {
    const property = isJsonObject(at?.properties) ? at.properties[name] : undefined
    if (!isJsonObject(property)) return undefined
    at = property
  }
  return at
}

function selectableProblems(
  { selectableFields = [], schema }: DefinitionVersion,
  path: string,
): FieldProblem[] {
  if (selectableFields.length > MOST_SELECTABLE)
    return [invalid(path, selectableFields.length, `may have ${MOST_SELECTABLE} entries`)]
  const seen = new Set<string>()
  return selectableFields.flatMap(({ jsonPath }, index) => {
    const place = `${itemPath(path, index)}.jsonPath`
    if (jsonPath === '') return [required(place)]
    if (seen.has(jsonPath)) return [duplicate(place, jsonPath)]
    seen.add(jsonPath)
    const names = jsonPath.startsWith('.') ? namesOf(parsePath(jsonPath)) : undefined
    if (names === undefined || names[0] === 'metadata')
      return [
        invalid(
          place,
          jsonPath,
          'is an invalid path: must be a simple path, and must not point to fields in metadata',
        ),
      ]
    const { type } = schemaAt(schema?.openAPIV3Schema, names) ?? {}
    return ['string', 'integer', 'boolean'].includes(String(type))
      ? []
      : [
          invalid(
            place,
            jsonPath,
            'is an invalid path: must point to a field of type string, boolean or integer',
          ),
        ]
  })
}

function versionProblems(version: DefinitionVersion, path: string): FieldProblem[] {
  const { name, deprecated, deprecationWarning, schema } = version
  const problems = form(`${path}.name`, name, checkDns1035Label)
  if (deprecationWarning !== undefined) {
    if (deprecated !== true)
      problems.push(
        invalid(`${path}.deprecationWarning`, deprecationWarning, 'can only be set for deprecated versions'),
      )
    if (deprecationWarning.length > LONGEST_WARNING || /[\n\r]/.test(deprecationWarning))
      problems.push(
        invalid(
          `${path}.deprecationWarning`,
          deprecationWarning,
          `must be one line of at most ${LONGEST_WARNING} characters`,
        ),
      )
  }
  if (schema?.openAPIV3Schema === undefined)
    problems.push(required(`${path}.schema.openAPIV3Schema`, 'schemas are required'))
  else problems.push(...checkSchema(schema.openAPIV3Schema, `${path}.schema.openAPIV3Schema`))
  return [
    ...problems,
    ...scaleProblems(version, `${path}.subresources.scale`),
    ...columnProblems(version, `${path}.additionalPrinterColumns`),
    ...selectableProblems(version, `${path}.selectableFields`),
  ]
}

function versionsProblems({ spec: { versions } }: CustomResourceDefinition): FieldProblem[] {
  const field = 'spec.versions'
  if (versions.length === 0) return [required(field)]
  if (versions.length > MOST_VERSIONS)
    return [invalid(field, versions.length, `may have ${MOST_VERSIONS} entries`)]
  const names = versions.map(({ name }) => name)
  const problems = names.flatMap((name, index) =>
    names.indexOf(name) < index ? [invalid(field, name, 'must contain unique version names')] : [],
  )
  if (versions.filter(({ storage }) => storage).length !== 1)
    problems.push(invalid(field, names, 'must have exactly one version marked as storage version'))
  return [
    ...problems,
    ...versions.flatMap((version, index) => versionProblems(version, itemPath(field, index))),
  ]
}

function conversionProblems({ spec: { conversion } }: CustomResourceDefinition): FieldProblem[] {
  const field = 'spec.conversion'
  const { strategy, webhook } = conversion ?? {}
  if (strategy === 'None') {
    if (webhook === undefined) return []
    return [forbiddenField(`${field}.webhook`, 'should not be set when strategy is not set to Webhook')]
  }
  if (strategy !== 'Webhook') return [notSupported(`${field}.strategy`, strategy, ['None', 'Webhook'])]
  const { clientConfig, conversionReviewVersions } = webhook ?? {}
  return [
    ...(clientConfig === undefined
      ? [required(`${field}.webhookClientConfig`, 'required when strategy is set to Webhook')]
      : clientConfigProblems(clientConfig, `${field}.webhookClientConfig`)),
    ...reviewVersionProblems(conversionReviewVersions, `${field}.conversionReviewVersions`),
  ]
}

/** What is wrong with a definition as a whole. */
export function definitionProblems(definition: CustomResourceDefinition): FieldProblem[] {
  const { metadata, spec } = definition
  const problems = [...groupProblems(definition), ...nameProblems(definition)]
  const name = `${spec.names.plural}.${spec.group}`
  if (metadata.name !== name)
    problems.unshift(invalid('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group'))
  if (spec.scope === '') problems.push(required('spec.scope'))
  else if (!['Cluster', 'Namespaced'].includes(spec.scope))
    problems.push(notSupported('spec.scope', spec.scope, ['Cluster', 'Namespaced']))
  if (spec.preserveUnknownFields === true)
    problems.push(
      invalid(
        'spec.preserveUnknownFields',
        true,
        'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
      ),
    )
  return [...problems, ...conversionProblems(definition), ...versionsProblems(definition)]
}

function immutable(field: string, next: string, old: string): FieldProblem[] {
  return next === old ? [] : [invalid(field, next, 'field is immutable')]
}

/** What an update must not do. */
export function definitionUpdateProblems(
  { spec, status }: CustomResourceDefinition,
  old: Frozen<CustomResourceDefinition>,
): FieldProblem[] {
  const problems = [
    ...immutable('spec.group', spec.group, old.spec.group),
    ...immutable('spec.names.plural', spec.names.plural, old.spec.names.plural),
  ]
  if (isEstablished(old) || conditionOf(old, 'Terminating')?.status === 'True') {
    problems.push(...immutable('spec.scope', spec.scope, old.spec.scope))
    problems.push(...immutable('spec.names.kind', spec.names.kind, old.spec.names.kind))
  }
  const names = new Set(spec.versions.map(({ name }) => name))
  for (const [index, name] of (status?.storedVersions ?? []).entries()) {
    if (!names.has(name))
      problems.push(
        invalid(
          itemPath('status.storedVersions', index),
          name,
          `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`,
        ),
      )
  }
  return problems
}
