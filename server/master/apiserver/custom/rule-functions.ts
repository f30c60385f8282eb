/** What rules may call beside the language itself (Kubernetes "Common Expression Language in Kubernetes", libraries). */
import { BlockList, isIP } from 'node:net'
import { Environment, type Limits } from '@marcbachmann/cel-js'
import { quantityValue } from '../schema/index.ts'
import { findMatches, matchesPattern } from './pattern.ts'

type CelList = readonly unknown[]

/** Matches of one call: a text has no more places than that. */
const MOST_MATCHES = 10_000
/** Characters of a text that is put together. */
export const LONGEST_TEXT = 64 * 1024

class Quantity {
  readonly amount: number

  constructor(text: string) {
    const amount = quantityValue(text)
    if (amount === undefined) throw new RangeError(`${JSON.stringify(text.slice(0, 40))} is no quantity`)
    this.amount = amount
  }
}

class Link {
  readonly url: URL

  constructor(text: string) {
    this.url = new URL(text)
  }
}

class Address {
  readonly text: string

  constructor(text: string) {
    if (isIP(text) === 0) throw new RangeError(`${JSON.stringify(text.slice(0, 40))} is no address`)
    this.text = text
  }

  get family(): 'ipv4' | 'ipv6' {
    return isIP(this.text) === 4 ? 'ipv4' : 'ipv6'
  }
}

function isCidr(text: string): boolean {
  const [address = '', length = '', ...rest] = text.split('/')
  const family = isIP(address)
  return (
    family !== 0 &&
    rest.length === 0 &&
    /^\d{1,3}$/.test(length) &&
    Number(length) <= (family === 4 ? 32 : 128)
  )
}

class Block {
  readonly text: string
  readonly length: number
  readonly #list = new BlockList()

  constructor(text: string) {
    if (!isCidr(text)) throw new RangeError(`${JSON.stringify(text.slice(0, 60))} is no CIDR`)
    const [address = '', length = ''] = text.split('/')
    this.text = text
    this.length = Number(length)
    this.#list.addSubnet(address, this.length, isIP(address) === 4 ? 'ipv4' : 'ipv6')
  }

  contains({ text, family }: Address): boolean {
    return this.#list.check(text, family)
  }
}

/** Stands for the name before the dot of `sets.contains`. */
class Sets {}

function compareCel(one: unknown, other: unknown): number {
  if (one === other) return 0
  return (one as number) < (other as number) ? -1 : 1
}

function extreme(list: CelList, sign: number): unknown {
  if (list.length === 0) throw new RangeError('the list is empty')
  return list.reduce((best, item) => (sign * compareCel(item, best) > 0 ? item : best))
}

function sum(list: CelList): unknown {
  if (list.every(item => typeof item === 'bigint')) {
    return list.reduce<bigint>((total, item) => total + (item as bigint), 0n)
  }
  return list.reduce<number>((total, item) => total + Number(item), 0)
}

/** Values of lists as texts, so that they can be looked up. */
function keysOf(list: CelList): Set<string> {
  return new Set(
    list.map(
      item => JSON.stringify(item, (_, value) => (typeof value === 'bigint' ? `${value}` : value)) ?? '',
    ),
  )
}

function containsAll(list: CelList, others: CelList): boolean {
  const keys = keysOf(list)
  return [...keysOf(others)].every(key => keys.has(key))
}

/** `%s` and `%d`, which are all that people use. */
function format(pattern: string, values: CelList): string {
  let next = 0
  let room = LONGEST_TEXT
  const text = pattern.slice(0, LONGEST_TEXT).replaceAll(/%(.)/g, (_, verb: string) => {
    if (verb === '%') return '%'
    const value = values[next]
    next += 1
    const shown = (
      typeof value === 'object' && value !== null
        ? JSON.stringify(value, (__, inner) => (typeof inner === 'bigint' ? Number(inner) : inner))
        : String(value)
    ).slice(0, room)
    room -= shown.length
    return shown
  })
  return text.slice(0, LONGEST_TEXT)
}

function replace(text: string, from: string, to: string, most: number): string {
  const parts = text.split(from)
  const limit = most < 0 ? parts.length - 1 : Math.min(most, parts.length - 1)
  if (text.length + limit * to.length > LONGEST_TEXT) throw new RangeError('the text would be too long')
  return `${parts.slice(0, limit + 1).join(to)}${parts
    .slice(limit + 1)
    .map(part => from + part)
    .join('')}`
}

function withTexts(environment: Environment): Environment {
  return environment
    .registerFunction('string.matchesLinear(string): bool', (text: string, pattern: string) =>
      matchesPattern(pattern, text),
    )
    .registerFunction(
      'string.find(string): string',
      (text: string, pattern: string) => findMatches(pattern, text, 1)[0] ?? '',
    )
    .registerFunction('string.findAll(string): list<string>', (text: string, pattern: string) =>
      findMatches(pattern, text, MOST_MATCHES),
    )
    .registerFunction(
      'string.findAll(string, int): list<string>',
      (text: string, pattern: string, most: bigint) =>
        findMatches(pattern, text, most < 0n ? MOST_MATCHES : Math.min(MOST_MATCHES, Number(most))),
    )
    .registerFunction('string.replace(string, string): string', (text: string, from: string, to: string) =>
      replace(text, from, to, -1),
    )
    .registerFunction(
      'string.replace(string, string, int): string',
      (text: string, from: string, to: string, most: bigint) => replace(text, from, to, Number(most)),
    )
    .registerFunction('string.charAt(int): string', (text: string, at: bigint) => text.charAt(Number(at)))
    .registerFunction('string.reverse(): string', (text: string) => [...text].toReversed().join(''))
    .registerFunction('string.format(list): string', format)
}

