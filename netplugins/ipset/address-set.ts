/** One set of addresses or networks in the kernel (ipset(8)), kept as it should be. */
import { type Logger, runCommand } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'

/** Entries of one set; ipset's own limit. */
const ENTRY_LIMIT = 65_536

export interface AddressSetOptions {
  /** At most 31 characters. */
  readonly name: string
  /** `hash:ip` for addresses, `hash:net` for networks. */
  readonly type: 'hash:ip' | 'hash:net'
  readonly log: Logger
}

/** A network of one address is listed without its prefix length. */
function canonical(entry: string): string {
  return entry.endsWith('/32') ? entry.slice(0, -3) : entry
}

export class AddressSet {
  readonly name: string
  readonly #type: string
  readonly #log: Logger
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
   * @throws `SetRefused`, `CommandMissing`, `DeadlineExceeded`; the next call looks at the actual set first
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
    const changes = await this.#change(actual, entries)
    return changes + (actual === undefined ? 1 : 0)
  }

  /**
   * Removes the set; none is fine.
   *
   * @throws `SetInUse` while firewall rules refer to it (it is empty then), `SetRefused`, `CommandMissing`
   */
  async remove(): Promise<void> {
    this.#believed = undefined
    const { stderr, exitCode } = await this.#ipset(['destroy', this.name])
    if (exitCode === 0 || isMissing(stderr)) return
    if (!/in use/.test(stderr)) throw this.#refused('destroy', stderr)
    await this.#ipset(['flush', this.name])
    throw networkErrors.SetInUse({ object: `address set ${this.name}` })
  }

  async #read(): Promise<Set<string> | undefined> {
    const { stdout, stderr, exitCode } = await this.#ipset(['save', this.name])
    if (isMissing(stderr)) return undefined
    if (exitCode !== 0) throw this.#refused('read', stderr)
    const [header = '', ...lines] = stdout.split('\n')
    if (!header.startsWith(`create ${this.name} ${this.#type} `)) {
      throw networkErrors.SetRefused({
        object: `address set ${this.name}`,
        message: `is of another type: ${header.slice(0, 80)}`,
        expected: this.#type,
        mend: `remove it: ipset destroy ${this.name}`,
      })
    }
    return new Set(lines.flatMap(line => line.split(' ')[2] ?? []))
  }

  /** @returns how many entries were added or deleted */
  async #change(actual: ReadonlySet<string> | undefined, entries: Iterable<string>): Promise<number> {
    const wanted = new Set([...entries].map(canonical))
    if (wanted.size > ENTRY_LIMIT) {
      throw networkErrors.SetRefused({
        object: `address set ${this.name}`,
        message: `cannot hold ${wanted.size} entries`,
        expected: `at most ${ENTRY_LIMIT}`,
      })
    }
    const added = [...wanted].filter(entry => actual?.has(entry) !== true)
    const gone = [...(actual ?? [])].filter(entry => !wanted.has(entry))
    const lines = [
      ...(actual === undefined
        ? [`create ${this.name} ${this.#type} family inet maxelem ${ENTRY_LIMIT}`]
        : []),
      ...gone.map(entry => `del ${this.name} ${entry}`),
      ...added.map(entry => `add ${this.name} ${entry}`),
    ]
    if (lines.length > 0) {
      this.#believed = undefined
      const { stderr, exitCode } = await this.#ipset(['restore', '-exist'], `${lines.join('\n')}\n`)
      if (exitCode !== 0) throw this.#refused('change', stderr)
      this.#log.debug({ set: this.name, added: added.length, gone: gone.length }, 'changed an address set')
    }
    this.#believed = wanted
    return added.length + gone.length
  }

  async #ipset(
    args: readonly string[],
    input?: string,
  ): Promise<{ stdout: string; stderr: string; exitCode: number }> {
    return await runCommand('ipset', args, {
      ...(input === undefined ? {} : { input }),
      acceptedExitCodes: [0, 1, 2],
    })
  }

  #refused(action: string, stderr: string): Error {
    return networkErrors.SetRefused({
      object: `address set ${this.name}`,
      message: `ipset cannot ${action} it: ${stderr.trim().slice(0, 300)}`,
    })
  }
}

function isMissing(stderr: string): boolean {
  return /does not exist/.test(stderr)
}
