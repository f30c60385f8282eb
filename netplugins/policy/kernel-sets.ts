/** The sets of a policy in the kernel, by the `ipset` program; all changes at once are one run. */
import { type Logger, runCommand } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import type { IpFamily } from '../netlink/index.ts'
import { SET_PREFIX, setName, TEMPORARY_SET_PREFIX } from './policy-chains.ts'
import type { PolicySet } from './policy-model.ts'

/** Members of one set: all containers of a large cluster, and more. */
const MEMBER_LIMIT = 262_144

type Members = ReadonlySet<string>

/** Members that are changed one by one; a set that changes more is made anew. */
const SINGLE_CHANGES = 64

/** A network of one address is listed without its prefix length. */
function canonical(member: string): string {
  return member.replace(member.includes(':') ? /\/128$/ : /\/32$/, '')
}

/** As `ipset` calls the families. */
const FAMILY: Readonly<Record<IpFamily, string>> = { 4: 'inet', 6: 'inet6' }

function hasPrefix(name: string, prefixes: Readonly<Record<IpFamily, string>>): boolean {
  return Object.values(prefixes).some(prefix => name.startsWith(prefix))
}

function isTemporary(name: string): boolean {
  return hasPrefix(name, TEMPORARY_SET_PREFIX)
}

function isOurs(name: string): boolean {
  return hasPrefix(name, SET_PREFIX) || isTemporary(name)
}

function nameOf({ key, family }: PolicySet): string {
  return setName(key, family)
}

/** Reads what `ipset save` printed: our sets and their members. */
export function readSets(text: string): Map<string, Set<string>> {
  const sets = new Map<string, Set<string>>()
  for (const line of text.split('\n')) {
    const [verb, name = '', member = ''] = line.split(' ')
    if (!isOurs(name)) continue
    if (verb === 'create') sets.set(name, new Set())
    else if (verb === 'add') sets.get(name)?.add(member)
  }
  return sets
}

/**
 * Lines for `ipset restore` that make the set, or give it other members: one by one where few differ, all in one step
 * otherwise.
 */
export function changeLines(set: PolicySet, actual: Members | undefined): string[] {
  const members = canonicalMembers(set)
  const name = nameOf(set)
  if (actual === undefined) return fillLines(name, set, members)
  const missing = [...members.difference(actual)]
  const stale = [...actual.difference(members)]
  if (missing.length + stale.length <= SINGLE_CHANGES) {
    return [
      // First who is let in: a member that is replaced is never missed.
      ...missing.map(member => `add ${name} ${member} -exist`),
      ...stale.map(member => `del ${name} ${member} -exist`),
    ]
  }
  const temporary = setName(set.key, set.family, TEMPORARY_SET_PREFIX)
  return [...fillLines(temporary, set, members), `swap ${temporary} ${name}`, `destroy ${temporary}`]
}

function canonicalMembers({ type, members }: PolicySet): Members {
  return type === 'ip' ? members : new Set([...members].map(canonical))
}

function fillLines(name: string, { type, family = 4 }: PolicySet, members: Members): string[] {
  return [
    `create ${name} hash:${type} family ${FAMILY[family]} maxelem ${MEMBER_LIMIT}`,
    ...[...members].map(member => `add ${name} ${member}`),
  ]
}

export class KernelSets {
  readonly #log: Logger
  /** What the last successful change made; undefined when that is not known. */
  #believed: Map<string, Members> | undefined

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * Makes the sets as they should be, trusting that nobody changed them since the last call. Others stay.
   *
   * @throws `SetRefused`, `CommandMissing`, `DeadlineExceeded`; the next call looks at the actual sets first
   */
  async apply(sets: readonly PolicySet[]): Promise<void> {
    const actual = this.#believed ?? (await this.#read())
    const left = [...actual.keys()].filter(isTemporary)
    await this.#change(
      actual,
      sets,
      left.map(name => `destroy ${name}`),
    )
  }

  /** `apply`, whatever is there. */
  async verify(sets: readonly PolicySet[]): Promise<void> {
    this.#believed = undefined
    await this.apply(sets)
  }

  /** Removes every set of ours but `sets`; no rule may refer to them any more. @throws like `apply` */
  async prune(sets: readonly PolicySet[]): Promise<void> {
    const actual = this.#believed ?? (await this.#read())
    const wanted = new Set(sets.map(nameOf))
    const stale = [...actual.keys()].filter(name => !wanted.has(name))
    await this.#restore(stale.map(name => `destroy ${name}`))
    this.#believed = new Map([...actual].filter(([name]) => wanted.has(name)))
  }

  async #read(): Promise<Map<string, Members>> {
    const { stdout, stderr, exitCode } = await runCommand('ipset', ['save'], { acceptedExitCodes: [0, 1] })
    if (exitCode !== 0) throw refused('read', stderr)
    return readSets(stdout)
  }

  async #change(
    actual: ReadonlyMap<string, Members>,
    sets: readonly PolicySet[],
    before: readonly string[],
  ): Promise<void> {
    const lines = sets.flatMap(set => {
      const believed = actual.get(nameOf(set))
      // The same object means the same members: nothing is compared.
      return believed === set.members ? [] : changeLines(set, believed)
    })
    await this.#restore([...before, ...lines])
    const believed = new Map([...actual].filter(([name]) => !isTemporary(name)))
    for (const set of sets) believed.set(nameOf(set), canonicalMembers(set))
    this.#believed = believed
    if (lines.length > 0) this.#log.debug({ lines: lines.length }, 'changed the sets of network policies')
  }

  async #restore(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return
    this.#believed = undefined
    const { stderr, exitCode } = await runCommand('ipset', ['restore'], {
      input: `${lines.join('\n')}\n`,
      acceptedExitCodes: [0, 1, 2],
    })
    if (exitCode !== 0) throw refused('change', stderr)
  }
}

function refused(action: string, stderr: string): Error {
  return networkErrors.SetRefused({
    object: 'sets of network policies',
    message: `ipset cannot ${action} them: ${stderr.trim().slice(0, 300)}`,
  })
}
