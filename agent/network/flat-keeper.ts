/**
 * Keeps the flat network of this host: makes it, and removes all of it before anything else takes its place.
 *
 * What is on the host is on disk before anything of it is: after a crash in the middle of a switch, what is to be removed
 * is known. (How to give the interface back is kept by the network itself.)
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
import { DhcpLeases, FlatNetwork, INTERFACE_LABEL } from '../../netplugins/flat/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import type { KernelEvent, RouteSocket } from '../../netplugins/netlink/index.ts'
import type { OverlayRules } from '../../netplugins/overlay/index.ts'
import { type FlatOptions, networkChoiceSchema } from '../../protocol/index.ts'
import type { NetworkPlan } from './settings.ts'

/** Below /run: leases and the process that renews them do not survive a reboot. */
const DHCP_DIRECTORY = '/run/drover-dhcp'

const recordSchema = Type.Object({
  options: networkChoiceSchema.properties.options,
  labels: Type.Record(Type.String(), Type.String()),
  metadataAddress: Type.String(),
})

const recordValidator = validatorOf(recordSchema)

type FlatRecord = Static<typeof recordSchema>

export interface FlatKeeperOptions {
  /** Holds the records of what is on the host. */
  readonly directory: string
  readonly socket: RouteSocket
  /** Disconnects every container that is on the flat network. */
  readonly releaseContainers: () => Promise<void>
  readonly log: Logger
}

interface Current {
  readonly record: FlatRecord
  readonly network: FlatNetwork
}

function flatOptionsOf({ options }: FlatRecord): FlatOptions {
  if (options.flat !== undefined) return options.flat
  throw networkErrors.NetworkNotReady({ object: 'flat network', message: 'is not described' })
}

/** What the host must be given back for when it changes; the range is not. */
function foundation(record: FlatRecord): unknown {
  const { interface: name, subnet, gateway, mode, dhcp } = flatOptionsOf(record)
  return [record.labels[INTERFACE_LABEL] ?? name, subnet, gateway, mode, dhcp, record.metadataAddress]
}

function recordOf({ network, settings }: NetworkPlan): FlatRecord | undefined {
  const { flat } = network.options
  if (network.kind !== 'flat' || flat === undefined) return undefined
  const label = settings.labels?.[INTERFACE_LABEL]
  return {
    options: { flat },
    labels: label === undefined ? {} : { [INTERFACE_LABEL]: label },
    metadataAddress: settings.metadata.address,
  }
}

export class FlatKeeper {
  readonly #options: FlatKeeperOptions
  readonly #file: string
  #current: Current | undefined

  constructor(options: FlatKeeperOptions) {
    this.#options = options
    this.#file = path.join(options.directory, 'flat-network.json')
  }

  /** The network as it was chosen; undefined where another kind is. */
  get network(): FlatNetwork | undefined {
    return this.#current?.network
  }

  /** Whether `choose` has nothing to do for that plan. */
  isChosen(plan: NetworkPlan): boolean {
    return isDeepStrictEqual(this.#current?.record, recordOf(plan))
  }

  /**
   * Makes the plan's flat network the host's, or removes the one that is there when the plan is of another kind. Nothing
   * is on the host before `ensure`.
   *
   * @throws `CorruptFile`; the error of what could not be removed
   */
  async choose(plan: NetworkPlan): Promise<void> {
    const wanted = recordOf(plan)
    const present = this.#current?.record ?? (await this.#recorded())
    if (isDeepStrictEqual(present, wanted) && (wanted === undefined || this.#current !== undefined)) return
    const stays =
      wanted !== undefined &&
      present !== undefined &&
      isDeepStrictEqual(foundation(present), foundation(wanted))
    if (present !== undefined && !stays) await this.#letGo(present)
    if (wanted === undefined) return
    await writeFileDurably(this.#file, JSON.stringify(wanted))
    this.#current = { record: wanted, network: this.#create(wanted) }
  }

  /** Brings the host there, or repairs it. @throws those of `FlatNetwork.ensure` */
  async ensure(): Promise<void> {
    const repairs = (await this.#current?.network.ensure()) ?? 0
    if (repairs > 0) this.#options.log.info({ repairs }, 'made or repaired the flat network')
  }

  /** Firewall rules that the flat network needs. */
  rules(): OverlayRules | undefined {
    return this.#current?.network.rules()
  }

  /** The link on which containers ask for metadata. */
  get metadataLink(): string | undefined {
    return this.#current?.network.metadataLink
  }

  concerns(event: KernelEvent): boolean {
    return this.#current?.network.concerns(event) === true
  }

  /** Gives the host's interface back, also one that an earlier process took. */
  async remove(): Promise<void> {
    const present = this.#current?.record ?? (await this.#recorded())
    if (present !== undefined) await this.#letGo(present)
  }

  async #letGo(record: FlatRecord): Promise<void> {
    this.#options.log.info('removes the flat network')
    this.#current ??= { record, network: this.#create(record) }
    await this.#options.releaseContainers()
    await this.#current.network.remove()
    await rm(this.#file, { force: true })
    this.#current = undefined
  }

  async #recorded(): Promise<FlatRecord | undefined> {
    return await readJsonFile(this.#file, recordValidator)
  }

  #create(record: FlatRecord): FlatNetwork {
    const { directory, socket, log } = this.#options
    return new FlatNetwork({
      options: flatOptionsOf(record),
      labels: record.labels,
      metadataAddress: record.metadataAddress,
      directory,
      socket,
      leases: new DhcpLeases({ directory: DHCP_DIRECTORY }),
      log,
    })
  }
}
