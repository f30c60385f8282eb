/** The environment of a container. Pure. */
import type { Container, EnvironmentVariable, Pod } from '../../protocol/kubernetes/index.ts'
import { fieldValue, type PodFacts, resourceValue } from './downward.ts'
import { runtimeErrors } from './errors.ts'
import type { PodInputs } from './pod-inputs.ts'

export interface EnvironmentContext {
  readonly pod: Pod
  readonly facts: PodFacts
  readonly inputs: PodInputs
  /** What names the cluster's services, for containers that look there. */
  readonly services: ReadonlyMap<string, string>
}

/** Replaces `$(NAME)` by the value of a variable; `$$(NAME)` stays as `$(NAME)`, and so does what is not known. */
export function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^()$]+)\)/g, (whole, name: string | undefined) =>
    name === undefined ? '$' : (variables.get(name) ?? whole),
  )
}

function missingKey(kind: 'ConfigMap' | 'Secret', pod: Pod, name: string, key: string): Error {
  return runtimeErrors.MissingInput({
    object: `pod ${pod.metadata.name}`,
    message: `couldn't find key ${key} in ${kind} ${pod.metadata.namespace}/${name}`,
  })
}

/** The value of one variable that comes from somewhere else; undefined when it may be missing and is. */
function valueFrom(
  source: NonNullable<EnvironmentVariable['valueFrom']>,
  container: Container,
  { pod, facts, inputs }: EnvironmentContext,
): string | undefined {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = source
  if (fieldRef !== undefined) return fieldValue(fieldRef.fieldPath, pod, facts)
  if (resourceFieldRef !== undefined) return resourceValue(resourceFieldRef, pod, container, facts)
  if (configMapKeyRef !== undefined) {
    const { name = '', key, optional = false } = configMapKeyRef
    const value = inputs.configMap(name, optional)?.data?.[key]
    if (value === undefined && !optional) throw missingKey('ConfigMap', pod, name, key)
    return value
  }
  if (secretKeyRef !== undefined) {
    const { name = '', key, optional = false } = secretKeyRef
    const value = inputs.secret(name, optional)?.data?.[key]
    if (value === undefined && !optional) throw missingKey('Secret', pod, name, key)
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8')
  }
  throw runtimeErrors.InvalidPod({
    object: `pod ${pod.metadata.name}`,
    message: 'a variable comes from a source that this version does not read',
  })
}

function isVariableName(name: string): boolean {
  return /^[!-<>-~]+$/.test(name)
}

function wholeSources(container: Container, { inputs }: EnvironmentContext): [string, string][] {
  return (container.envFrom ?? []).flatMap(({ prefix = '', configMapRef, secretRef }) => {
    const config = configMapRef && inputs.configMap(configMapRef.name ?? '', configMapRef.optional === true)
    const secret = secretRef && inputs.secret(secretRef.name ?? '', secretRef.optional === true)
    const entries = [
      ...Object.entries(config?.data ?? {}),
      ...Object.entries(secret?.data ?? {}).map(
        ([name, value]) => [name, Buffer.from(value, 'base64').toString('utf8')] as const,
      ),
    ]
    return entries
      .map(([name, value]): [string, string] => [`${prefix}${name}`, value])
      .filter(([name]) => isVariableName(name))
  })
}

/**
 * What a container finds in its environment: services, then whole objects, then single variables, each of which may use those
 * before it as `$(NAME)`.
 *
 * @throws `MissingInput`, `InvalidPod`
 */
export function containerEnvironment(
  container: Container,
  context: EnvironmentContext,
): ReadonlyMap<string, string> {
  const variables = new Map([...context.services, ...wholeSources(container, context)])
  for (const { name, value, valueFrom: source } of container.env ?? []) {
    const found =
      source === undefined ? expand(value ?? '', variables) : valueFrom(source, container, context)
    if (found !== undefined) variables.set(name, found)
  }
  return variables
}
