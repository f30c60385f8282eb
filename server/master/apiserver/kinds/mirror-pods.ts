/** Mirrors of static pods: what they must and may not be (`ValidatePodSpecificAnnotations` and its update). */
import { STATIC_POD } from '../../../../protocol/kubernetes/index.ts'
import type { Frozen } from '../json.ts'
import type { Pod } from '../objects.ts'
import { type FieldProblem, forbiddenField, invalid } from '../problems.ts'

const FIELD = `metadata.annotations[${STATIC_POD.mirror}]`

const hashOf = ({ metadata }: Frozen<Pod>) => metadata.annotations?.[STATIC_POD.mirror]

export function mirrorProblems(pod: Frozen<Pod>): FieldProblem[] {
  const hash = hashOf(pod)
  return hash === undefined || (pod.spec.nodeName ?? '') !== ''
    ? []
    : [invalid(FIELD, hash, 'must set spec.nodeName if mirror pod annotation is set')]
}

export function mirrorUpdateProblems(pod: Frozen<Pod>, old: Frozen<Pod>): FieldProblem[] {
  const [after, before] = [hashOf(pod), hashOf(old)]
  if (after === before) return []
  return [
    forbiddenField(
      FIELD,
      before === undefined
        ? 'may not add mirror pod annotation'
        : 'may not remove or update mirror pod annotation',
    ),
  ]
}
