/** What may change in a pod after its creation: very little (`ValidatePodUpdate`). */
import { cloneJson, equalJson, type Frozen, type JsonObject, type JsonValue } from '../json.ts'
import type { Container, Pod, PodSpec, Toleration } from '../objects.ts'
import { type FieldProblem, forbiddenField, invalid } from '../problems.ts'
import { mirrorUpdateProblems } from './mirror-pods.ts'

const MAY_CHANGE =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,' +
  '`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),' +
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)'

function sameCount(containers: readonly unknown[] | undefined, old: readonly unknown[] | undefined): boolean {
  return (containers?.length ?? 0) === (old?.length ?? 0)
}

function restoreImages(containers: Container[] | undefined, old: Frozen<Container[]> | undefined): void {
  for (const [index, container] of (containers ?? []).entries()) {
    const image = old?.[index]?.image
    if (image === undefined) delete container.image
    else container.image = image
  }
}

function validateDeadline(spec: PodSpec, old: Frozen<PodSpec>): FieldProblem[] {
  const before = old.activeDeadlineSeconds
  const after = spec.activeDeadlineSeconds
  if (before === undefined || (after !== undefined && after <= before)) return []
  return [
    invalid(
      'spec.activeDeadlineSeconds',
      after ?? null,
      'must be less than or equal to previous value and must not be removed',
    ),
  ]
}

function withoutSeconds({ tolerationSeconds: _, ...rest }: Frozen<Toleration>): JsonValue {
  return rest as JsonObject
}

function validateTolerations(spec: PodSpec, old: Frozen<PodSpec>): FieldProblem[] {
  const kept = (old.tolerations ?? []).every(before =>
    (spec.tolerations ?? []).some(after => equalJson(withoutSeconds(before), withoutSeconds(after))),
  )
  return kept
    ? []
    : [
        forbiddenField(
          'spec.tolerations',
          'existing toleration can not be modified except its tolerationSeconds',
        ),
      ]
}

function validateGates(spec: PodSpec, old: Frozen<PodSpec>): FieldProblem[] {
  const before = new Set((old.schedulingGates ?? []).map(gate => gate.name))
  return (spec.schedulingGates ?? [])
    .filter(gate => !before.has(gate.name))
    .map(gate =>
      forbiddenField(
        'spec.schedulingGates',
        `only deletion is allowed, but found new scheduling gate '${gate.name}'`,
      ),
    )
}

/** The new specification with everything that may change set back, to be compared with the old one. */
function withPermittedRestored(spec: PodSpec, old: Frozen<PodSpec>): PodSpec {
  const restored = cloneJson(spec as unknown as JsonObject) as unknown as PodSpec
  restoreImages(restored.containers, old.containers)
  restoreImages(restored.initContainers, old.initContainers)
  const target = restored as unknown as JsonObject
  const source = old as unknown as JsonObject
  const restore = (field: keyof PodSpec) => {
    const value = source[field as string]
    if (value === undefined) delete target[field as string]
    else target[field as string] = value
  }
  restore('activeDeadlineSeconds')
  restore('tolerations')
  restore('schedulingGates')
  const before = old.terminationGracePeriodSeconds
  if (before !== undefined && before < 0 && spec.terminationGracePeriodSeconds === 1) {
    restore('terminationGracePeriodSeconds')
  }
  return restored
}

export function validatePodUpdate(pod: Pod, old: Frozen<Pod>): FieldProblem[] {
  const { spec } = pod
  if (!sameCount(spec.containers, old.spec.containers)) {
    return [forbiddenField('spec.containers', 'pod updates may not add or remove containers')]
  }
  if (!sameCount(spec.initContainers, old.spec.initContainers)) {
    return [forbiddenField('spec.initContainers', 'pod updates may not add or remove containers')]
  }
  const problems = [
    ...mirrorUpdateProblems(pod, old),
    ...validateDeadline(spec, old.spec),
    ...validateTolerations(spec, old.spec),
    ...validateGates(spec, old.spec),
  ]
  const restored = withPermittedRestored(spec, old.spec) as unknown as JsonObject
  if (!equalJson(restored, old.spec as unknown as JsonObject))
    problems.push(forbiddenField('spec', MAY_CHANGE))
  return problems
}
