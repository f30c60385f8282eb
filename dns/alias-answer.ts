/** Answers for names that stand for others: the chain of names, and what the last one leads to. */
import dns2 from 'dns2'
import { parseIpv4, parseIpv6 } from '../kit/index.ts'
import { type ClientView, type Resolution, resolveName } from './client-view.ts'
import { addressRecord } from './own-answer.ts'
import { parseQuery, type Query } from './query.ts'
import { encodeName, type PlainRecord } from './response.ts'
import { CLASS_IN, FLAG, HEADER_SIZE, RECORD_TYPE } from './wire.ts'

const { Packet } = dns2

/** Names that may follow one another; more lead in a circle. */
const LONGEST_CHAIN = 10
/** Addresses of somebody else's name that are passed on. */
const MOST_ADDRESSES = 64

export interface Chain {
  /** The names that were asked for and stand for others, as records. */
  readonly records: readonly PlainRecord[]
  /** The name at its end. */
  readonly target: string
  /** What that is; `alias` when the chain is too long. */
  readonly resolution: Resolution
}

/** Follows names of ours. */
export function followAlias(resolution: Extract<Resolution, { kind: 'alias' }>, view: ClientView): Chain {
  const records: PlainRecord[] = []
  let current: Resolution = resolution
  let owner: string | undefined
  let target = resolution.target
  while (current.kind === 'alias' && records.length < LONGEST_CHAIN) {
    target = current.target
    records.push({
      ...(owner === undefined ? {} : { owner }),
      type: RECORD_TYPE.CNAME,
      data: encodeName(target),
    })
    owner = target
    current = resolveName(target, view)
  }
  return { records, target, resolution: current }
}

/** The same question about another name, as a message of its own. */
export function questionAbout(name: string, query: Query): { message: Buffer; query: Query } | undefined {
  const header = Buffer.alloc(HEADER_SIZE)
  header.writeUInt16BE(query.id, 0)
  header.writeUInt16BE(FLAG.recursionDesired, 2)
  header.writeUInt16BE(1, 4)
  const tail = Buffer.alloc(4)
  tail.writeUInt16BE(query.type, 0)
  tail.writeUInt16BE(CLASS_IN, 2)
  const message = Buffer.concat([header, encodeName(name), tail])
  const parsed = parseQuery(message)
  return parsed.kind === 'query' ? { message, query: parsed.query } : undefined
}

/** The addresses that somebody else's answer holds, as records of `owner`. */
export function addressesIn(response: Buffer, type: number, owner: string): PlainRecord[] {
  const found: PlainRecord[] = []
  for (const record of Packet.parse(response).answers) {
    const { address } = record as { address?: unknown }
    if (record.type !== type || typeof address !== 'string' || found.length >= MOST_ADDRESSES) continue
    if (parseIpv4(address) === undefined && parseIpv6(address) === undefined) continue
    found.push(...addressRecord(owner, address))
  }
  return found
}
