/** What a pod's specification must fulfil beyond its types (`k8s.io/kubernetes/pkg/apis/core/validation`). */

import type { Frozen } from '../json.ts'
import { duplicateNames, validateLabels } from '../metadata.ts'
import {
  checkDnsLabel,
  checkDnsSubdomain,
  checkEnvironmentName,
  checkLabelValue,
  checkPortName,
  checkQualifiedName,
  type FormCheck,
} from '../names.ts'
import type {
  Container,
  ContainerPort,
  Pod,
  PodSpec,
  ResourceRequirements,
  Toleration,
  Volume,
} from '../objects.ts'
import {
  duplicate,
  type FieldProblem,
  forbiddenField,
  invalid,
  notFoundField,
  required,
} from '../problems.ts'
import { quantityValue } from '../schema/index.ts'
import { ephemeralProblems } from './ephemeral-containers.ts'
import { mirrorProblems } from './mirror-pods.ts'

const HIGHEST_PORT = 65_535

function checked(field: string, value: string, check: FormCheck): FieldProblem[] {
  if (value === '') return [required(field)]
  const problem = check(value)
  return problem === undefined ? [] : [invalid(field, value, problem)]
}

function portProblems(field: string, port: number): FieldProblem[] {
  return port >= 1 && port <= HIGHEST_PORT
    ? []
    : [invalid(field, port, `must be between 1 and ${HIGHEST_PORT}, inclusive`)]
}

function validatePorts(ports: readonly ContainerPort[], field: string, hostNetwork: boolean): FieldProblem[] {
  const names = ports.flatMap(port => (port.name === undefined ? [] : [port.name]))
  return [
    ...duplicateNames(names, index => `${field}[${index}].name`),
    ...ports.flatMap((port, index) => {
      const path = `${field}[${index}]`
      const problems = portProblems(`${path}.containerPort`, port.containerPort)
      if (port.name !== undefined) problems.push(...checked(`${path}.name`, port.name, checkPortName))
      if (port.hostPort !== undefined && port.hostPort !== 0) {
        problems.push(...portProblems(`${path}.hostPort`, port.hostPort))
        if (hostNetwork && port.hostPort !== port.containerPort) {
          problems.push(
            invalid(
              `${path}.hostPort`,
              port.hostPort,
              'must match `containerPort` when `hostNetwork` is true',
            ),
          )
        }
      }
      return problems
    }),
  ]
}

function validateResources(resources: ResourceRequirements, field: string): FieldProblem[] {
  const problems: FieldProblem[] = []
  for (const part of ['limits', 'requests'] as const) {
    for (const [name, text] of Object.entries(resources[part] ?? {})) {
      const path = `${field}.${part}.${name}`
      problems.push(...checked(path, name, checkQualifiedName))
      if ((quantityValue(text) ?? 0) < 0)
        problems.push(invalid(path, text, 'must be greater than or equal to 0'))
    }
  }
  for (const [name, request] of Object.entries(resources.requests ?? {})) {
    const limit = resources.limits?.[name]
    if (limit === undefined || (quantityValue(request) ?? 0) <= (quantityValue(limit) ?? 0)) continue
    problems.push(
      invalid(`${field}.requests`, request, `must be less than or equal to ${name} limit of ${limit}`),
    )
  }
  return problems
}

function validateMounts(container: Container, field: string, volumes: ReadonlySet<string>): FieldProblem[] {
  const mounts = container.volumeMounts ?? []
  const seen = new Set<string>()
  return mounts.flatMap((mount, index) => {
    const path = `${field}.volumeMounts[${index}]`
    const problems: FieldProblem[] = []
    if (mount.name === '') problems.push(required(`${path}.name`))
    else if (!volumes.has(mount.name)) problems.push(notFoundField(`${path}.name`, mount.name))
    if (mount.mountPath === '') problems.push(required(`${path}.mountPath`))
    else if (seen.has(mount.mountPath)) {
      problems.push(invalid(`${path}.mountPath`, mount.mountPath, 'must be unique'))
    }
    seen.add(mount.mountPath)
    return problems
  })
}

function validateEnvironment(container: Container, field: string): FieldProblem[] {
  return (container.env ?? []).flatMap((variable, index) => {
    const path = `${field}.env[${index}]`
    const problems = checked(`${path}.name`, variable.name, checkEnvironmentName)
    if (variable.value !== undefined && variable.value !== '' && variable.valueFrom !== undefined) {
      problems.push(invalid(`${path}.valueFrom`, '', 'may not be specified when `value` is not empty'))
    }
    return problems
  })
}

function validateContainer(
  container: Container,
  field: string,
  spec: PodSpec,
  volumes: ReadonlySet<string>,
): FieldProblem[] {
  const image = container.image ?? ''
  const problems = checked(`${field}.name`, container.name, checkDnsLabel)
  if (image === '') problems.push(required(`${field}.image`))
  else if (image !== image.trim()) {
    problems.push(invalid(`${field}.image`, image, 'must not have leading or trailing whitespace'))
  }
  return [
    ...problems,
    ...validatePorts(container.ports ?? [], `${field}.ports`, spec.hostNetwork === true),
    ...validateEnvironment(container, field),
    ...validateResources(container.resources ?? {}, `${field}.resources`),
    ...validateMounts(container, field, volumes),
  ]
}

