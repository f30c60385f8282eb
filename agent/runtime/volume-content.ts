/** The files of volumes that are made of objects: configMap, secret, downwardAPI, projected. Pure. */
import type { DownwardFile, KeyToPath, Pod, Volume } from '../../protocol/kubernetes/index.ts'
import type { ContentFile } from '../volumes/index.ts'
import { fieldValue, type PodFacts, resourceValue } from './downward.ts'
import { runtimeErrors } from './errors.ts'
import type { PodInputs } from './pod-inputs.ts'

export interface ContentContext {
  readonly pod: Pod
  readonly facts: PodFacts
  readonly inputs: PodInputs
  /** Tokens of the pod's account by `tokenKey`. */
  readonly tokens: ReadonlyMap<string, string>
}

const DEFAULT_MODE = 0o644

/** Names one token that a volume asks for. */
export function tokenKey(audience: string | undefined, expirationSeconds: number | undefined): string {
  return `${audience ?? ''} ${expirationSeconds ?? ''}`
}

/** Whether a volume is made of objects. */
export function isContent({ configMap, secret, downwardAPI, projected }: Volume): boolean {
  return [configMap, secret, downwardAPI, projected].some(source => source !== undefined)
}

/** Whether what is in it must not be on a disk. */
export function isConfidential({ secret, projected }: Volume): boolean {
  return secret !== undefined || projected !== undefined
}

function keyed(
  what: string,
  data: ReadonlyMap<string, Buffer>,
  items: readonly KeyToPath[] | undefined,
  mode: number,
  optional: boolean,
  pod: Pod,
): ContentFile[] {
  if (items === undefined || items.length === 0)
    return [...data].map(([name, bytes]) => ({ path: name, data: bytes, mode }))
  return items.flatMap(item => {
    const bytes = data.get(item.key)
    if (bytes !== undefined) return [{ path: item.path, data: bytes, mode: item.mode ?? mode }]
    if (optional) return []
    throw runtimeErrors.MissingInput({
      object: `pod ${pod.metadata.name}`,
      message: `${what} has no key ${item.key}`,
    })
  })
}

interface KeyedSource {
  readonly name?: string | undefined
  readonly items?: readonly KeyToPath[] | undefined
  readonly optional?: boolean | undefined
}

function configMapFiles(
  { name = '', items, optional = false }: KeyedSource,
  mode: number,
  { pod, inputs }: ContentContext,
): ContentFile[] {
  const { data = {}, binaryData = {} } = inputs.configMap(name, optional) ?? {}
  const bytes = new Map([
    ...Object.entries(data).map(([key, text]) => [key, Buffer.from(text)] as const),
    ...Object.entries(binaryData).map(([key, text]) => [key, Buffer.from(text, 'base64')] as const),
  ])
  return keyed(`configmap "${name}"`, bytes, items, mode, optional, pod)
}

function secretFiles(
  { name = '', items, optional = false }: KeyedSource,
  mode: number,
  { pod, inputs }: ContentContext,
): ContentFile[] {
  const entries = Object.entries(inputs.secret(name, optional)?.data ?? {})
  const bytes = new Map(entries.map(([key, text]) => [key, Buffer.from(text, 'base64')] as const))
  return keyed(`secret "${name}"`, bytes, items, mode, optional, pod)
}

function downwardFiles(
  items: readonly DownwardFile[] | undefined,
  mode: number,
  { pod, facts }: ContentContext,
): ContentFile[] {
  return (items ?? []).map(item => {
    const text =
      item.fieldRef === undefined
        ? resourceValue(item.resourceFieldRef ?? { resource: '' }, pod, undefined, facts)
        : fieldValue(item.fieldRef.fieldPath, pod, facts)
    return { path: item.path, data: Buffer.from(text), mode: item.mode ?? mode }
  })
}

/**
 * The files of a volume. Of two that claim the same place the later one is there.
 *
 * @throws `MissingInput`, `InvalidPod`
 */
export function volumeContent(volume: Volume, context: ContentContext): readonly ContentFile[] {
  const { configMap, secret, downwardAPI, projected } = volume
  const mode = (configMap ?? secret ?? downwardAPI ?? projected)?.defaultMode ?? DEFAULT_MODE
  const files: ContentFile[] = []
  if (configMap !== undefined) files.push(...configMapFiles(configMap, mode, context))
  if (secret !== undefined) files.push(...secretFiles({ ...secret, name: secret.secretName }, mode, context))
  if (downwardAPI !== undefined) files.push(...downwardFiles(downwardAPI.items, mode, context))
  for (const source of projected?.sources ?? []) {
    if (source.configMap !== undefined) files.push(...configMapFiles(source.configMap, mode, context))
    if (source.secret !== undefined) files.push(...secretFiles(source.secret, mode, context))
    if (source.downwardAPI !== undefined)
      files.push(...downwardFiles(source.downwardAPI.items, mode, context))
    if (source.serviceAccountToken !== undefined) {
      const { path, audience, expirationSeconds } = source.serviceAccountToken
      const token = context.tokens.get(tokenKey(audience, expirationSeconds))
      if (token === undefined)
        throw runtimeErrors.MissingToken({ object: `pod ${context.pod.metadata.name}` })
      files.push({ path, data: Buffer.from(token), mode: tokenMode(context.pod, mode) })
    }
  }
  return [...new Map(files.map(file => [file.path, file])).values()]
}

/** A token is for the pod's users alone, where they are known. */
function tokenMode({ spec }: Pod, mode: number): number {
  return spec.securityContext?.fsGroup === undefined && soleUser(spec) === undefined ? mode : 0o600
}

/** The user that all containers run as; undefined when they differ or it is not said. */
export function soleUser(spec: Pod['spec']): number | undefined {
  const all = [...(spec.initContainers ?? []), ...spec.containers]
  const users = new Set(all.map(each => each.securityContext?.runAsUser ?? spec.securityContext?.runAsUser))
  const [user] = users
  return users.size === 1 ? user : undefined
}
