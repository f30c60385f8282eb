/** The other hosts of the cluster, as the metadata knows them: whom overlays lead to. */
import { isDeepStrictEqual } from 'node:util'
import type { Peer } from '../../../netplugins/overlay/index.ts'
import type { HostInfo } from '../../../protocol/index.ts'
import { EVERY } from './indexes.ts'
import type { MetadataModel } from './metadata-model.ts'

/** A host that never said where it is, or has no addresses to hand out, can be the end of no way. */
function isReachable({ agentIp, blocks, state }: HostInfo): boolean {
  return agentIp !== '' && blocks.length > 0 && state !== 'removing'
}

function peerOf({ infoTypeId, name, agentIp, blocks, labels }: HostInfo): Peer {
  return { hostId: infoTypeId, name, address: agentIp, blocks, labels }
}

export class PeerHosts {
  readonly #model: MetadataModel
  readonly #ownUuid: string

  /** @param ownUuid of this host, which is no peer of its own */
  constructor(model: MetadataModel, ownUuid: string) {
    this.#model = model
    this.#ownUuid = ownUuid
  }

  /** In order of creation. */
  list(): readonly Peer[] {
    return this.#model
      .list('host', 'every', EVERY)
      .filter(host => host.uuid !== this.#ownUuid && isReachable(host))
      .map(peerOf)
  }

  /** Peers' ids → their uuids, by which their certificates tell who they are. */
  uuids(): ReadonlyMap<string, string> {
    return new Map(this.#model.list('host', 'every', EVERY).map(({ infoTypeId, uuid }) => [infoTypeId, uuid]))
  }

  /** Calls `listener` with all of them after any of them changed. The returned function ends that. */
  onChange(listener: (peers: readonly Peer[]) => void): () => void {
    let last = this.list()
    return this.#model.onChange(changes => {
      if (!changes.some(({ object, previous }) => (object ?? previous)?.infoType === 'host')) return
      const peers = this.list()
      if (isDeepStrictEqual(peers, last)) return
      last = peers
      listener(peers)
    })
  }
}
