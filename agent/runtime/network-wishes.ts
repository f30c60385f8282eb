/** What a container or pod asks of its network, by labels and annotations. Pure. */

import { LABEL } from '../../protocol/index.ts'
import type { Pod } from '../../protocol/kubernetes/index.ts'
import { parseQuantity } from '../../protocol/kubernetes/index.ts'
import { requestedLabels } from './container-options.ts'
import type { AttachRequest } from './pod-network.ts'

export type NetworkWishes = Pick<AttachRequest, 'address' | 'mac' | 'bandwidth' | 'arguments'>

type Labels = Readonly<Record<string, string>>

/** Bits per second (Kubernetes documentation, "Network Plugins", "Support traffic shaping"). */
const BANDWIDTH_ANNOTATION = {
  ingressRate: 'kubernetes.io/ingress-bandwidth',
  egressRate: 'kubernetes.io/egress-bandwidth',
} as const

/** Kubernetes' own smallest and largest. */
const BANDWIDTH_RANGE = { smallest: 1e3, largest: 1e15 }

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text.trim()
}

/**
 * The address and MAC address that labels ask for. What the controller of the 2017 system wrote (`io.rancher.container.ip`,
 * with `-` for `:` in MAC addresses, because they went through annotations) counts after what users write.
 */
export function wishesOfLabels(labels: Labels): NetworkWishes {
  const address = nonEmpty(labels[LABEL.requestedIp]) ?? nonEmpty(labels[LABEL.containerIp])
  const mac = nonEmpty(labels[LABEL.containerMacAddress])?.replaceAll('-', ':')
  const uuid = nonEmpty(labels[LABEL.containerUuid])
  return {
    ...(address === undefined ? {} : { address: address.split('/')[0] ?? address }),
    ...(mac === undefined ? {} : { mac }),
    ...(uuid === undefined ? {} : { arguments: { RancherContainerUUID: uuid } }),
  }
}

function rateOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const rate = parseQuantity(text)
  if (rate === undefined) return undefined
  return rate >= BANDWIDTH_RANGE.smallest && rate <= BANDWIDTH_RANGE.largest ? Math.round(rate) : undefined
}

function bandwidthOf(annotations: Labels): NetworkWishes['bandwidth'] {
  const ingressRate = rateOf(annotations[BANDWIDTH_ANNOTATION.ingressRate])
  const egressRate = rateOf(annotations[BANDWIDTH_ANNOTATION.egressRate])
  if (ingressRate === undefined && egressRate === undefined) return undefined
  return {
    ...(ingressRate === undefined ? {} : { ingressRate }),
    ...(egressRate === undefined ? {} : { egressRate }),
  }
}

/** What a pod asks for: itself, or any of its containers, because they share one interface. */
export function wishesOfPod(pod: Pod, sandboxId: string): NetworkWishes {
  const { annotations = {}, labels = {}, name, namespace = '', uid = '' } = pod.metadata
  const ofContainers = Object.values(requestedLabels(pod))
  const all: Labels = Object.assign({}, ...ofContainers, labels, annotations)
  const { arguments: _, ...wishes } = wishesOfLabels(all)
  const bandwidth = bandwidthOf(annotations)
  return {
    ...wishes,
    ...(bandwidth === undefined ? {} : { bandwidth }),
    arguments: {
      K8S_POD_NAMESPACE: namespace,
      K8S_POD_NAME: name,
      K8S_POD_INFRA_CONTAINER_ID: sandboxId,
      K8S_POD_UID: uid,
    },
  }
}