function withLists(environment: Environment): Environment {
  return environment
    .registerFunction('list.isSorted(): bool', (list: CelList) =>
      list.every((item, index) => index === 0 || compareCel(list[index - 1], item) <= 0),
    )
    .registerFunction('list.sum(): dyn', sum)
    .registerFunction('list.min(): dyn', (list: CelList) => extreme(list, -1))
    .registerFunction('list.max(): dyn', (list: CelList) => extreme(list, 1))
    .registerFunction('list.indexOf(dyn): int', (list: CelList, item: unknown) => BigInt(list.indexOf(item)))
    .registerFunction('list.lastIndexOf(dyn): int', (list: CelList, item: unknown) =>
      BigInt(list.lastIndexOf(item)),
    )
    .registerType('Sets', Sets)
    .registerConstant('sets', 'Sets', new Sets())
    .registerFunction('Sets.contains(list, list): bool', (_: Sets, list: CelList, others: CelList) =>
      containsAll(list, others),
    )
    .registerFunction(
      'Sets.equivalent(list, list): bool',
      (_: Sets, list: CelList, others: CelList) => containsAll(list, others) && containsAll(others, list),
    )
    .registerFunction('Sets.intersects(list, list): bool', (_: Sets, list: CelList, others: CelList) => {
      const keys = keysOf(list)
      return [...keysOf(others)].some(key => keys.has(key))
    })
}

function withQuantities(environment: Environment): Environment {
  const compare = (one: Quantity, other: Quantity) => Math.sign(one.amount - other.amount)
  return environment
    .registerType('Quantity', Quantity)
    .registerFunction('isQuantity(string): bool', (text: string) => quantityValue(text) !== undefined)
    .registerFunction('quantity(string): Quantity', (text: string) => new Quantity(text))
    .registerFunction(
      'Quantity.isGreaterThan(Quantity): bool',
      (one: Quantity, other: Quantity) => compare(one, other) > 0,
    )
    .registerFunction(
      'Quantity.isLessThan(Quantity): bool',
      (one: Quantity, other: Quantity) => compare(one, other) < 0,
    )
    .registerFunction('Quantity.compareTo(Quantity): int', (one: Quantity, other: Quantity) =>
      BigInt(compare(one, other)),
    )
    .registerFunction('Quantity.sign(): int', ({ amount }: Quantity) => BigInt(Math.sign(amount)))
    .registerFunction('Quantity.isInteger(): bool', ({ amount }: Quantity) => Number.isInteger(amount))
    .registerFunction('Quantity.asInteger(): int', ({ amount }: Quantity) => BigInt(amount))
    .registerFunction('Quantity.asApproximateFloat(): double', ({ amount }: Quantity) => amount)
}

function withAddresses(environment: Environment): Environment {
  return environment
    .registerType('Link', Link)
    .registerFunction('isURL(string): bool', (text: string) => text.startsWith('/') || URL.canParse(text))
    .registerFunction('url(string): Link', (text: string) => new Link(text))
    .registerFunction('Link.getScheme(): string', ({ url }: Link) => url.protocol.slice(0, -1))
    .registerFunction('Link.getHost(): string', ({ url }: Link) => url.host)
    .registerFunction('Link.getHostname(): string', ({ url }: Link) => url.hostname)
    .registerFunction('Link.getPort(): string', ({ url }: Link) => url.port)
    .registerFunction('Link.getEscapedPath(): string', ({ url }: Link) => url.pathname)
    .registerType('Address', Address)
    .registerFunction('isIP(string): bool', (text: string) => isIP(text) !== 0)
    .registerFunction('ip(string): Address', (text: string) => new Address(text))
    .registerFunction('Address.family(): int', ({ family }: Address) => (family === 'ipv4' ? 4n : 6n))
    .registerType('Block', Block)
    .registerFunction('isCIDR(string): bool', isCidr)
    .registerFunction('cidr(string): Block', (text: string) => new Block(text))
    .registerFunction('Block.prefixLength(): int', ({ length }: Block) => BigInt(length))
    .registerFunction('Block.containsIP(Address): bool', (block: Block, address: Address) =>
      block.contains(address),
    )
    .registerFunction('Block.containsIP(string): bool', (block: Block, text: string) =>
      block.contains(new Address(text)),
    )
}

/** The language without variables. */
export function plainEnvironment(limits: Partial<Limits>): Environment {
  return new Environment({ homogeneousAggregateLiterals: false, enableOptionalTypes: true, limits })
}

/** The language with Kubernetes' functions. `matchesLinear` is `matches`: see `RuleLanguage`. */
export function withKubernetesFunctions(environment: Environment): Environment {
  return withAddresses(withQuantities(withLists(withTexts(environment))))
}
