/** iptables rules as data, and the text form of iptables-save(8). */

/** The tables that carry rules of ours. */
export type TableName = 'raw' | 'nat' | 'filter'

export const TABLE_NAMES: readonly TableName[] = ['raw', 'nat', 'filter']

/** Every chain whose name starts so is ours: to fill, to empty and to delete. */
export const CHAIN_PREFIX = 'CATTLE_'

/** The chains that exist in every table and that packets enter first. */
const BUILT_IN_CHAINS = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'])

/**
 * Rules of one chain in order, each without the leading `-A CHAIN`, in exactly the words in which iptables-save
 * prints it: a rule is recognised by its text.
 */
export type ChainRules = readonly string[]

/** A table as it is: chain → rules. */
export type ActualTable = ReadonlyMap<string, ChainRules>

/** A rule of ours in a chain that is not: sends packets to one of our chains. */
export interface Jump {
  readonly from: string
  /** In the words of iptables-save: `-m addrtype --dst-type LOCAL -j CATTLE_OUTPUT`. */
  readonly rule: string
}

/** What a table should hold of ours. A chain with our prefix that is in neither list is deleted. */
export interface DesiredTable {
  readonly chains: ReadonlyMap<string, ChainRules>
  /** Chains that we create and that users fill. */
  readonly userChains: readonly string[]
  /** The first rules of their chains, in this order. */
  readonly jumps: readonly Jump[]
}

export type DesiredRules = Readonly<Record<TableName, DesiredTable>>

const EMPTY_TABLE: DesiredTable = { chains: new Map(), userChains: [], jumps: [] }

/** Nothing of ours anywhere. */
export const NO_RULES: DesiredRules = { raw: EMPTY_TABLE, nat: EMPTY_TABLE, filter: EMPTY_TABLE }

export function isOurChain(chain: string): boolean {
  return chain.startsWith(CHAIN_PREFIX)
}

export function isBuiltInChain(chain: string): boolean {
  return BUILT_IN_CHAINS.has(chain)
}

/** The chain that a rule jumps or goes to; undefined when it has none. */
export function targetOf(rule: string): string | undefined {
  return /(?:^| )-[jg] (\S+)/.exec(rule)?.[1]
}

/** Reads what iptables-save printed: table → chain → rules. Lines of other kinds are passed over. */
export function parseRules(text: string): Map<string, Map<string, string[]>> {
  const tables = new Map<string, Map<string, string[]>>()
  let table: Map<string, string[]> | undefined
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      table = new Map()
      tables.set(line.slice(1).trim(), table)
    } else if (line.startsWith(':')) {
      table?.set(line.slice(1).split(' ', 1)[0] ?? '', [])
    } else if (line.startsWith('-A ')) {
      const end = line.indexOf(' ', 3)
      const chain = end < 0 ? line.slice(3) : line.slice(3, end)
      table?.get(chain)?.push(end < 0 ? '' : line.slice(end + 1).trimEnd())
    }
  }
  return tables
}
