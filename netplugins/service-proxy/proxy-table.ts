/**
 * All services of a host as one nf_tables table, and the difference that a change makes: statements for nft(8), which
 * takes them in one step. A change costs what it changes, whatever the number of services.
 */
import { isDeepStrictEqual } from 'node:util'
import { formatIpv4, requireIpv4Block } from '../../kit/index.ts'
import { type Chain, FIXED_CHAINS, LOCAL_OFFSET, SERVICE_TABLE, tableText } from './chains.ts'
import type { StayingClients } from './nft-command.ts'
import type { Front, ServiceRules } from './service-rules.ts'

/** Elements per statement: a line has a bounded length. */
const ELEMENTS_PER_LINE = 5_000

type MapName = 'addresses' | 'ports' | 'endpoints' | 'port_endpoints' | 'hairpin'

/** Something that several services need; it goes with the last of them. */
interface Shared<T> {
  readonly value: T
  users: number
}

/** Collects what has to be done, and says it in an order in which nft can do it. */
class Statements {
  readonly #gone = new Map<MapName, Map<string, string>>()
  readonly #come = new Map<MapName, Map<string, string>>()
  readonly newChains = new Map<string, Chain>()
  readonly changedChains = new Map<string, Chain>()
  readonly goneChains = new Map<string, Chain>()
  readonly newSets = new Map<string, string>()
  readonly goneSets = new Set<string>()

