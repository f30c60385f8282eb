/**
 * The part `ephemeralcontainers` of pods: containers that are added to a pod for somebody to look at it, and that stay what they
 * were (Kubernetes "Ephemeral Containers", `ValidatePodEphemeralContainersUpdate`).
 */
import { isMirror } from '../../../../protocol/kubernetes/index.ts'
import { equalJson, type Frozen, type JsonObject } from '../json.ts'
import type { EphemeralContainer, Pod, PodSpec } from '../objects.ts'
import { duplicate, type FieldProblem, forbiddenField, notFoundField } from '../problems.ts'
import { defineObjectPart } from './object-part.ts'

const FIELD = 'spec.ephemeralContainers'

/** What pods rely on is not for containers that come and go. */
const ALLOWED: ReadonlySet<string> = new Set([
  ...['name', 'image', 'command', 'args', 'workingDir', 'env', 'envFrom', 'volumeMounts', 'volumeDevices'],
  ...['terminationMessagePath', 'terminationMessagePolicy', 'imagePullPolicy', 'securityContext'],
  ...['stdin', 'stdinOnce', 'tty', 'targetContainerName'],
])

function isSaid(value: unknown): boolean {
  if (value === undefined || value === '') return false
  if (typeof value !== 'object' || value === null) return true
  return Object.keys(value).length > 0
}

function fieldProblems(container: EphemeralContainer, path: string): FieldProblem[] {
  const refuse = (field: string) =>
    forbiddenField(`${path}.${field}`, 'cannot be set for an Ephemeral Container')
  return [
    ...Object.entries(container).flatMap(([field, value]) =>
      isSaid(value) && !ALLOWED.has(field) ? [refuse(field)] : [],
    ),
    ...(container.volumeMounts ?? []).flatMap((mount, index) =>
      (['subPath', 'subPathExpr'] as const).flatMap(field =>
        isSaid(mount[field]) ? [refuse(`volumeMounts[${index}].${field}`)] : [],
      ),
    ),
  ]
}

/** What is wrong with ephemeral containers beyond what is checked of every container. */
export function ephemeralProblems({
  containers,
  initContainers = [],
  ephemeralContainers = [],
}: PodSpec): FieldProblem[] {
  const others = new Set([...containers, ...initContainers].map(({ name }) => name))
  const names = new Set(others)
  return ephemeralContainers.flatMap((container, index) => {
    const path = `${FIELD}[${index}]`
    const { name, targetContainerName: target = '' } = container
    const problems = fieldProblems(container, path)
    if (names.has(name)) problems.push(duplicate(`${path}.name`, name))
    names.add(name)
    if (target !== '' && !others.has(target))
      problems.push(notFoundField(`${path}.targetContainerName`, target))
    return problems
  })
}

function changeProblems(pod: Pod, old: Frozen<Pod>): FieldProblem[] {
  const now = new Map((pod.spec.ephemeralContainers ?? []).map(container => [container.name, container]))
  return (old.spec.ephemeralContainers ?? []).flatMap(before => {
    const after = now.get(before.name)
    if (after === undefined) {
      return [forbiddenField(FIELD, `existing ephemeral containers "${before.name}" may not be removed`)]
    }
    return equalJson(after as unknown as JsonObject, before as unknown as JsonObject)
      ? []
      : [forbiddenField(FIELD, `existing ephemeral containers "${before.name}" may not be changed`)]
  })
}

export const ephemeralContainersPart = defineObjectPart<Pod>({
  take(pod, wanted) {
    const { ephemeralContainers } = wanted.spec
    if (ephemeralContainers === undefined) delete pod.spec.ephemeralContainers
    else pod.spec.ephemeralContainers = ephemeralContainers
  },
  restrict: ({ ephemeralContainers }) => (ephemeralContainers === undefined ? {} : { ephemeralContainers }),
  validateUpdate(pod, old) {
    return isMirror(old)
      ? [forbiddenField('', 'static pods do not support ephemeral containers')]
      : changeProblems(pod, old)
  },
})
