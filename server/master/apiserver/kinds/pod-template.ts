/** Pod templates, as workloads have them: completed and checked like the pods that come of them. */

import { validateLabels } from '../metadata.ts'
import type { PodTemplateSpec } from '../objects.ts'
import { type FieldProblem, invalid, notSupported } from '../problems.ts'
import { validatePod } from './pod-validation.ts'
import { completePodSpec } from './pods.ts'

export function completeTemplate(template: PodTemplateSpec | undefined): void {
  if (template?.spec !== undefined) completePodSpec(template.spec, 'template')
}

/**
 * @param field path of the template
 * @param restartPolicies those that the workload can do something with
 * @param claims names of volumes that the workload adds to each of its pods, in place of the template's own
 */
export function validateTemplate(
  template: PodTemplateSpec,
  field: string,
  restartPolicies: readonly string[],
  claims: readonly string[] = [],
): FieldProblem[] {
  if (template.spec === undefined) return [invalid(`${field}.spec`, null, 'must be specified')]
  const own = (template.spec.volumes ?? []).filter(({ name }) => !claims.includes(name))
  const added = claims.map(name => ({ name, persistentVolumeClaim: { claimName: name } }))
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'template' },
    spec: added.length === 0 ? template.spec : { ...template.spec, volumes: [...own, ...added] },
    status: {},
  }
  const { restartPolicy } = template.spec
  return [
    ...validateLabels(template.metadata?.labels ?? {}, `${field}.metadata.labels`),
    ...validatePod(pod, undefined).map(problem => ({ ...problem, field: `${field}.${problem.field}` })),
    ...(restartPolicies.includes(restartPolicy)
      ? []
      : [notSupported(`${field}.spec.restartPolicy`, restartPolicy, restartPolicies)]),
  ]
}
