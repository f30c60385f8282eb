/** Leads packets of known flows between this host's containers and the overlay past everything that others have to pass. */
import { type Logger, parseIpv4 } from '../../kit/index.ts'
import {
  attachedPrograms,
  attachProgram,
  BpfMap,
  closeProgram,
  type Direction,
  detachPrograms,
  type LoadedProgram,
  loadProgram,
  type MapOptions,
  type Position,
  type Program,
} from '../bpf/index.ts'
import {
  type Exit,
  FLOW_SIZE,
  type FlowMaps,
  forwardingProgram,
  KNOWLEDGE_SIZE,
  learningProgram,
} from './flow-programs.ts'
import { FlowRules } from './flow-rules.ts'

/** Flows that are known at most; the kernel has some 5 MB for them. */
const MOST_FLOWS = 32_768

/** Containers of one host at most. */
const MOST_SENDERS = 8_192

/** How programs of ours are called, also those of an earlier process. */
const NAME_PREFIX = 'drover_'

/** Milliseconds after which the rules are looked at, when nobody says that they were changed. */
const RULES_INTERVAL = 50_000

/** A link at one end of the way. */
export interface FlowLink extends Exit {
  readonly name: string
}

/** A container whose packets may go the short way. */
export interface FlowSender {
  readonly address: string
  /** Index of the host's end of its link. */
  readonly link: number
}

export interface FlowOffloadState {
  /** By which packets reach the containers of this host. */
  readonly bridge: FlowLink
  /** By which they reach other hosts. */
  readonly tunnel: FlowLink
  readonly senders: readonly FlowSender[]
  /** Indexes of links of containers whose packets may not take it. */
  readonly excluded: readonly number[]
}

interface Programs {
  readonly maps: FlowMaps
  readonly toTunnel: LoadedProgram
  readonly toBridge: LoadedProgram
  readonly learnToTunnel: LoadedProgram
  readonly learnToBridge: LoadedProgram
  /** What they were made for. */
  readonly madeFor: string
  /** Descriptors of all of them, and of the maps. */
  readonly handles: DisposableStack
}

export class FlowOffload {
  readonly #log: Logger
  readonly #rules = new FlowRules()
  #programs: Programs | undefined
  /** Address → link, as the kernel has it. */
  readonly #senders = new Map<string, number>()
  #generation = 0
  #rulesSeen = Number.NEGATIVE_INFINITY

  constructor(log: Logger) {
    this.#log = log
  }

  /** Whether a change of firewall rules was made by a process of ours. */
  isOwnProcess(processId: number): boolean {
    return this.#rules.isOwnProcess(processId)
  }

