/**
 * Keeps the one overlay of this host: makes it, switches from one kind to another without leaving anything of the old one,
 * and brings it to what is wanted.
 *
 * Which kind is on the host is on disk before anything of it is: after a crash in the middle of a switch, what is to be
 * removed is known.
 */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import {
  type Logger,
  readJsonFile,
  type Static,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import type { KernelEvent, RouteSocket } from '../../netplugins/netlink/index.ts'
import {
  NO_OVERLAY_RULES,
  type Overlay,
  type OverlayRules,
  type OverlayState,
  type PeerState,
} from '../../netplugins/overlay/index.ts'
import type { NetworkChoice } from '../../protocol/index.ts'

const overlayKindSchema = Type.Union([Type.Literal('vxlan'), Type.Literal('ipsec'), Type.Literal('routed')])

export type OverlayKind = Static<typeof overlayKindSchema>

const recordValidator = validatorOf(Type.Object({ kind: overlayKindSchema }))

/** Secrets that the hosts of a cluster prove themselves with; the previous one counts while they change over. */
export interface HostKeys {
  readonly current: string
  readonly previous?: string
}

/** What overlays are made from. */
export interface OverlayContext {
  readonly options: NetworkChoice['options']
  /** In the host's network namespace. */
  readonly socket: RouteSocket
  /** For what the overlay keeps; it makes a directory of its own in it. */
  readonly directory: string
  /** The keys now; undefined when the host was told none. */
  readonly hostKeys: () => HostKeys | undefined
  /** To be called when the state of a peer changed by itself. */
  readonly changed: () => void
  readonly log: Logger
}

/** Makes an overlay; nothing of it is on the host before its first `apply`. */
export type OverlayFactory = (kind: OverlayKind, context: OverlayContext) => Overlay

export interface OverlayKeeperOptions {
  /** Holds the record of what is on the host. */
  readonly directory: string
  /** Absent where hosts are not connected to each other. */
  readonly create: OverlayFactory | undefined
  readonly socket: RouteSocket
  readonly hostKeys: () => HostKeys | undefined
  readonly changed: () => void
  /** Takes the overlay's rules out of the firewall: they hold on to things of it. */
  readonly releaseRules: () => Promise<void>
  readonly log: Logger
}

interface Current {
  readonly kind: OverlayKind
  readonly options: NetworkChoice['options']
  readonly overlay: Overlay
}

function overlayKind(kind: NetworkChoice['kind']): OverlayKind | undefined {
  return kind === 'vxlan' || kind === 'ipsec' || kind === 'routed' ? kind : undefined
}

export class OverlayKeeper {
  readonly #options: OverlayKeeperOptions
  readonly #file: string
  #current: Current | undefined
  #applied = false

  constructor(options: OverlayKeeperOptions) {
    this.#options = options
    this.#file = path.join(options.directory, 'overlay.json')
  }

  /** Bytes by which packets between hosts grow; 0 without an overlay. */
  get overhead(): number {
    return this.#current?.overlay.overhead ?? 0
  }

  /**
   * Makes the overlay of that choice the host's, and removes the one that was there.
   *
   * @throws `CorruptFile`; the old overlay's error when it cannot be removed
   */
  async choose({ kind, options }: NetworkChoice): Promise<void> {
    const wanted = overlayKind(kind)
    const current = this.#current
    if (current?.kind === wanted && (current === undefined || isDeepStrictEqual(current.options, options)))
      if (current !== undefined || (await this.#recorded()) === undefined) return
    await this.#letGo(wanted)
    if (wanted === undefined) return
    await writeFileDurably(this.#file, JSON.stringify({ kind: wanted }))
    this.#current = { kind: wanted, options, overlay: this.#create(wanted, options) }
    this.#applied = false
  }

  /** Brings the host to `state`; what changed since the last time is all that is done. @throws the overlay's errors */
  async apply(state: OverlayState): Promise<void> {
    await this.#current?.overlay.apply(state)
    this.#applied = true
  }

  /** Compares everything with the kernel. @throws the overlay's errors */
  async verify(state: OverlayState): Promise<void> {
    const current = this.#current
    if (current === undefined) return
    if (!this.#applied) {
      await this.apply(state)
      return
    }
    const repairs = await current.overlay.verify(state)
    if (repairs > 0) this.#options.log.info({ overlay: current.kind, repairs }, 'repaired the overlay')
  }

  /** Firewall rules without which the overlay does not carry packets, or carries those of strangers. */
  rules(state: OverlayState): OverlayRules {
    return this.#current?.overlay.rules(state) ?? NO_OVERLAY_RULES
  }

  /** The same for IPv6. */
  rules6(state: OverlayState): OverlayRules {
    return this.#current?.overlay.rules6(state) ?? NO_OVERLAY_RULES
  }

  concerns(event: KernelEvent): boolean {
    return this.#current?.overlay.concerns(event) === true
  }

  peerStates(): readonly PeerState[] {
    return this.#current?.overlay.peerStates() ?? []
  }

  /** Stops what runs in this process; the host stays as it is. */
  async close(): Promise<void> {
    await this.#current?.overlay.close()
    this.#current = undefined
  }

  /** Removes the overlay from the host, also one that an earlier process made. */
  async remove(): Promise<void> {
    await this.#letGo(undefined)
  }

  /** Removes what is on the host unless it is of the kind that stays. */
  async #letGo(staying: OverlayKind | undefined): Promise<void> {
    const current = this.#current
    const recorded = current?.kind ?? (await this.#recorded())
    this.#current = undefined
    if (recorded !== undefined && recorded !== staying) {
      const overlay = current?.overlay ?? this.#create(recorded, {})
      this.#options.log.info({ overlay: recorded }, 'removes the overlay')
      await this.#options.releaseRules()
      await overlay.remove()
      await overlay.close()
      await rm(this.#file, { force: true })
    } else {
      await current?.overlay.close()
    }
  }

  async #recorded(): Promise<OverlayKind | undefined> {
    return (await readJsonFile(this.#file, recordValidator))?.kind
  }

  #create(kind: OverlayKind, options: NetworkChoice['options']): Overlay {
    const { create } = this.#options
    if (create === undefined) {
      throw networkErrors.NetworkNotReady({
        object: `network of kind ${kind}`,
        message: 'is not built on this host',
      })
    }
    const { socket, directory, hostKeys, changed, log } = this.#options
    return create(kind, { options, socket, directory, hostKeys, changed, log })
  }
}
