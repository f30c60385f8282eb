/**
 * Keeps what is on the host and what is recorded the same: puts links back that were moved, forgets attachments whose
 * link is gone, and clears away what has no record.
 */
import { explainError, type Ipv6Prefix, type Logger, withIpv6Prefix } from '../../kit/index.ts'
import type { BridgeNetwork } from '../../netplugins/bridge/index.ts'
import type { AddressPool } from '../../netplugins/ipam/index.ts'
import { type Attachment, countingAddress6 } from './attachment.ts'
import type { AttachmentStore } from './attachment-store.ts'
import type { Attachments } from './attachments.ts'
import type { ContainerLinks } from './container-links.ts'

export interface AttachmentKeeperParts {
  readonly bridge: BridgeNetwork
  readonly links: ContainerLinks
  readonly pool: AddressPool
  readonly store: AttachmentStore
  readonly attachments: Attachments
  readonly log: Logger
}

export class AttachmentKeeper {
  readonly #parts: AttachmentKeeperParts

  constructor(parts: AttachmentKeeperParts) {
    this.#parts = parts
  }

  /**
   * One pass over everything.
   *
   * @param mtu of containers' links, in bytes
   * @param prefix of containers' IPv6 addresses; undefined where they have none
   * @throws `KernelRefused`
   */
  async reconcile(mtu: number, prefix: Ipv6Prefix | undefined): Promise<void> {
    const owners = await this.#keepLinks(mtu)
    await this.#forgetDisconnected(owners)
    await this.#freeAddresses()
    if (prefix !== undefined) await this.#keepNeighbours(prefix)
  }

  async #keepNeighbours(prefix: Ipv6Prefix): Promise<void> {
    const { bridge, pool, attachments, store, log } = this.#parts
    const repairs = await bridge.keepNeighbours(() => {
      const present = store.list().filter(attachment => !attachments.isBusy(attachment))
      // Also of containers that are being made or unmade.
      const taken = new Set(pool.assignments().map(({ address }) => withIpv6Prefix(prefix, address)))
      return {
        known: present.flatMap(({ mac, ...attachment }) => {
          const address = countingAddress6(attachment, prefix)
          return address === undefined ? [] : [{ address, mac }]
        }),
        isKept: address => taken.has(address),
      }
    })
    if (repairs > 0) log.info({ repairs }, "repaired the ways to containers' IPv6 addresses")
  }

  /** @returns names of the links that are there */
  async #keepLinks(mtu: number): Promise<ReadonlySet<string>> {
    const { bridge, links, attachments, store, log } = this.#parts
    const present = await bridge.hostInterfaces()
    for (const link of present.values()) {
      const owner = store.list().find(attachment => attachment.hostInterface === link.name)
      if (owner !== undefined) {
        if (attachments.isBusy(owner)) continue
        if (await links.ensure(link, owner)) log.info({ link: link.name }, 'reconnected a container')
        if (link.mtu !== mtu && owner.flat === undefined) await this.#resize(owner, mtu)
      } else if (!attachments.isBusyWith(link.name)) {
        log.info({ link: link.name }, 'removes the link of no container')
        await bridge.removeHostInterface(link.name)
      }
    }
    return new Set(present.keys())
  }

  async #resize(owner: Attachment, mtu: number): Promise<void> {
    const { bridge, log } = this.#parts
    try {
      await bridge.resize(owner, mtu)
      log.info({ container: owner.containerId, mtu }, 'changed the size of packets of a container')
    } catch (error) {
      // It ends just now, or its namespace is known by another name than it was attached with.
      log.warn({ container: owner.containerId, reason: explainError(error) }, 'keeps its size of packets')
    }
  }

  /**
   * A pair of links lives as long as both its ends: without the host's end, the container's namespace is gone (it ended,
   * or the machine was started anew), or somebody cut it off for good.
   */
  async #forgetDisconnected(present: ReadonlySet<string>): Promise<void> {
    const { links, attachments, store, log } = this.#parts
    for (const attachment of store.list()) {
      if (present.has(attachment.hostInterface) || attachments.isBusy(attachment)) continue
      await attachments.deleteUnless(attachment, async () => {
        const isConnected = await links.isConnected(attachment)
        if (!isConnected) log.info({ container: attachment.containerId }, 'forgets a container that is gone')
        return isConnected
      })
    }
  }

  async #freeAddresses(): Promise<void> {
    const { pool, attachments, store, log } = this.#parts
    for (const assignment of pool.assignments()) {
      if (store.get(assignment) !== undefined || attachments.isBusy(assignment)) continue
      log.info({ address: assignment.address }, 'frees the address of no container')
      await pool.release(assignment)
    }
  }
}
