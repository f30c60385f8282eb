/** The pods of a stateful set and the claims that they keep their data in. */
import type {
  Draft,
  Frozen,
  LabelSelector,
  PersistentVolumeClaim,
  Pod,
  PodTemplateSpec,
  StatefulSet,
} from '../apiserver/index.ts'
import { ownerReferenceTo } from './owner-reference.ts'
import { REVISION_LABEL } from './revision-history.ts'

export const STATEFUL_SET = { apiVersion: 'apps/v1', kind: 'StatefulSet' }
const POD_NAME_LABEL = 'statefulset.kubernetes.io/pod-name'
const INDEX_LABEL = 'apps.kubernetes.io/pod-index'

export function podName({ metadata }: Frozen<StatefulSet>, ordinal: number): string {
  return `${metadata.name}-${ordinal}`
}

function claimName(template: Frozen<PersistentVolumeClaim>, pod: string): string {
  return `${template.metadata.name}-${pod}`
}

/** Names of the claims of one pod. */
export function claimNames({ spec }: Frozen<StatefulSet>, pod: string): string[] {
  return (spec.volumeClaimTemplates ?? []).map(template => claimName(template, pod))
}

/** The claims of one pod. */
export function claimDrafts(set: Frozen<StatefulSet>, pod: string): Draft<PersistentVolumeClaim>[] {
  const { namespace } = set.metadata
  const { matchLabels = {} } = (set.spec.selector ?? {}) as Frozen<LabelSelector>
  return (set.spec.volumeClaimTemplates ?? []).map(template => {
    const { metadata, spec } = structuredClone(template as PersistentVolumeClaim)
    return {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: {
        ...(metadata.annotations === undefined ? {} : { annotations: metadata.annotations }),
        name: claimName(template, pod),
        ...(namespace === undefined ? {} : { namespace }),
        labels: { ...metadata.labels, ...matchLabels },
      },
      spec,
      status: {},
    }
  })
}

/** A pod by its number. @param revision name of the revision that the template is of */
export function statefulPod(
  set: Frozen<StatefulSet>,
  ordinal: number,
  template: Frozen<PodTemplateSpec>,
  revision: string,
): Draft<Pod> {
  const { metadata, spec } = structuredClone(template as PodTemplateSpec)
  const { namespace } = set.metadata
  const name = podName(set, ordinal)
  const claims = set.spec.volumeClaimTemplates ?? []
  const claimed = new Set(claims.map(claim => claim.metadata.name))
  const volumes = [
    ...(spec.volumes ?? []).filter(volume => !claimed.has(volume.name)),
    ...claims.map(claim => ({
      name: claim.metadata.name,
      persistentVolumeClaim: { claimName: claimName(claim, name) },
    })),
  ]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: {
        ...metadata?.labels,
        [REVISION_LABEL]: revision,
        [POD_NAME_LABEL]: name,
        [INDEX_LABEL]: String(ordinal),
      },
      ownerReferences: [ownerReferenceTo(set, STATEFUL_SET)],
    },
    spec: {
      ...spec,
      hostname: name,
      ...(set.spec.serviceName === undefined ? {} : { subdomain: set.spec.serviceName }),
      ...(volumes.length === 0 ? {} : { volumes }),
    },
    status: {},
  }
}