function validateVolumes(volumes: readonly Volume[]): FieldProblem[] {
  return [
    ...duplicateNames(
      volumes.map(volume => volume.name),
      index => `spec.volumes[${index}].name`,
    ),
    ...volumes.flatMap((volume, index) => {
      const path = `spec.volumes[${index}]`
      const problems = checked(`${path}.name`, volume.name, checkDnsLabel)
      const sources = Object.keys(volume).filter(key => key !== 'name')
      for (const source of sources.slice(1)) {
        problems.push(forbiddenField(`${path}.${source}`, 'may not specify more than 1 volume type'))
      }
      return problems
    }),
  ]
}

/**
 * Containers of a pod share its node: no two can have a host port.
 *
 * @param containers that run side by side, by their fields
 */
function validateHostPorts(containers: ReadonlyMap<string, Container>): FieldProblem[] {
  const seen = new Set<string>()
  return [...containers].flatMap(([field, container]) =>
    (container.ports ?? []).flatMap((port, index) => {
      if (port.hostPort === undefined || port.hostPort === 0) return []
      const identity = `${port.protocol}/${port.hostIP ?? ''}/${port.hostPort}`
      if (!seen.has(identity)) {
        seen.add(identity)
        return []
      }
      return [duplicate(`${field}.ports[${index}].hostPort`, identity)]
    }),
  )
}

function validateToleration(toleration: Toleration, path: string): FieldProblem[] {
  const { key = '', operator = '', value = '', effect = '', tolerationSeconds } = toleration
  const problems: FieldProblem[] = []
  if (key !== '') problems.push(...checked(`${path}.key`, key, checkQualifiedName))
  else if (operator !== 'Exists') {
    problems.push(invalid(`${path}.operator`, operator, 'operator must be Exists when `key` is empty'))
  }
  if (operator === 'Exists' && value !== '') {
    problems.push(invalid(`${path}.operator`, value, "value must be empty when `operator` is 'Exists'"))
  }
  if (value !== '' && checkLabelValue(value) !== undefined) {
    problems.push(invalid(`${path}.value`, value, checkLabelValue(value) ?? ''))
  }
  if (tolerationSeconds !== undefined && effect !== 'NoExecute') {
    problems.push(
      invalid(`${path}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"),
    )
  }
  return problems
}

function validateNumbers(spec: PodSpec): FieldProblem[] {
  const problems: FieldProblem[] = []
  const { terminationGracePeriodSeconds: grace = 0, activeDeadlineSeconds: deadline = 1 } = spec
  if (grace < 0) {
    problems.push(invalid('spec.terminationGracePeriodSeconds', grace, 'must be greater than or equal to 0'))
  }
  if (deadline < 1) {
    problems.push(
      invalid('spec.activeDeadlineSeconds', deadline, 'must be between 1 and 2147483647, inclusive'),
    )
  }
  return problems
}

/** @param old the version before, of an update */
export function validatePod(pod: Pod, old: Frozen<Pod> | undefined): FieldProblem[] {
  const { spec } = pod
  const containers = spec.containers ?? []
  const initContainers = spec.initContainers ?? []
  const ephemeralContainers = spec.ephemeralContainers ?? []
  const volumes = new Set((spec.volumes ?? []).map(volume => volume.name))
  const problems = [...mirrorProblems(pod), ...validateVolumes(spec.volumes ?? []), ...validateNumbers(spec)]
  if (spec.containers?.length === 0) problems.push(required('spec.containers'))
  for (const [field, list] of [
    ['spec.initContainers', initContainers],
    ['spec.containers', containers],
    ['spec.ephemeralContainers', ephemeralContainers],
  ] as const) {
    for (const [index, container] of list.entries()) {
      problems.push(...validateContainer(container, `${field}[${index}]`, spec, volumes))
    }
  }
  const names = [...containers, ...initContainers].map(container => container.name)
  problems.push(...duplicateNames(names, index => `spec.containers[${index}].name`))
  problems.push(...ephemeralProblems(spec))
  if (old === undefined && ephemeralContainers.length > 0) {
    problems.push(forbiddenField('spec.ephemeralContainers', 'cannot be set on create'))
  }
  const sideBySide = containers.map((container, index) => [`spec.containers[${index}]`, container] as const)
  problems.push(...validateHostPorts(new Map(sideBySide)))
  // They come one after the other.
  for (const [index, container] of initContainers.entries()) {
    problems.push(...validateHostPorts(new Map([[`spec.initContainers[${index}]`, container]])))
  }
  if (spec.nodeSelector !== undefined)
    problems.push(...validateLabels(spec.nodeSelector, 'spec.nodeSelector'))
  if (spec.nodeName !== undefined)
    problems.push(...checked('spec.nodeName', spec.nodeName, checkDnsSubdomain))
  for (const [index, toleration] of (spec.tolerations ?? []).entries()) {
    problems.push(...validateToleration(toleration, `spec.tolerations[${index}]`))
  }
  return problems
}
