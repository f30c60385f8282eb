/** Which names a custom kind gets, and whether it may be served. */
import {
  type CustomResourceDefinition,
  conditionOf,
  type DefinitionCondition,
  type DefinitionNames,
  type Frozen,
  isEstablished,
  withCondition,
} from '../apiserver/index.ts'

type Definition = Frozen<CustomResourceDefinition>

/** What a definition's status shall say of its names. */
export interface NamesPlan {
  readonly acceptedNames: DefinitionNames
  readonly conditions: DefinitionCondition[]
}

interface Taken {
  /** Plural, singular and short names, which stand for each other on a command line. */
  readonly resources: ReadonlySet<string>
  readonly kinds: ReadonlySet<string>
}

function takenBy(others: readonly Definition[]): Taken {
  const names = others.flatMap(({ status }) =>
    status?.acceptedNames === undefined ? [] : [status.acceptedNames],
  )
  return {
    resources: new Set(
      names.flatMap(({ plural, singular = '', shortNames = [] }) => [plural, singular, ...shortNames]),
    ),
    kinds: new Set(names.flatMap(({ kind, listKind = '' }) => [kind, listKind])),
  }
}

interface Conflict {
  readonly reason: string
  readonly message: string
}

/** Gives every wanted name that nobody else of the group has; the others stay what they were. */
function acceptNames(definition: Definition, taken: Taken) {
  const { names } = definition.spec
  const accepted = { ...definition.status?.acceptedNames } as Partial<DefinitionNames>
  const conflicts: Conflict[] = []
  const accept = <Field extends 'plural' | 'singular' | 'kind' | 'listKind'>(
    field: Field,
    used: ReadonlySet<string>,
    reason: string,
  ) => {
    const wanted = names[field] ?? ''
    if (used.has(wanted)) conflicts.push({ reason, message: `${JSON.stringify(wanted)} is already in use` })
    else accepted[field] = wanted
  }
  accept('plural', taken.resources, 'PluralConflict')
  accept('singular', taken.resources, 'SingularConflict')
  const shortNames = [...(names.shortNames ?? [])]
  const used = shortNames.filter(name => taken.resources.has(name))
  if (used.length === 0) accepted.shortNames = shortNames
  else
    conflicts.push({
      reason: 'ShortNamesConflict',
      message: used.map(name => `${JSON.stringify(name)} is already in use`).join(', '),
    })
  accept('kind', taken.kinds, 'KindConflict')
  accept('listKind', taken.kinds, 'ListKindConflict')
  accepted.categories = [...(names.categories ?? [])]
  return { accepted, conflict: conflicts.at(-1) }
}

function sameCondition(one: Frozen<DefinitionCondition> | undefined, other: DefinitionCondition): boolean {
  return one?.status === other.status && one.reason === other.reason && one.message === other.message
}

/**
 * What becomes of a definition's names.
 *
 * @param others definitions of the same group
 * @param now as a Time
 */
export function planNames(definition: Definition, others: readonly Definition[], now: string): NamesPlan {
  const { accepted, conflict } = acceptNames(definition, takenBy(others))
  const names: DefinitionCondition =
    conflict === undefined
      ? { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' }
      : { type: 'NamesAccepted', status: 'False', ...conflict }
  const established: DefinitionCondition =
    conflict === undefined || isEstablished(definition)
      ? {
          type: 'Established',
          status: 'True',
          reason: 'InitialNamesAccepted',
          message: 'the initial names have been accepted',
        }
      : { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' }
  let conditions = (definition.status?.conditions ?? []).map(condition => ({ ...condition }))
  for (const condition of [names, established]) {
    const present = conditionOf(definition, condition.type)
    if (sameCondition(present, condition)) continue
    const time = present?.status === condition.status ? (present.lastTransitionTime ?? now) : now
    conditions = withCondition(conditions, { ...condition, lastTransitionTime: time })
  }
  const { shortNames = [], categories = [], plural = '', kind = '', ...rest } = accepted
  const acceptedNames: DefinitionNames = {
    ...rest,
    plural,
    kind,
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(categories.length === 0 ? {} : { categories }),
  }
  return { acceptedNames, conditions }
}
