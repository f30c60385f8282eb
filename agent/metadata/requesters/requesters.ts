/** Who asks, by the address that the question comes from. */
import { type Clock, systemClock } from '../../../kit/index.ts'
import type { InstanceInfo } from '../../../protocol/index.ts'
import { addressKey, type MetadataModel, type ModelReader, type SignalBoard } from '../model/index.ts'
import type { SourceAddresses } from './local-addresses.ts'

export type Requester =
  | { readonly kind: 'container'; readonly instance: InstanceInfo }
  /** The host, or a container on its network: nothing tells them apart. */
  | { readonly kind: 'host' }
  /** A container of this host that the metadata does not know yet. */
  | { readonly kind: 'unknown' }

export interface RequestersOptions {
  readonly model: MetadataModel
  readonly signals: SignalBoard
  readonly addresses: SourceAddresses
  readonly clock?: Clock
}

const HOST: Requester = { kind: 'host' }
const UNKNOWN: Requester = { kind: 'unknown' }

/** Of several containers with one address, the one that speaks for all: running, not a sidekick, made last. */
function spokesman(instances: readonly InstanceInfo[]): InstanceInfo | undefined {
  const rank = ({ state, sidekick, networkFromContainerUuid }: InstanceInfo) =>
    (state === 'running' ? 4 : 0) +
    (networkFromContainerUuid === undefined ? 2 : 0) +
    (sidekick === undefined ? 1 : 0)
  let best: InstanceInfo | undefined
  for (const instance of instances) if (best === undefined || rank(instance) >= rank(best)) best = instance
  return best
}

/**
 * The address that a container is reached by: its own, or that of the container whose network it shares.
 *
 * @param reader asked for the container that it shares with
 */
export function addressOf(instance: InstanceInfo, reader: ModelReader): string | undefined {
  return addressesOf(instance, reader)[0]
}

/** `addressOf`, and its IPv6 address where it has one. */
export function addressesOf(instance: InstanceInfo, reader: ModelReader): string[] {
  const owner =
    instance.primaryIp === undefined ? reader.get('instance', instance.networkFromContainerUuid) : instance
  const { primaryIp, primaryIpv6 } = owner ?? {}
  return [primaryIp, primaryIpv6].filter(address => address !== undefined)
}

export class Requesters {
  readonly #options: RequestersOptions
  readonly #clock: Clock
  #hostUuid: string | undefined
  #version = 0

  constructor(options: RequestersOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** Says which host of the model this is: the only one whose containers can ask here. */
  setHost(uuid: string): void {
    if (uuid === this.#hostUuid) return
    this.#hostUuid = uuid
    this.#version += 1
  }

  /** Another number when addresses may be somebody else's although the model is the same. */
  get version(): number {
    return this.#version
  }

  get hostUuid(): string | undefined {
    return this.#hostUuid
  }

  /** @returns undefined for somebody who has nothing to ask here */
  of(address: string): Requester | undefined {
    const { model, addresses } = this.#options
    // First: a container must not become somebody else by claiming an address of the host.
    if (addresses.isHostAddress(address)) return HOST
    const instance =
      this.#hostUuid === undefined
        ? undefined
        : spokesman(model.list('instance', 'address', addressKey(this.#hostUuid, address)))
    if (instance !== undefined) return { kind: 'container', instance }
    return addresses.isContainerAddress(address) ? UNKNOWN : undefined
  }

  /** Resolves when it may have become known who has `address`, after `milliseconds`, or when `signal` aborts. */
  whenKnown(address: string, milliseconds: number, signal: AbortSignal): Promise<void> {
    const { signals } = this.#options
    const known = signals.group('instance', 'address', addressKey(this.#hostUuid ?? '', address))
    return new Promise(resolve => {
      const end = () => {
        stopListening()
        cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const stopListening = known.onChange(end)
      const cancel = this.#clock.after(milliseconds, end)
      signal.addEventListener('abort', end, { once: true })
      if (signal.aborted) end()
    })
  }
}
