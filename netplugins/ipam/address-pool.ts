/**
 * The addresses of this host's blocks, handed out to containers.
 *
 * One file per address in use; creating it is what takes the address, so that two processes cannot both have it, and
 * a crash at any point leaves either no file or one that says whose it is. What is left without an owner is for
 * `assignments` and `release` to clean up.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import {
  createFileDurably,
  formatIpv4,
  type Ipv4Block,
  ipv4BlockContains,
  ipv4BlockSize,
  type Logger,
  makePrivateDirectory,
  parseIpv4,
  removeFileDurably,
  systemErrorCode,
} from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'

/** Whose an address is: one interface of one container. */
export interface AddressOwner {
  readonly containerId: string
  readonly interfaceName: string
}

export interface AddressAssignment extends AddressOwner {
  readonly address: string
}

/** Where the search for the next address begins; not an address, so it is never taken for one. */
const CURSOR_FILE = 'cursor'

function formatOwner(owner: AddressOwner): string {
  return `${owner.containerId}\n${owner.interfaceName}\n`
}

function parseOwner(text: string): AddressOwner | undefined {
  const [containerId, interfaceName, end] = text.split('\n')
  // The last newline tells a complete file from one whose writer was interrupted.
  if (!containerId || !interfaceName || end !== '') return undefined
  return { containerId, interfaceName }
}

export class AddressPool {
  readonly #directory: string
  readonly #owners: Map<number, AddressOwner>
  #blocks: readonly Ipv4Block[] = []
  #reserved: ReadonlySet<number> = new Set()
  #cursor: number

  private constructor(directory: string, owners: Map<number, AddressOwner>, cursor: number) {
    this.#directory = directory
    this.#owners = owners
    this.#cursor = cursor
  }

  /** Reads what is in use from `directory`, which is made if need be. */
  static async open(directory: string, log: Logger): Promise<AddressPool> {
    await makePrivateDirectory(directory)
    const owners = new Map<number, AddressOwner>()
    for (const name of await readdir(directory)) {
      const address = parseIpv4(name)
      if (address === undefined) continue
      const owner = parseOwner(await readFile(path.join(directory, name), 'utf8'))
      if (owner !== undefined) {
        owners.set(address, owner)
      } else {
        log.warn({ address: name }, 'freed an address whose owner was never written down')
        await removeFileDurably(path.join(directory, name))
      }
    }
    return new AddressPool(directory, owners, await readCursor(directory))
  }

