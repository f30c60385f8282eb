/**
 * The part `resize` of pods: how much of processor and memory its containers ask for and may have, while it runs (Kubernetes "Resize
 * CPU and Memory Resources assigned to Containers", `ValidatePodResize`).
 */
import { isMirror } from '../../../../protocol/kubernetes/index.ts'
import { cloneJson, equalJson, type Frozen, isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import type { Container, Pod, ResourceRequirements } from '../objects.ts'
import { type FieldProblem, forbiddenField, invalid } from '../problems.ts'
import { defineObjectPart } from './object-part.ts'
import { qosClassOf } from './quality-of-service.ts'

const RESIZABLE: ReadonlySet<string> = new Set(['cpu', 'memory'])

const LISTS = ['initContainers', 'containers'] as const

const isSidecar = ({ restartPolicy }: Frozen<Container>) => restartPolicy === 'Always'

/** What of a container cannot be resized. */
function fixedPart(resources: Frozen<ResourceRequirements> = {}): JsonObject {
  const fixed = (amounts: Frozen<Record<string, string>> = {}) =>
    Object.fromEntries(Object.entries(amounts).filter(([name]) => !RESIZABLE.has(name)))
  const { limits, requests, ...rest } = resources
  return { ...rest, limits: fixed(limits), requests: fixed(requests) } as JsonObject
}

function containerProblems(container: Container, old: Frozen<Container>, path: string): FieldProblem[] {
  const problems: FieldProblem[] = []
  for (const part of ['limits', 'requests'] as const) {
    const removed = Object.keys(old.resources?.[part] ?? {}).some(
      name => container.resources?.[part]?.[name] === undefined,
    )
    if (removed) {
      problems.push(forbiddenField(`${path}.resources.${part}`, `resource ${part} cannot be removed`))
    }
  }
  if (!equalJson(fixedPart(container.resources), fixedPart(old.resources))) {
    problems.push(forbiddenField('spec', 'only cpu and memory resources are mutable'))
  }
  return problems
}

/** Problems of containers that changed; those of a pod are compared by their places, which cannot change. */
function listProblems(pod: Pod, old: Frozen<Pod>, list: (typeof LISTS)[number]): FieldProblem[] {
  return (pod.spec[list] ?? []).flatMap((container, index) => {
    const before = old.spec[list]?.[index]
    const path = `spec.${list}[${index}]`
    const same = equalJson(
      (container.resources ?? {}) as unknown as JsonValue,
      (before?.resources ?? {}) as unknown as JsonValue,
    )
    if (before === undefined || same) return []
    return list === 'initContainers' && !isSidecar(before)
      ? [forbiddenField(`${path}.resources`, 'resources for non-sidecar init containers are immutable')]
      : containerProblems(container, before, path)
  })
}

/** What of the containers of a list is meant by a request to this part. */
function onlyResources(list: JsonValue | undefined): JsonValue[] {
  return (Array.isArray(list) ? list : []).flatMap(each => {
    if (!isJsonObject(each)) return []
    const { name, resources } = each
    return [{ name: name ?? '', ...(resources === undefined ? {} : { resources }) }]
  })
}

export const resizePart = defineObjectPart<Pod>({
  take(pod, wanted) {
    for (const list of LISTS) {
      const byName = new Map((wanted.spec[list] ?? []).map(container => [container.name, container]))
      for (const container of pod.spec[list] ?? []) {
        const changed = byName.get(container.name)
        if (changed === undefined) continue
        const { resources } = changed
        // Where there was something, nothing at all means that it is to be removed, which is refused later.
        if (resources === undefined) delete container.resources
        else
          container.resources = cloneJson(
            resources as unknown as JsonValue,
          ) as unknown as ResourceRequirements
      }
    }
  },
  restrict(spec) {
    return Object.fromEntries(
      LISTS.flatMap(list => (spec[list] === undefined ? [] : [[list, onlyResources(spec[list])]])),
    )
  },
  validateUpdate(pod, old) {
    if (isMirror(old)) return [forbiddenField('', 'static pods cannot be resized')]
    const running = old.status.containerStatuses?.find(({ state }) => state?.running !== undefined)
    if (running !== undefined && running.resources === undefined) {
      return [forbiddenField('', 'Pod running on node without support for resize')]
    }
    const qos = qosClassOf(pod.spec)
    return [
      ...(qos === (old.status.qosClass ?? qosClassOf(old.spec))
        ? []
        : [invalid('spec', qos, 'Pod QOS Class may not change as a result of resizing')]),
      ...LISTS.flatMap(list => listProblems(pod, old, list)),
    ]
  },
})
