/** Keeps the short way for packets of known flows, on hosts whose network and kernel have it. */
import path from 'node:path'
import { explainError, isDroverError, type Logger, systemErrorCode } from '../../kit/index.ts'
import { HOST_INTERFACE_PREFIX, readSysctl } from '../../netplugins/bridge/index.ts'
import { type FlowLink, FlowOffload, type FlowSender } from '../../netplugins/flow-offload/index.ts'
import {
  type Link,
  linksWithIngressQueue,
  listLinks,
  type RouteSocket,
  withRouteSocket,
} from '../../netplugins/netlink/index.ts'
import { VTEP_NAME } from '../../netplugins/vxlan/index.ts'
import type { NetworkChoice } from '../../protocol/index.ts'
import type { Attachment } from './attachment.ts'
import { BorrowedSettings } from './borrowed-settings.ts'

/**
 * Connection tracking sees few of the packets. Those between make no difference to it when it is liberal; and what it has not
 * seen acknowledged is no reason to forget an open connection after five minutes (nf_conntrack-sysctl in the kernel's
 * documentation).
 */
const LIBERAL = 'net/netfilter/nf_conntrack_tcp_be_liberal'
const UNACKNOWLEDGED = 'net/netfilter/nf_conntrack_tcp_timeout_unacknowledged'
const ESTABLISHED = 'net/netfilter/nf_conntrack_tcp_timeout_established'

/** Milliseconds that others have to do something to the link of a new container: to limit what it sends, for instance. */
const SETTLING = 1_000

/** What kernels answer that are too old, or made without it, or that do not let us. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  'ENOSYS',
  'EPERM',
  'EINVAL',
  'EOPNOTSUPP',
  'EACCES',
  'EROFS',
  'E2BIG',
  // ENOTSUPP, which is for the kernel's own use and has no name outside, comes from compilers of BPF.
  'Unknown system error -524',
])

const RECORD = 'conntrack-settings.json'

export interface FlowOffloadKeeperOptions {
  /** Holds the record of what was changed on this host. */
  readonly directory: string
  readonly bridgeName: string
  readonly socket: RouteSocket
  readonly log: Logger
}

/** Whether a network has a short way at all. */
function isOfNetwork({ kind, options }: NetworkChoice): boolean {
  return kind === 'vxlan' && options.vxlan?.flowOffload !== false
}

function isUnsupported(error: unknown): boolean {
  if (isDroverError(error, 'CommandMissing')) return true
  const code = error instanceof Error ? systemErrorCode(error.cause) : undefined
  return isDroverError(error, 'KernelRefused') && code !== undefined && UNSUPPORTED.has(code)
}

export class FlowOffloadKeeper {
  readonly #options: FlowOffloadKeeperOptions
  readonly #settings: BorrowedSettings
  readonly #offload: FlowOffload
  /** Host's end of a container's link → when it was first seen here, in milliseconds. */
  readonly #seen = new Map<string, number>()
  /** `unknown`: what an earlier process left may be there. */
  #state: 'unknown' | 'present' | 'absent' | 'unsupported' = 'unknown'

  private constructor(options: FlowOffloadKeeperOptions, settings: BorrowedSettings) {
    this.#options = options
    this.#settings = settings
    this.#offload = new FlowOffload(options.log)
  }

  static async open(options: FlowOffloadKeeperOptions): Promise<FlowOffloadKeeper> {
    const { directory, log } = options
    return new FlowOffloadKeeper(options, await BorrowedSettings.open(path.join(directory, RECORD), log))
  }

  /** Whether a change of firewall rules was made by a process of ours. */
  isOwnProcess(processId: number): boolean {
    return this.#offload.isOwnProcess(processId)
  }

