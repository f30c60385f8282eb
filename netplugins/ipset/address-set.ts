/** One set of addresses or networks in the kernel (ipset(8)), kept as it should be. */
import { kitErrors, type Logger, parseIpv4, parseIpv4Block } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { createMessage, decodeSetPart, entriesMessage, plainMessage } from './set-messages.ts'
import { type SetAnswer, SetSocket } from './set-socket.ts'

/** Entries of one set; ipset's own limit. */
const ENTRY_LIMIT = 65_536

/** Entries of one message. */
const MESSAGE_LIMIT = 400

const NO_SUCH_SET = 2
const SET_IN_USE = 4100

export interface AddressSetOptions {
  /** At most 31 characters. */
  readonly name: string
  /** `hash:ip` for addresses, `hash:net` for networks. */
  readonly type: 'hash:ip' | 'hash:net'
  readonly log: Logger
}

/** A network of one address is listed without its prefix length. @throws `InvalidFormat` */
function canonical(entry: string): string {
  const isValid = parseIpv4(entry) !== undefined || parseIpv4Block(entry) !== undefined
  if (!isValid) {
    throw kitErrors.InvalidFormat({
      object: 'address set',
      message: `${JSON.stringify(entry.slice(0, 40))} is neither an address nor a block`,
    })
  }
  return entry.endsWith('/32') ? entry.slice(0, -3) : entry
}

function* chunksOf(entries: readonly string[]): Generator<readonly string[]> {
  for (let first = 0; first < entries.length; first += MESSAGE_LIMIT)
    yield entries.slice(first, first + MESSAGE_LIMIT)
}

export class AddressSet {
  readonly name: string
  readonly #type: string
  readonly #log: Logger
  readonly #socket = new SetSocket()
  /** What the last successful change made; undefined when that is not known. */
  #believed: ReadonlySet<string> | undefined

  constructor(options: AddressSetOptions) {
    this.name = options.name
    this.#type = options.type
    this.#log = options.log
  }

  /** Whether the set is there, as far as is known: rules may refer to it. */
  get exists(): boolean {
    return this.#believed !== undefined
  }

  /**
   * Brings the set to `entries`, trusting that nobody changed it since the last call.
   *
   * @throws `SetRefused`, `InvalidFormat`, `KernelSilent`; the next call looks at the actual set first
   */
  async apply(entries: Iterable<string>): Promise<void> {
    if (this.#believed === undefined) await this.verify(entries)
    else await this.#change(this.#believed, entries)
  }

  /**
   * Reads the set, makes it if need be, and repairs it. @returns how many entries that took
   *
   * @throws like `apply`
   */
  async verify(entries: Iterable<string>): Promise<number> {
    const actual = await this.#read()
    if (actual === undefined) await this.#require('create', createMessage(this.name, this.#type, ENTRY_LIMIT))
    return (await this.#change(actual ?? new Set(), entries)) + (actual === undefined ? 1 : 0)
  }

  /**
   * Removes the set; none is fine.
   *
   * @throws `SetInUse` while firewall rules refer to it (it is empty then), `SetRefused`, `KernelSilent`
   */
  async remove(): Promise<void> {
    this.#believed = undefined
    const answer = await this.#socket.request(this.#object, 'destroy', plainMessage(this.name))
    if (answer.error === 0 || answer.error === NO_SUCH_SET) return
    if (answer.error !== SET_IN_USE) throw this.#refused('destroy', answer)
    await this.#require('flush', plainMessage(this.name))
    throw networkErrors.SetInUse({ object: this.#object })
  }

  /** Ends the connection to the kernel; the set stays. */
  close(): void {
    this.#socket.close()
  }

  get #object(): string {
    return `address set ${this.name}`
  }

  async #read(): Promise<Set<string> | undefined> {
    const answer = await this.#socket.request(this.#object, 'list', plainMessage(this.name))
    if ('meaning' in answer) {
      if (answer.error === NO_SUCH_SET) return undefined
      throw this.#refused('read', answer)
    }
    const parts = answer.parts.map(decodeSetPart)
    const type = parts[0]?.type
    if (type !== this.#type) {
      throw networkErrors.SetRefused({
        object: this.#object,
        message: `is of type ${type ?? 'unknown'}`,
        expected: this.#type,
        mend: `remove it: ipset destroy ${this.name}`,
      })
    }
    return new Set(parts.flatMap(part => part.entries))
  }

  /** @returns how many entries were added or deleted */
  async #change(actual: ReadonlySet<string>, entries: Iterable<string>): Promise<number> {
    const wanted = new Set<string>()
    // What is in the set was looked at when it came.
    for (const entry of entries) wanted.add(actual.has(entry) ? entry : canonical(entry))
    if (wanted.size > ENTRY_LIMIT) {
      throw networkErrors.SetRefused({
        object: this.#object,
        message: `cannot hold ${wanted.size} entries`,
        expected: `at most ${ENTRY_LIMIT}`,
      })
    }
    const added = [...wanted.difference(actual)]
    const gone = [...actual].filter(entry => !wanted.has(entry))
    this.#believed = undefined
    for (const chunk of chunksOf(gone)) await this.#require('delete', entriesMessage(this.name, chunk))
    for (const chunk of chunksOf(added)) await this.#require('add', entriesMessage(this.name, chunk))
    this.#believed = wanted
    const changes = added.length + gone.length
    if (changes > 0) this.#log.debug({ set: this.name, changes }, 'changed an address set')
    return changes
  }

  async #require(action: 'create' | 'flush' | 'add' | 'delete', body: Buffer): Promise<void> {
    const answer = await this.#socket.request(this.#object, action, body)
    if (answer.error !== 0) throw this.#refused(action, answer)
  }

  #refused(action: string, answer: SetAnswer): Error {
    const meaning = 'meaning' in answer ? answer.meaning : 'no reason'
    return networkErrors.SetRefused({ object: this.#object, message: `cannot ${action} it: ${meaning}` })
  }
}
