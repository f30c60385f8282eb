/** Hands out blocks of container addresses to hosts. */
import {
  formatIpv4Block,
  type Ipv4Block,
  ipv4BlockSize,
  KeyedLock,
  requireIpv4Block,
} from '../../kit/index.ts'
import type { AddressBlock, Model } from '../model/index.ts'
import { controllerErrors } from './errors.ts'

/** 64 addresses: about the containers of one host. */
const BLOCK_PREFIX_LENGTH = 26

/** The blocks of a cluster block in order, without the first: it holds the gateway's address. */
function* candidateBlocks(cluster: Ipv4Block): Generator<string> {
  const size = 2 ** (32 - BLOCK_PREFIX_LENGTH)
  const count = ipv4BlockSize(cluster) / size
  for (let index = 1; index < count; index += 1) {
    yield formatIpv4Block({ base: cluster.base + index * size, prefixLength: BLOCK_PREFIX_LENGTH })
  }
}

export class AddressBlocks {
  readonly #model: Model
  readonly #lock = new KeyedLock('address blocks of cluster', 10_000)

  constructor(model: Model) {
    this.#model = model
  }

  /** The blocks of a host. */
  of(hostId: string): readonly string[] {
    return this.#model.addressBlocks.where('host', hostId).map(block => block.name)
  }

  /**
   * Makes sure that the host has at least `count` blocks.
   *
   * @throws `NoAddressBlock` when the cluster has none left
   */
  async ensure(clusterId: string, hostId: string, count: number): Promise<readonly string[]> {
    await this.#lock.run(clusterId, async () => {
      while (this.#model.addressBlocks.where('host', hostId).length < count)
        await this.#assign(clusterId, hostId)
    })
    return this.of(hostId)
  }

  /** Takes all blocks of a host back. */
  async release(hostId: string): Promise<void> {
    for (const { id } of this.#model.addressBlocks.where('host', hostId))
      await this.#model.addressBlocks.delete(id)
  }

  async #assign(clusterId: string, hostId: string): Promise<AddressBlock> {
    const cluster = this.#model.clusters.require(clusterId)
    const object = `cluster ${cluster.name}`
    for (const name of candidateBlocks(requireIpv4Block(cluster.clusterBlock, object))) {
      if (this.#model.addressBlocks.find('name', `${clusterId}/${name}`) !== undefined) continue
      return await this.#model.addressBlocks.create({ name, state: 'active', clusterId, hostId })
    }
    throw controllerErrors.NoAddressBlock({ object })
  }
}