  /**
   * Makes it as it should be, or removes it where the network has none.
   *
   * @returns milliseconds until there is more to do; undefined when nothing waits
   * @throws `KernelRefused`, `RulesRefused`, `DeadlineExceeded`
   */
  async reconcile(network: NetworkChoice, attachments: readonly Attachment[]): Promise<number | undefined> {
    if (!isOfNetwork(network)) {
      if (this.#state !== 'absent') await this.#remove()
      this.#state = 'absent'
      return undefined
    }
    if (this.#state === 'unsupported') return undefined
    try {
      return await this.#bring(attachments)
    } catch (error) {
      // Rules that were taken once are not refused for what the kernel lacks.
      const isMissing = this.#state !== 'present' && isDroverError(error, 'RulesRefused')
      if (!isMissing && !isUnsupported(error)) throw error
      await this.#giveUp(explainError(error))
      return undefined
    }
  }

  /** To be called when somebody else changed the firewall rules of this host. */
  forgetRules(): void {
    this.#offload.forgetRules()
  }

  /** To be called when what may pass, or where to, is another one now. */
  forgetFlows(): void {
    this.#offload.forgetFlows()
  }

  /** Lets go of what this process has; what is in the kernel works on. */
  close(): void {
    this.#offload.close()
    this.#state = 'unknown'
  }

  /** Removes it, and gives the host its settings back, whichever process changed them. @throws like `reconcile` */
  async end(): Promise<void> {
    await this.#remove()
    await this.#settings.giveBack()
    this.#state = 'absent'
  }

  async #bring(attachments: readonly Attachment[]): Promise<number | undefined> {
    const { bridgeName, socket, log } = this.#options
    const links = await listLinks(socket)
    const bridge = flowLink(links, bridgeName)
    const tunnel = flowLink(links, VTEP_NAME)
    // What is missing is being made; its appearance is an event.
    if (bridge === undefined || tunnel === undefined) return undefined
    if (!(await this.#prepareTracking())) {
      await this.#giveUp('connection tracking has no such settings')
      return undefined
    }
    const { settled, wait } = this.#settledLinks(attachments)
    const occupied = settled.size === 0 ? new Set<number>() : await linksWithIngressQueue(socket)
    const containers = links.flatMap(({ name, index }): FlowSender[] => {
      const address = settled.get(name)
      return address === undefined ? [] : [{ address, link: index }]
    })
    const repairs = await this.#offload.verify({
      ...{ bridge, tunnel },
      senders: containers.filter(({ link }) => !occupied.has(link)),
      excluded: containers.map(({ link }) => link).filter(link => occupied.has(link)),
    })
    if (this.#state === 'present' && repairs > 0)
      log.debug({ repairs }, 'repaired the short way of known flows')
    this.#state = 'present'
    return wait
  }

  async #prepareTracking(): Promise<boolean> {
    const established = await readSysctl(ESTABLISHED)
    if (established === undefined || !(await this.#settings.change(LIBERAL, '1'))) return false
    return await this.#settings.change(UNACKNOWLEDGED, established)
  }

  /** Links that nobody does anything to any more, with the address of their container; and how long until there are more. */
  #settledLinks(attachments: readonly Attachment[]): {
    settled: Map<string, string>
    wait: number | undefined
  } {
    const now = performance.now()
    const present = new Set(attachments.map(({ hostInterface }) => hostInterface))
    for (const name of [...this.#seen.keys()]) if (!present.has(name)) this.#seen.delete(name)
    const settled = new Map<string, string>()
    let wait: number | undefined
    for (const { hostInterface, address, flat } of attachments) {
      if (flat !== undefined) continue
      const since = this.#seen.get(hostInterface) ?? now
      this.#seen.set(hostInterface, since)
      const left = since + SETTLING - now
      if (left <= 0) settled.set(hostInterface, address)
      else wait = Math.min(wait ?? left, left)
    }
    return { settled, wait }
  }

  async #giveUp(reason: string): Promise<void> {
    await this.end()
    this.#state = 'unsupported'
    this.#options.log.info(
      { reason },
      'every packet between hosts passes all firewall rules: this kernel has no shorter way',
    )
  }

  async #remove(): Promise<void> {
    const { bridgeName, socket } = this.#options
    const links = await listLinks(socket)
    const isOurs = ({ name }: Link) =>
      name === bridgeName || name === VTEP_NAME || name.startsWith(HOST_INTERFACE_PREFIX)
    await this.#offload.remove(links.filter(isOurs).map(({ index }) => index))
  }
}

/** Makes the host as it was, whichever process changed it. @throws like `FlowOffloadKeeper.end` */
export async function endFlowOffload(options: Omit<FlowOffloadKeeperOptions, 'socket'>): Promise<void> {
  await withRouteSocket(undefined, async socket => {
    const keeper = await FlowOffloadKeeper.open({ ...options, socket })
    await keeper.end()
  })
}

function flowLink(links: readonly Link[], wanted: string): FlowLink | undefined {
  const link = links.find(({ name }) => name === wanted)
  return link?.mtu === undefined ? undefined : { name: wanted, link: link.index, mtu: link.mtu }
}