  /**
   * Says which addresses may be handed out from now on. Those in use stay in use wherever they are.
   *
   * @param clusterBlock the network that containers believe to be on: its first and last address and the gateway (the
   *   one after the first) are never handed out
   * @param hostAddresses the host's own addresses in its blocks (`hostAddressesOf`): not handed out either
   * @param seed says where in the blocks the search begins, so that hosts with the same blocks begin at different places
   */
  setBlocks(
    clusterBlock: Ipv4Block,
    blocks: readonly Ipv4Block[],
    hostAddresses: readonly string[] = [],
    seed?: string,
  ): void {
    const { base } = clusterBlock
    this.#blocks = blocks.toSorted((a, b) => a.base - b.base)
    if (seed !== undefined && !this.#inBlocks(this.#cursor)) this.#cursor = this.#placeOf(seed)
    this.#reserved = new Set([
      ...[base, base + 1, base + ipv4BlockSize(clusterBlock) - 1],
      ...hostAddresses.flatMap(address => parseIpv4(address) ?? []),
    ])
  }

  /**
   * Takes an address for `owner`.
   *
   * @param requested the address that it must be; without one, the longest unused of the next in line
   * @throws `BlockExhausted`, `AddressInUse`, `AddressNotAvailable`
   */
  async allocate(owner: AddressOwner, requested?: string): Promise<string> {
    if (requested !== undefined) return await this.#take(this.#requireAvailable(requested), owner, requested)
    for (const address of this.#candidates()) {
      if (!(await this.#tryTake(address, owner))) continue
      this.#cursor = address
      // Only a hint: when it is lost, an address is reused a little earlier.
      await writeFile(path.join(this.#directory, CURSOR_FILE), formatIpv4(address), { mode: 0o600 })
      return formatIpv4(address)
    }
    throw networkErrors.BlockExhausted({ object: this.#describeBlocks() })
  }

  /** Gives back what `owner` has; nothing is fine. @returns the freed addresses */
  async release(owner: AddressOwner): Promise<string[]> {
    const freed: string[] = []
    for (const [address, other] of [...this.#owners]) {
      if (other.containerId !== owner.containerId || other.interfaceName !== owner.interfaceName) continue
      await removeFileDurably(this.#file(address))
      this.#owners.delete(address)
      freed.push(formatIpv4(address))
    }
    return freed
  }

  /** Every address in use, and by whom. */
  assignments(): AddressAssignment[] {
    return [...this.#owners].map(([address, owner]) => ({ address: formatIpv4(address), ...owner }))
  }

  /** How many more addresses can be handed out. */
  get free(): number {
    const size = this.#blocks.reduce((sum, block) => sum + ipv4BlockSize(block), 0)
    const gone = new Set([...this.#owners.keys(), ...this.#reserved])
    return size - [...gone].filter(address => this.#inBlocks(address)).length
  }

  /** Free addresses, from the one after the cursor round to it. */
  *#candidates(): Generator<number> {
    // Others move it on while this search is under way.
    const cursor = this.#cursor
    for (const block of this.#blocks) yield* this.#freeIn(block, address => address > cursor)
    for (const block of this.#blocks) yield* this.#freeIn(block, address => address <= cursor)
  }

  *#freeIn(block: Ipv4Block, fits: (address: number) => boolean): Generator<number> {
    for (let address = block.base; address < block.base + ipv4BlockSize(block); address += 1) {
      if (fits(address) && !this.#owners.has(address) && !this.#reserved.has(address)) yield address
    }
  }

  #inBlocks(address: number): boolean {
    return this.#blocks.some(block => ipv4BlockContains(block, address))
  }

  /** The address after which the search begins. */
  #placeOf(seed: string): number {
    const size = this.#blocks.reduce((sum, block) => sum + ipv4BlockSize(block), 0)
    let offset = size === 0 ? 0 : createHash('sha256').update(seed).digest().readUInt32BE() % size
    for (const block of this.#blocks) {
      if (offset < ipv4BlockSize(block)) return block.base + offset
      offset -= ipv4BlockSize(block)
    }
    return 0
  }

  #requireAvailable(requested: string): number {
    const address = parseIpv4(requested)
    const available = address !== undefined && !this.#reserved.has(address) && this.#inBlocks(address)
    if (!available) {
      throw networkErrors.AddressNotAvailable({
        object: `address ${requested}`,
        expected: `an address of ${this.#describeBlocks()}`,
      })
    }
    return address
  }

  async #take(address: number, owner: AddressOwner, text: string): Promise<string> {
    if (await this.#tryTake(address, owner)) return text
    const other = this.#owners.get(address)
    throw networkErrors.AddressInUse({
      object: `address ${text}`,
      ...(other === undefined ? {} : { message: `is the address of container ${other.containerId}` }),
    })
  }

  async #tryTake(address: number, owner: AddressOwner): Promise<boolean> {
    if (this.#owners.has(address)) return false
    // Before anything is awaited: the next caller must not try the same one.
    this.#owners.set(address, owner)
    try {
      if (await createFileDurably(this.#file(address), formatOwner(owner))) return true
    } catch (error) {
      this.#owners.delete(address)
      throw error
    }
    // Another process has it; remembered, so that the next search passes it over.
    const text = await readFile(this.#file(address), 'utf8').catch(() => '')
    this.#owners.set(address, parseOwner(text) ?? { containerId: 'unknown', interfaceName: 'unknown' })
    return false
  }

  #file(address: number): string {
    return path.join(this.#directory, formatIpv4(address))
  }

  #describeBlocks(): string {
    if (this.#blocks.length === 0) return 'this host, which has no address block'
    return this.#blocks.map(({ base, prefixLength }) => `${formatIpv4(base)}/${prefixLength}`).join(', ')
  }
}

async function readCursor(directory: string): Promise<number> {
  try {
    return parseIpv4(await readFile(path.join(directory, CURSOR_FILE), 'utf8')) ?? 0
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return 0
    throw error
  }
}
