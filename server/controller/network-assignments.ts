/** What each host has to know to build its network. */

import { referredLabels } from '../../netplugins/driver/index.ts'
import { perHostSubnet } from '../../netplugins/routed/index.ts'
import type { NetworkAssignment } from '../../protocol/index.ts'
import type { Host, Model, Network } from '../model/index.ts'
import type { AddressBlocks } from './address-blocks.ts'

/** How labels begin by which a host differs from the others in its network. */
const LABEL_PREFIX = 'io.rancher.network.'

/**
 * What of a host's labels says something of its network: those made for it, and those that the cluster's own choice of CNI
 * plugins refers to.
 *
 * @returns undefined when there are none
 */
export function networkLabels(
  labels: Host['labels'],
  options: Network['options'],
): Record<string, string> | undefined {
  const referred = referredLabels(options.external?.cniConfig ?? {})
  const found = Object.entries(labels).filter(([name]) => name.startsWith(LABEL_PREFIX) || referred.has(name))
  return found.length === 0 ? undefined : Object.fromEntries(found)
}

export class NetworkAssignments {
  readonly #model: Model
  readonly #blocks: AddressBlocks
  readonly #hostKey: (clusterUuid: string, version: number) => string

  /** @param hostKey the secret of a cluster's hosts; always the same for the same arguments */
  constructor(
    model: Model,
    blocks: AddressBlocks,
    hostKey: (clusterUuid: string, version: number) => string,
  ) {
    this.#model = model
    this.#blocks = blocks
    this.#hostKey = hostKey
  }

  /** @throws `NotFound` when the host's cluster is gone */
  of(host: Host): NetworkAssignment {
    const cluster = this.#model.clusters.require(host.clusterId)
    const network: Network | undefined = this.#model.networks.get(cluster.defaultNetworkId ?? '')
    const version = network?.keyVersion ?? 1
    const labels = networkLabels(host.labels, network?.options ?? {})
    return {
      clusterBlock: cluster.clusterBlock,
      blocks: [...(network?.kind === 'routed' ? this.#routedBlocks(host) : this.#blocks.of(host.id))],
      network: {
        kind: network?.kind ?? 'bridge',
        options: network?.options ?? {},
        hostPorts: network?.hostPorts ?? true,
      },
      ...(labels === undefined ? {} : { labels }),
      hostKeys: {
        current: this.#hostKey(cluster.uuid, version),
        ...(version > 1 ? { previous: this.#hostKey(cluster.uuid, version - 1) } : {}),
      },
    }
  }

  /** On a routed network, a host's subnet may be chosen by label. A label that says nothing is as none. */
  #routedBlocks(host: Host): readonly string[] {
    const labels = perHostSubnet(host.labels)
    const subnet = labels.ok ? labels.value.subnet : undefined
    return subnet === undefined ? this.#blocks.of(host.id) : [subnet]
  }
}
