/** What is wrong with label selectors inside of objects. */
import type { Frozen } from '../json.ts'
import { validateLabels } from '../metadata.ts'
import { checkQualifiedName } from '../names.ts'
import type { LabelSelector } from '../objects.ts'
import { type FieldProblem, forbiddenField, invalid, required } from '../problems.ts'

export function validateSelector(selector: Frozen<LabelSelector>, field: string): FieldProblem[] {
  return [
    ...validateLabels(selector.matchLabels ?? {}, `${field}.matchLabels`),
    ...(selector.matchExpressions ?? []).flatMap(({ key, operator, values }, index) => {
      const path = `${field}.matchExpressions[${index}]`
      const problem = checkQualifiedName(key)
      const problems = problem === undefined ? [] : [invalid(`${path}.key`, key, problem)]
      const listed = (values ?? []).length > 0
      if ((operator === 'In' || operator === 'NotIn') && !listed) {
        problems.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
      }
      if ((operator === 'Exists' || operator === 'DoesNotExist') && listed) {
        problems.push(
          forbiddenField(
            `${path}.values`,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
          ),
        )
      }
      return problems
    }),
  ]
}
