/**
 * Serves the CNI plugin: joins containers to the network of this host and takes them out again.
 *
 * The record on disk is what makes an attachment one. It is written when everything is built, and removed before
 * anything is torn down; so whatever a process that ended in the middle left behind (an address, a link, a port)
 * is recognised by having no record, and is cleared away by `AttachmentKeeper`.
 */
import { explainError, KeyedLock, type Logger } from '../../kit/index.ts'
import {
  type BridgeNetwork,
  hostInterfaceName,
  limitBandwidth,
  macOfAddress,
} from '../../netplugins/bridge/index.ts'
import type {
  CniAttachmentRequest,
  CniHandler,
  CniResult,
  ValidAttachment,
} from '../../netplugins/cni/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import type { AddressPool } from '../../netplugins/ipam/index.ts'
import type { SourceGuard } from '../../netplugins/source-guard/index.ts'
import { type Attachment, attachmentKey, requestedMac, requestedPorts, sourceOf } from './attachment.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { forgetDetached, forgetUnanswered } from './conntrack.ts'
import type { Firewall } from './firewall.ts'
import type { PublishedPorts } from './published-ports.ts'
import type { NetworkPlan } from './settings.ts'

/** Fewer free addresses than this, and the host needs another block. */
const FEW_ADDRESSES = 8

export interface AttachmentsParts {
  readonly bridgeName: string
  readonly bridge: BridgeNetwork
  readonly pool: AddressPool
  readonly store: AttachmentStore
  readonly ports: PublishedPorts
  readonly firewall: Firewall
  readonly guard: SourceGuard
  /** Undefined until somebody said what the network is. */
  readonly plan: () => NetworkPlan | undefined
  /** Throws when containers could not be served now. */
  readonly requireReady: () => void
  /** Called after an attachment came or went. */
  readonly changed: () => void
  /** Called when few addresses are left, or none. */
  readonly addressesLow: (free: number) => void
  readonly log: Logger
}

/** What has to be undone when a later step fails, last step first. */
type Undo = () => Promise<unknown>

export class Attachments implements CniHandler {
  readonly #parts: AttachmentsParts
  readonly #locks = new KeyedLock('container')
  /** Attachments in the making or unmaking, key → host's end of their link: these are no left-overs. */
  readonly #busy = new Map<string, string>()

  constructor(parts: AttachmentsParts) {
    this.#parts = parts
  }

  /** Whether an ADD or DEL of the attachment is going on. */
  isBusy(of: ValidAttachment): boolean {
    return this.#busy.has(attachmentKey(of))
  }

  /** Whether an ADD or DEL is going on whose link has that name. */
  isBusyWith(hostInterface: string): boolean {
    return this.#busy.values().some(name => name === hostInterface)
  }

