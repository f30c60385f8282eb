/** Answers from memory: what a name of ours leads to, for the type that was asked. */
import { isIPv6 } from 'node:net'
import { parseIpv4, parseIpv6 } from '../kit/index.ts'
import type { PortRecord } from './address-set.ts'
import type { Resolution } from './client-view.ts'
import type { Query } from './query.ts'
import {
  addressResponse,
  encodeName,
  negativeResponse,
  type PlainRecord,
  recordsResponse,
  type Transport,
} from './response.ts'
import { RECORD_TYPE, RESPONSE_CODE } from './wire.ts'

/** Resolutions that can be answered without asking anybody. */
export type OwnResolution = Exclude<Resolution, { kind: 'foreign' | 'undecided' | 'alias' }>

/** Records of an answer about ports; more would be no help to a client. */
const MOST_PORTS = 64

export function addressRecord(owner: string | undefined, address: string): PlainRecord[] {
  const named = owner === undefined ? {} : { owner }
  if (isIPv6(address)) {
    const data = parseIpv6(address)
    return data === undefined ? [] : [{ ...named, type: RECORD_TYPE.AAAA, data }]
  }
  const value = parseIpv4(address)
  if (value === undefined) return []
  const data = Buffer.alloc(4)
  data.writeUInt32BE(value)
  return [{ ...named, type: RECORD_TYPE.A, data }]
}

/** Priority and weight are the same for all: clients choose at random (RFC 2782). */
function portRecord({ port, target }: PortRecord): PlainRecord {
  const numbers = Buffer.alloc(6)
  numbers.writeUInt16BE(port, 4)
  return { type: RECORD_TYPE.SRV, data: Buffer.concat([numbers, encodeName(target)]) }
}

function portsResponse(
  query: Query,
  ports: readonly PortRecord[],
  domain: string,
  transport: Transport,
): Buffer {
  if (ports.length === 0) return negativeResponse(query, domain, RESPONSE_CODE.noError)
  const some = ports.slice(0, MOST_PORTS)
  const extra = [...new Map(some.map(port => [port.target, port.address]))].flatMap(([target, address]) =>
    addressRecord(target, address),
  )
  return recordsResponse(query, some.map(portRecord), transport, extra)
}

export function ownAnswer(query: Query, resolution: OwnResolution, transport: Transport): Buffer {
  const { domain } = resolution
  if (resolution.kind === 'unknown') return negativeResponse(query, domain, RESPONSE_CODE.nameError)
  if (resolution.kind === 'addresses') {
    const { addresses } = resolution
    if (query.type === RECORD_TYPE.A || query.type === RECORD_TYPE.AAAA) {
      const records = query.type === RECORD_TYPE.A ? addresses.records : addresses.records6
      if (records.bytes.length > 0) return addressResponse(query, records, transport)
    }
    if (query.type === RECORD_TYPE.SRV) return portsResponse(query, addresses.ports(), domain, transport)
  }
  if (resolution.kind === 'ports' && query.type === RECORD_TYPE.SRV) {
    return portsResponse(query, resolution.ports(), domain, transport)
  }
  if (resolution.kind === 'names' && query.type === RECORD_TYPE.PTR) {
    const records = resolution.names.map(name => ({ type: RECORD_TYPE.PTR, data: encodeName(name) }))
    return recordsResponse(query, records, transport)
  }
  return negativeResponse(query, domain, RESPONSE_CODE.noError)
}
