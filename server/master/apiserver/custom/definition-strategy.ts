/** How the server treats CustomResourceDefinitions themselves. */
import { defineStrategy, type ReserveResult } from '../kinds/index.ts'
import { definitionPrinter } from '../printing/index.ts'
import { forbiddenField } from '../problems.ts'
import { CLEANUP_FINALIZER, type CustomResourceDefinition, type DefinitionCondition } from './definition.ts'
import { definitionProblems, definitionUpdateProblems } from './definition-problems.ts'

/** Definitions of one cluster; every one costs memory in the process that all clusters share. */
const MOST_DEFINITIONS = 1000

function storageVersion({ spec }: CustomResourceDefinition): string[] {
  return spec.versions.filter(({ storage }) => storage).map(({ name }) => name)
}

function refuseTooMany(count: number): ReserveResult | undefined {
  if (count < MOST_DEFINITIONS) return undefined
  const problem = forbiddenField('spec', `a cluster may have ${MOST_DEFINITIONS} custom resource definitions`)
  return { kind: 'refused', problems: [problem] }
}

/** A list of conditions with one of them set. */
export function withCondition(
  conditions: readonly DefinitionCondition[],
  condition: DefinitionCondition,
): DefinitionCondition[] {
  const index = conditions.findIndex(({ type }) => type === condition.type)
  return index < 0 ? [...conditions, condition] : conditions.with(index, condition)
}

export const definitionStrategy = defineStrategy<CustomResourceDefinition>({
  countsGenerations: true,
  unconditionalUpdate: false,
  printer: definitionPrinter,
  prepareCreate(definition) {
    definition.status = { storedVersions: storageVersion(definition) }
  },
  prepareUpdate(definition, old) {
    const stored = new Set([...(old.status?.storedVersions ?? []), ...storageVersion(definition)])
    definition.status = { ...definition.status, storedVersions: [...stored] }
  },
  complete({ spec }) {
    const { names } = spec
    if ((names.singular ?? '') === '') names.singular = names.kind.toLowerCase()
    if ((names.listKind ?? '') === '' && names.kind !== '') names.listKind = `${names.kind}List`
    spec.conversion ??= { strategy: 'None' }
    for (const version of spec.versions) {
      if (version.deprecated === false) delete version.deprecated
    }
  },
  validate: definitionProblems,
  validateUpdate: definitionUpdateProblems,
  reserve: (_definition, old, { definitions }) =>
    old === undefined ? refuseTooMany(definitions.count()) : undefined,
  // A delete first marks the definition, then its objects go.
  holdsDeletion: ({ metadata }) => metadata.deletionTimestamp === undefined,
  markDeleted({ metadata, status }) {
    metadata.finalizers = [...new Set([...(metadata.finalizers ?? []), CLEANUP_FINALIZER])]
    const time = metadata.deletionTimestamp
    status.conditions = withCondition(status.conditions ?? [], {
      type: 'Terminating',
      status: 'True',
      ...(time === undefined ? {} : { lastTransitionTime: time }),
      reason: 'InstanceDeletionPending',
      message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon',
    })
  },
})