  /** @param value empty for elements of sets */
  add(map: MapName, key: string, value: string): void {
    const gone = this.#gone.get(map)
    if (gone?.get(key) === value) gone.delete(key)
    else entry(this.#come, map).set(key, value)
  }

  remove(map: MapName, key: string, value: string): void {
    const come = this.#come.get(map)
    if (come?.get(key) === value) come.delete(key)
    else entry(this.#gone, map).set(key, value)
  }

  text(): string {
    const table = `ip ${SERVICE_TABLE}`
    const rules = (chain: Chain) => chain.rules.map(rule => `add rule ${table} ${chain.name} ${rule}`)
    const lines = [
      ...elementLines('delete', this.#gone, key => key),
      ...[...this.newSets].map(([name, definition]) => `add set ${table} ${name} ${definition}`),
      ...[...this.newChains.keys()].map(name => `add chain ${table} ${name}`),
      ...[...this.changedChains.keys()].map(name => `flush chain ${table} ${name}`),
      ...[...this.newChains.values(), ...this.changedChains.values()].flatMap(rules),
      ...elementLines('add', this.#come, (key, value) => (value === '' ? key : `${key} : ${value}`)),
      // Chains that go may refer to each other, and to sets.
      ...[...this.goneChains.keys()].map(name => `flush chain ${table} ${name}`),
      ...[...this.goneChains.keys()].map(name => `delete chain ${table} ${name}`),
      ...[...this.goneSets].map(name => `delete set ${table} ${name}`),
    ]
    return lines.length === 0 ? '' : `${lines.join('\n')}\n`
  }
}

function entry(maps: Map<MapName, Map<string, string>>, name: MapName): Map<string, string> {
  const present = maps.get(name)
  if (present !== undefined) return present
  const made = new Map<string, string>()
  maps.set(name, made)
  return made
}

function elementLines(
  verb: 'add' | 'delete',
  maps: ReadonlyMap<MapName, ReadonlyMap<string, string>>,
  write: (key: string, value: string) => string,
): string[] {
  return [...maps].flatMap(([name, elements]) => {
    const texts = [...elements].map(([key, value]) => write(key, value))
    const parts = Math.ceil(texts.length / ELEMENTS_PER_LINE)
    return Array.from({ length: parts }, (_, part) => {
      const some = texts.slice(part * ELEMENTS_PER_LINE, (part + 1) * ELEMENTS_PER_LINE)
      return `${verb} element ip ${SERVICE_TABLE} ${name} { ${some.join(', ')} }`
    })
  })
}

function stayingLines(set: string, clients: ReadonlyMap<string, number> = new Map()): string[] {
  const elements = [...clients].filter(([, seconds]) => seconds > 0)
  if (elements.length === 0) return []
  const texts = elements.map(([client, seconds]) => `${client} expires ${seconds}s`)
  return [`add element ip ${SERVICE_TABLE} ${set} { ${texts.join(', ')} }`]
}

/** The elements by which a front leads its packets: map, key and value. */
function elementsOf({ kind, key, chain, targets, localTargets }: Front): [MapName, string, string][] {
  const numbered = kind === 'addresses' ? 'endpoints' : 'port_endpoints'
  return [
    [kind, key, `goto ${chain.name}`],
    ...targets.map((target, index): [MapName, string, string] => [numbered, `${key} . ${index}`, target]),
    ...localTargets.map((target, index): [MapName, string, string] => [
      numbered,
      `${key} . ${LOCAL_OFFSET + index}`,
      target,
    ]),
  ]
}

/** A chain and all that it leads to. */
function withUsed(chain: Chain): Chain[] {
  return [chain, ...(chain.uses ?? []).flatMap(withUsed)]
}

function identityOf({ kind, key }: Front): string {
  return `${kind} ${key}`
}

/** Two chains of one name differ in nothing but this. */
function isSameChain(a: Chain, b: Chain): boolean {
  return a === b || isDeepStrictEqual(a.rules, b.rules)
}

export class ProxyTable {
  readonly #gateway: string
  readonly #services = new Map<string, ServiceRules>()
  readonly #chains = new Map<string, Shared<Chain>>()
  readonly #hairpins = new Map<string, Shared<string>>()
  /** Whose a front is, of those who want it; the others wait. */
  readonly #owners = new Map<string, string>()
  readonly #waiting = new Map<string, Set<string>>()

  /** @param podBlock the block of all pods' addresses */
  constructor(podBlock: string) {
    this.#gateway = formatIpv4(requireIpv4Block(podBlock, 'block of pods').base + 1)
  }

  /** How many services lead anywhere. */
  get size(): number {
    return this.#services.size
  }

  /** Whether the host has endpoints itself. */
  get hasLocalEndpoints(): boolean {
    return this.#hairpins.size > 0
  }

  rules(service: string): ServiceRules | undefined {
    return this.#services.get(service)
  }

  /** Names of all chains that the table has. */
  chainNames(): Set<string> {
    return new Set([...FIXED_CHAINS, ...this.#chains.keys()])
  }

  /**
   * Takes over changes.
   *
   * @param changes by service; undefined for one that went
   * @returns statements that bring the kernel's table from what it was to what it is now; empty for no change
   */
  update(changes: ReadonlyMap<string, ServiceRules | undefined>): string {
    const statements = new Statements()
    const freed = new Set<string>()
    for (const [service, rules] of changes) this.#replace(service, rules, statements, freed)
    // What somebody gave up, another may have waited for.
    for (const identity of freed) this.#hand(identity, statements)
    return statements.text()
  }

  /**
   * Statements that make the whole table anew, in one step.
   *
   * @param staying clients that stay with their endpoints, as far as those are there still
   */
  replacement(staying: StayingClients = new Map()): string {
    const statements = new Statements()
    for (const { value } of this.#chains.values()) {
      statements.newChains.set(value.name, value)
      for (const [name, definition] of value.sets ?? []) statements.newSets.set(name, definition)
    }
    for (const address of this.#hairpins.keys()) statements.add('hairpin', `${address} . ${address}`, '')
    for (const [service, { fronts }] of this.#services) {
      for (const front of fronts) {
        if (this.#owners.get(identityOf(front)) !== service) continue
        for (const element of elementsOf(front)) statements.add(...element)
      }
    }
    const table = `table ip ${SERVICE_TABLE}`
    const clients = [...statements.newSets.keys()].flatMap(set => stayingLines(set, staying.get(set)))
    return [table, `delete ${table}`, tableText(this.#gateway), statements.text(), ...clients, ''].join('\n')
  }

  #replace(
    service: string,
    rules: ServiceRules | undefined,
    statements: Statements,
    freed: Set<string>,
  ): void {
    const before = this.#services.get(service)
    const old = new Map((before?.fronts ?? []).map(front => [identityOf(front), front]))
    const now = new Map((rules?.fronts ?? []).map(front => [identityOf(front), front]))
    if (rules === undefined) this.#services.delete(service)
    else this.#services.set(service, rules)
    for (const [identity, front] of now) {
      // What waited was not shown, though it was wanted.
      const previous = this.#owners.get(identity) === service ? old.get(identity) : undefined
      if (!this.#claim(identity, service)) continue
      if (previous !== undefined && isDeepStrictEqual(previous, front)) continue
      this.#show(front, statements)
      if (previous !== undefined) this.#hide(previous, statements)
    }
    for (const [identity, front] of old) {
      if (now.has(identity)) continue
      if (this.#owners.get(identity) === service) {
        this.#hide(front, statements)
        this.#owners.delete(identity)
        freed.add(identity)
      } else this.#waiting.get(identity)?.delete(service)
    }
    for (const address of rules?.hairpins ?? []) this.#useHairpin(address, statements)
    for (const address of before?.hairpins ?? []) this.#freeHairpin(address, statements)
  }

  /** @returns whether it is the service's, who came first */
  #claim(identity: string, service: string): boolean {
    const owner = this.#owners.get(identity)
    if (owner === service) return true
    if (owner === undefined) {
      this.#owners.set(identity, service)
      this.#waiting.get(identity)?.delete(service)
      return true
    }
    const waiting = this.#waiting.get(identity) ?? new Set()
    this.#waiting.set(identity, waiting.add(service))
    return false
  }

  #hand(identity: string, statements: Statements): void {
    const waiting = this.#waiting.get(identity)
    this.#waiting.delete(identity)
    if (this.#owners.has(identity)) {
      // Claimed in the same change.
      if (waiting !== undefined) this.#waiting.set(identity, waiting)
      return
    }
    const [next, ...others] = waiting ?? []
    if (next === undefined) return
    if (others.length > 0) this.#waiting.set(identity, new Set(others))
    this.#owners.set(identity, next)
    const front = this.#services.get(next)?.fronts.find(each => identityOf(each) === identity)
    if (front !== undefined) this.#show(front, statements)
  }

  #show(front: Front, statements: Statements): void {
    for (const chain of withUsed(front.chain)) this.#useChain(chain, statements)
    for (const element of elementsOf(front)) statements.add(...element)
  }

  #hide(front: Front, statements: Statements): void {
    for (const element of elementsOf(front)) statements.remove(...element)
    for (const chain of withUsed(front.chain)) this.#freeChain(chain.name, statements)
  }

  #useChain(chain: Chain, statements: Statements): void {
    const present = this.#chains.get(chain.name)
    if (present === undefined) {
      this.#chains.set(chain.name, { value: chain, users: 1 })
      if (statements.goneChains.delete(chain.name)) statements.changedChains.set(chain.name, chain)
      else statements.newChains.set(chain.name, chain)
      for (const [name, definition] of chain.sets ?? []) {
        // The name says all of the definition: it never changes.
        if (!statements.goneSets.delete(name)) statements.newSets.set(name, definition)
      }
      return
    }
    if (!isSameChain(present.value, chain)) {
      if (statements.newChains.has(chain.name)) statements.newChains.set(chain.name, chain)
      else statements.changedChains.set(chain.name, chain)
    }
    this.#chains.set(chain.name, { value: chain, users: present.users + 1 })
  }

  #freeChain(name: string, statements: Statements): void {
    const present = this.#chains.get(name)
    if (present === undefined) return
    present.users -= 1
    if (present.users > 0) return
    this.#chains.delete(name)
    statements.changedChains.delete(name)
    const isNew = statements.newChains.delete(name)
    if (!isNew) statements.goneChains.set(name, present.value)
    for (const set of present.value.sets?.keys() ?? []) {
      if (!statements.newSets.delete(set)) statements.goneSets.add(set)
    }
  }

  #useHairpin(address: string, statements: Statements): void {
    const present = this.#hairpins.get(address)
    if (present !== undefined) {
      present.users += 1
      return
    }
    this.#hairpins.set(address, { value: address, users: 1 })
    statements.add('hairpin', `${address} . ${address}`, '')
  }

  #freeHairpin(address: string, statements: Statements): void {
    const present = this.#hairpins.get(address)
    if (present === undefined) return
    present.users -= 1
    if (present.users > 0) return
    this.#hairpins.delete(address)
    statements.remove('hairpin', `${address} . ${address}`, '')
  }
}