  /** @throws `TryAgainLater` before the network is configured, and every error of its parts */
  add(request: CniAttachmentRequest): Promise<CniResult> {
    return this.#exclusively(request, async () => {
      const plan = this.#parts.plan()
      if (plan === undefined) {
        throw networkErrors.TryAgainLater({ object: 'network', message: 'is not configured yet' })
      }
      await this.#requireUnattached(request)
      const attachment = await this.#build(request, plan)
      this.#parts.changed()
      return this.#resultOf(attachment, plan, mtuOf(request, plan))
    })
  }

  delete(request: ValidAttachment): Promise<void> {
    return this.#exclusively(request, async () => {
      const attachment = this.#parts.store.get(request)
      if (attachment === undefined) await this.#clearLeftovers(request)
      else await this.#tearDown(attachment)
    })
  }

  async check(request: CniAttachmentRequest): Promise<void> {
    const plan = this.#parts.plan()
    const attachment = this.#parts.store.get(request)
    const object = `container ${request.containerId} interface ${request.interfaceName}`
    if (plan === undefined || attachment === undefined) throw networkErrors.UnknownContainer({ object })
    const { address, namespace } = attachment
    const expected = `${address}/${plan.bridge.prefixLength}`
    if (
      request.previousResult !== undefined &&
      !request.previousResult.ips.some(ip => ip.address === expected)
    ) {
      throw networkErrors.AttachmentBroken({ object, message: `the result lacks its address ${expected}` })
    }
    const container = { ...attachment, namespace: request.namespace ?? namespace }
    await this.#parts.bridge.check(container, plan.bridge)
  }

  async status(): Promise<void> {
    this.#parts.requireReady()
  }

  async collectGarbage(networkName: string, valid: readonly ValidAttachment[]): Promise<void> {
    const keys = new Set(valid.map(attachmentKey))
    for (const attachment of this.#parts.store.list()) {
      if (attachment.networkName !== networkName || keys.has(attachmentKey(attachment))) continue
      await this.delete(attachment)
    }
  }

  /** Deletes an attachment unless `isAlive` says, now that nothing else is done to it, that it should stay. */
  deleteUnless(of: ValidAttachment, isAlive: () => Promise<boolean>): Promise<void> {
    return this.#exclusively(of, async () => {
      const attachment = this.#parts.store.get(of)
      if (attachment !== undefined && !(await isAlive())) await this.#tearDown(attachment)
    })
  }

  async #exclusively<T>(of: ValidAttachment, work: () => Promise<T>): Promise<T> {
    const key = attachmentKey(of)
    return await this.#locks.run(key, async () => {
      this.#busy.set(key, hostInterfaceName(of.containerId, of.interfaceName))
      try {
        return await work()
      } finally {
        this.#busy.delete(key)
      }
    })
  }

  /** @throws `AlreadyAttached`, unless what is recorded is of an earlier life of the container */
  async #requireUnattached(request: CniAttachmentRequest): Promise<void> {
    const present = this.#parts.store.get(request)
    if (present === undefined) return
    if (await this.#parts.bridge.hasLink(present.hostInterface)) {
      throw networkErrors.AlreadyAttached({
        object: `container ${request.containerId}`,
        message: `has the interface ${request.interfaceName} already`,
      })
    }
    await this.#tearDown(present)
  }

  /** Builds everything; on failure, nothing is left. */
  async #build(request: CniAttachmentRequest, plan: NetworkPlan): Promise<Attachment> {
    const { store, pool, ports, bridge, guard, firewall } = this.#parts
    const undo: Undo[] = []
    try {
      const wanted = requestedPorts(request)
      const address = await this.#takeAddress(request)
      undo.push(() => pool.release(request))
      const attachment = describe(request, address, wanted)
      await ports.take(attachment)
      undo.push(() => ports.release(attachment))
      // Before there is a link: what is not admitted sends nothing.
      undo.push(() => guard.expel(attachment.hostInterface))
      await guard.admit(sourceOf(attachment))
      const state = { ...plan.bridge, mtu: mtuOf(request, plan) }
      await bridge.attach({ ...attachment, reachesItself: wanted.length > 0 }, state)
      undo.push(() => bridge.detach(attachment.hostInterface, address))
      if (request.bandwidth !== undefined) await limitBandwidth(attachment, request.bandwidth)
      await store.put(attachment)
      undo.push(async () => {
        await store.remove(attachment)
        if (wanted.length > 0) await firewall.sync()
      })
      if (wanted.length > 0) {
        await firewall.sync()
        await forgetUnanswered(attachment)
      }
      return attachment
    } catch (error) {
      await this.#undo(undo, request)
      throw error
    }
  }

  async #undo(steps: readonly Undo[], of: ValidAttachment): Promise<void> {
    // The record goes first, then what hangs on it: the order of a DEL.
    for (const step of steps.toReversed()) {
      try {
        await step()
      } catch (error) {
        // What stays behind has no record, and is cleared away later.
        this.#parts.log.warn(
          { container: of.containerId, reason: explainError(error) },
          'could not undo a step of a failed CNI ADD',
        )
      }
    }
  }

  async #takeAddress(request: CniAttachmentRequest): Promise<string> {
    const { pool, addressesLow } = this.#parts
    const [requested, ...others] = request.addresses.map(address => address.split('/')[0] ?? '')
    if (others.length > 0) {
      throw networkErrors.UnsupportedCniField({
        object: 'ips',
        message: 'asks for several addresses',
        expected: 'one IPv4 address',
      })
    }
    try {
      return await pool.allocate(
        { containerId: request.containerId, interfaceName: request.interfaceName },
        requested,
      )
    } finally {
      if (pool.free < FEW_ADDRESSES) addressesLow(pool.free)
    }
  }

  async #tearDown(attachment: Attachment): Promise<void> {
    const { store, bridge, guard, ports, firewall, pool, changed } = this.#parts
    await store.remove(attachment)
    await bridge.detach(attachment.hostInterface, attachment.address)
    await guard.expel(attachment.hostInterface)
    if (attachment.ports.length > 0) {
      await firewall.sync()
      await ports.release(attachment)
      await forgetDetached(attachment)
    }
    await pool.release(attachment)
    changed()
  }

  /** A DEL for something unknown: what a process that ended, or a DEL that failed, in the middle may have left. */
  async #clearLeftovers(request: ValidAttachment): Promise<void> {
    const { bridge, guard, pool, ports, firewall } = this.#parts
    const hostInterface = hostInterfaceName(request.containerId, request.interfaceName)
    await bridge.removeHostInterface(hostInterface)
    await guard.expel(hostInterface)
    if (ports.holdsFor(request)) {
      await firewall.sync()
      await ports.release(request)
    }
    await pool.release(request)
  }

  #resultOf(attachment: Attachment, { bridge, settings }: NetworkPlan, mtu: number): CniResult {
    return {
      interfaces: [
        { name: this.#parts.bridgeName, mac: bridge.mac },
        { name: attachment.hostInterface },
        {
          name: attachment.interfaceName,
          mac: attachment.mac,
          mtu,
          sandbox: attachment.namespace,
        },
      ],
      ips: [
        { address: `${attachment.address}/${bridge.prefixLength}`, gateway: bridge.gateway, interface: 2 },
      ],
      routes: [{ dst: '0.0.0.0/0', gw: bridge.gateway }],
      dns: { nameservers: [settings.metadata.address] },
    }
  }
}

/** Smallest MTU of IPv4 links (RFC 791). */
const SMALLEST_MTU = 68

function mtuOf({ mtuOverhead }: CniAttachmentRequest, { bridge }: NetworkPlan): number {
  return Math.max(bridge.mtu - mtuOverhead, SMALLEST_MTU)
}

function describe(request: CniAttachmentRequest, address: string, ports: Attachment['ports']): Attachment {
  const { containerId, interfaceName, namespace, networkName } = request
  if (namespace === undefined) {
    throw networkErrors.InvalidCniEnvironment({ object: 'CNI_NETNS', message: 'must be set' })
  }
  return {
    networkName,
    containerId,
    interfaceName,
    namespace,
    address,
    mac: requestedMac(request) ?? macOfAddress(address),
    hostInterface: hostInterfaceName(containerId, interfaceName),
    ports,
  }
}
