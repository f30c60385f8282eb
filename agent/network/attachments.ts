/**
 * Serves the CNI plugin: joins containers to the network of this host and takes them out again.
 *
 * The record on disk is what makes an attachment one. It is written when everything is built, and removed before
 * anything is torn down; so whatever a process that ended in the middle left behind (an address, a link, a port)
 * is recognised by having no record, and is cleared away by `AttachmentKeeper`.
 */
import { explainError, KeyedLock, type Logger } from '../../kit/index.ts'
import { type BridgeNetwork, hostInterfaceName } from '../../netplugins/bridge/index.ts'
import type {
  CniAttachmentRequest,
  CniHandler,
  CniResult,
  ValidAttachment,
} from '../../netplugins/cni/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import type { AddressPool } from '../../netplugins/ipam/index.ts'
import type { SourceGuard } from '../../netplugins/source-guard/index.ts'
import { AddressSource } from './address-source.ts'
import {
  type Attachment,
  attachmentKey,
  type PublishedPort,
  requestedPorts,
  sourcesOf,
} from './attachment.ts'
import { addressesOf, describeAttachment, mtuOf, resultOf } from './attachment-result.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { forgetDetached, forgetUnanswered } from './conntrack.ts'
import type { ContainerLinks } from './container-links.ts'
import type { Firewall } from './firewall.ts'
import type { PublishedPorts } from './published-ports.ts'
import type { NetworkPlan } from './settings.ts'

export interface AttachmentsParts {
  readonly bridgeName: string
  readonly bridge: BridgeNetwork
  readonly links: ContainerLinks
  readonly pool: AddressPool
  readonly store: AttachmentStore
  readonly ports: PublishedPorts
  readonly firewall: Firewall
  readonly guard: SourceGuard
  /** Undefined until somebody said what the network is. */
  readonly plan: () => NetworkPlan | undefined
  /** Throws when containers could not be served now. */
  readonly requireReady: () => void
  /** Resolves when network policies count for whoever is attached now; those that cannot be kept are no failure. */
  readonly policySettled: () => Promise<void>
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
  readonly #addresses: AddressSource
  readonly #locks = new KeyedLock('container')
  /** Attachments in the making or unmaking, key → host's end of their link: these are no left-overs. */
  readonly #busy = new Map<string, string>()

  constructor(parts: AttachmentsParts) {
    this.#parts = parts
    this.#addresses = new AddressSource(parts)
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
      // A pod is isolated before it runs (Kubernetes, "Network Policies", "Pod lifecycle").
      await this.#parts.policySettled()
      return resultOf(attachment, plan, { bridgeName: this.#parts.bridgeName, mtu: mtuOf(request, plan) })
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
    const { namespace } = attachment
    const told = request.previousResult?.ips.map(ip => ip.address)
    for (const { address } of told === undefined ? [] : addressesOf(attachment, plan)) {
      if (told?.includes(address) === true) continue
      throw networkErrors.AttachmentBroken({ object, message: `the result lacks its address ${address}` })
    }
    await this.#parts.links.check({ ...attachment, namespace: request.namespace ?? namespace }, plan)
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

  /** Deletes every attachment for which `matches`, all at once. @throws the first error, after the others were tried */
  async deleteWhere(matches: (attachment: Attachment) => boolean): Promise<void> {
    const found = this.#parts.store.list().filter(matches)
    const results = await Promise.allSettled(
      found.map(attachment => {
        this.#parts.log.info({ container: attachment.containerId }, 'takes a container off the network')
        return this.delete(attachment)
      }),
    )
    const failed = results.find(result => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
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
    if (await this.#parts.links.isConnected(present)) {
      throw networkErrors.AlreadyAttached({
        object: `container ${request.containerId}`,
        message: `has the interface ${request.interfaceName} already`,
      })
    }
    await this.#tearDown(present)
  }

  /** Builds everything; on failure, nothing is left. */
  async #build(request: CniAttachmentRequest, plan: NetworkPlan): Promise<Attachment> {
    const { store, pool, ports, links, guard, firewall } = this.#parts
    const undo: Undo[] = []
    try {
      const wanted = this.#portsOf(request, plan)
      const address = await this.#addresses.take(request, plan)
      undo.push(() => pool.release(request))
      const planned = describeAttachment(request, plan, { address, ports: wanted })
      await ports.take(planned)
      undo.push(() => ports.release(planned))
      // Before there is a link: what is not admitted sends nothing.
      undo.push(() => guard.expel(planned.hostInterface))
      await guard.admit(...sourcesOf(planned, plan.bridge.mac))
      const attachment = await links.attach(planned, plan, mtuOf(request, plan))
      undo.push(() => links.detach(attachment))
      if (attachment.address !== planned.address) await guard.admit(...sourcesOf(attachment, plan.bridge.mac))
      if (request.bandwidth !== undefined) await links.limit(attachment, request.bandwidth)
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

  /** On the hosts' own network, containers are reached directly: there is nothing to publish. */
  #portsOf(request: CniAttachmentRequest, plan: NetworkPlan): PublishedPort[] {
    if (plan.network.kind !== 'flat') return requestedPorts(request)
    if (request.portMappings.length > 0) {
      const ports = request.portMappings.map(({ hostPort }) => hostPort)
      this.#parts.log.warn(
        { container: request.containerId, ports },
        'publishes no ports: on the flat network, the container is reached under its own address',
      )
    }
    return []
  }

  async #tearDown(attachment: Attachment): Promise<void> {
    const { store, links, guard, ports, firewall, pool, changed } = this.#parts
    await store.remove(attachment)
    await links.detach(attachment)
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
}
