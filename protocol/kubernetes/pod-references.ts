/** Which objects of its namespace a pod refers to. Pure. */
import type { Container, PodSpec } from './types.ts'

export type ReferencedKind = 'configmaps' | 'secrets' | 'persistentvolumeclaims'

export interface PodReference {
  readonly kind: ReferencedKind
  readonly name: string
  /** The pod can do without. */
  readonly optional: boolean
}

function ofContainer({ env = [], envFrom = [] }: Container): (PodReference | undefined)[] {
  return [
    ...envFrom.flatMap(({ configMapRef, secretRef }) => [
      reference('configmaps', configMapRef?.name, configMapRef?.optional),
      reference('secrets', secretRef?.name, secretRef?.optional),
    ]),
    ...env.flatMap(({ valueFrom }) => [
      reference('configmaps', valueFrom?.configMapKeyRef?.name, valueFrom?.configMapKeyRef?.optional),
      reference('secrets', valueFrom?.secretKeyRef?.name, valueFrom?.secretKeyRef?.optional),
    ]),
  ]
}

function reference(
  kind: ReferencedKind,
  name: string | undefined,
  optional = false,
): PodReference | undefined {
  return name === undefined || name === '' ? undefined : { kind, name, optional }
}

function ofVolumes({ volumes = [] }: Pick<PodSpec, 'volumes'>): (PodReference | undefined)[] {
  return volumes.flatMap(({ configMap, secret, projected, persistentVolumeClaim }) => [
    reference('configmaps', configMap?.name, configMap?.optional),
    reference('secrets', secret?.secretName, secret?.optional),
    reference('persistentvolumeclaims', persistentVolumeClaim?.claimName),
    ...(projected?.sources ?? []).flatMap(source => [
      reference('configmaps', source.configMap?.name, source.configMap?.optional),
      reference('secrets', source.secret?.name, source.secret?.optional),
    ]),
  ])
}

type Referring = Pick<
  PodSpec,
  'containers' | 'initContainers' | 'ephemeralContainers' | 'volumes' | 'imagePullSecrets'
>

/** Each object once; it is optional when it is so wherever it is named. */
export function podReferences(spec: Referring): readonly PodReference[] {
  const found = new Map<string, PodReference>()
  const containers = [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])]
  const all = [
    ...containers.flatMap(ofContainer),
    ...ofVolumes(spec),
    // A registry may let everybody in: what is missing shows when it does not.
    ...(spec.imagePullSecrets ?? []).map(({ name }) => reference('secrets', name, true)),
  ]
  for (const each of all) {
    if (each === undefined) continue
    const key = `${each.kind}/${each.name}`
    const before = found.get(key)
    found.set(key, { ...each, optional: each.optional && (before?.optional ?? true) })
  }
  return [...found.values()]
}