  /**
   * Makes everything as it should be, whatever is there. Looks at the rules now and then only, and after `forgetRules`.
   *
   * @returns how many things were not as they should be
   * @throws `KernelRefused` (also where the kernel cannot do it), `RulesRefused`, `CommandMissing`, `DeadlineExceeded`
   */
  async verify(state: FlowOffloadState): Promise<number> {
    const { bridge, tunnel } = state
    const programs = this.#load(bridge, tunnel)
    this.#tellSenders(programs, state.senders)
    const wanted: readonly (readonly [Position, LoadedProgram])[] = [
      // First those who learn: without them nobody uses what is known.
      [{ link: tunnel.link, direction: 'egress' }, programs.learnToTunnel],
      [{ link: bridge.link, direction: 'egress' }, programs.learnToBridge],
      [{ link: tunnel.link, direction: 'ingress' }, programs.toBridge],
      ...state.senders.map(({ link }) => [{ link, direction: 'ingress' }, programs.toTunnel] as const),
    ]
    let repairs = 0
    for (const [position, program] of wanted) if (ensureProgram(position, program)) repairs += 1
    for (const link of state.excluded) repairs += removeFrom(link)
    const now = performance.now()
    if (now - this.#rulesSeen < RULES_INTERVAL) return repairs
    if (await this.#rules.verify(bridge.name, tunnel.name)) repairs += 1
    this.#rulesSeen = now
    return repairs
  }

  /** To be called when somebody else changed the firewall rules of this host. */
  forgetRules(): void {
    this.#rulesSeen = Number.NEGATIVE_INFINITY
    this.forgetFlows()
  }

  /** Has every flow prove anew that it may pass, with its next packet. */
  forgetFlows(): void {
    if (this.#programs === undefined) return
    this.#generation = (this.#generation + 1) >>> 0
    this.#programs.maps.generation.set(Buffer.alloc(4), numberBytes(this.#generation))
  }

  /**
   * Removes all of it, also what an earlier process left.
   *
   * @param links indexes of the links that it may be on
   * @throws `RulesRefused`, `KernelRefused`, `DeadlineExceeded`
   */
  async remove(links: readonly number[]): Promise<void> {
    await this.#rules.remove()
    this.#rulesSeen = Number.NEGATIVE_INFINITY
    for (const link of links) removeFrom(link)
    this.close()
  }

  /** Lets go of what this process has; what is in the kernel stays, and works. */
  close(): void {
    const programs = this.#programs
    if (programs === undefined) return
    this.#programs = undefined
    this.#senders.clear()
    programs.handles.dispose()
  }

  #load(bridge: FlowLink, tunnel: FlowLink): Programs {
    const madeFor = [bridge, tunnel].map(({ link, mtu }) => `${link} ${mtu}`).join(' ')
    if (this.#programs?.madeFor === madeFor) return this.#programs
    this.close()
    using unfinished = new DisposableStack()
    const maps = createMaps(unfinished)
    const load = (name: string, program: Program) =>
      unfinished.adopt(loadProgram(`${NAME_PREFIX}${name}`, program), closeProgram)
    const programs = {
      ...{ maps, madeFor },
      toTunnel: load('forward', forwardingProgram(maps, tunnel)),
      toBridge: load('forward', forwardingProgram(maps, bridge)),
      learnToTunnel: load('learn', learningProgram(maps, { kind: 'senders', arrival: bridge.link })),
      learnToBridge: load('learn', learningProgram(maps, { kind: 'link', link: tunnel.link })),
      handles: unfinished.move(),
    }
    this.#programs = programs
    this.#log.info({ bridge: bridge.name, tunnel: tunnel.name }, 'leads packets of known flows the short way')
    return programs
  }

  #tellSenders({ maps }: Programs, senders: readonly FlowSender[]): void {
    const wanted = new Map(senders.slice(0, MOST_SENDERS).map(({ address, link }) => [address, link]))
    for (const address of [...this.#senders.keys()]) {
      if (wanted.has(address)) continue
      maps.senders.delete(addressBytes(address))
      this.#senders.delete(address)
    }
    for (const [address, link] of wanted) {
      if (this.#senders.get(address) === link) continue
      maps.senders.set(addressBytes(address), numberBytes(link))
      this.#senders.set(address, link)
    }
  }
}

function createMaps(unfinished: DisposableStack): FlowMaps {
  const create = (options: MapOptions) =>
    unfinished.adopt(new BpfMap({ ...options, name: `${NAME_PREFIX}${options.name}` }), map => map.close())
  const sizes = { keySize: 4, valueSize: 4 }
  return {
    flows: create({
      name: 'flows',
      type: 'leastRecentlyUsed',
      keySize: FLOW_SIZE,
      valueSize: KNOWLEDGE_SIZE,
      entries: MOST_FLOWS,
    }),
    generation: create({ name: 'current', type: 'array', ...sizes, entries: 1 }),
    senders: create({ name: 'senders', type: 'hash', ...sizes, entries: MOST_SENDERS }),
  }
}

/** @returns whether it was not there; a link that is gone needs none */
function ensureProgram(position: Position, program: LoadedProgram): boolean {
  const present = attachedPrograms(position)
  if (present.includes(program.id) && present.length === 1) return false
  const isMissing = !present.includes(program.id) && attachProgram(position, program)
  const stale = detachPrograms(position, ({ id, name }) => name.startsWith(NAME_PREFIX) && id !== program.id)
  return isMissing || stale > 0
}

/** @returns how many programs there were */
function removeFrom(link: number): number {
  const from = (direction: Direction) =>
    detachPrograms({ link, direction }, ({ name }) => name.startsWith(NAME_PREFIX))
  return from('ingress') + from('egress')
}

/** In network order, as it is in packets. */
function addressBytes(address: string): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(parseIpv4(address) ?? 0)
  return bytes
}

function numberBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
