/** Writes answers. All of them repeat the question byte by byte, so that its case is kept. */
import type { EncodedRecords } from './address-set.ts'
import type { Query } from './query.ts'
import {
  CLASS_IN,
  FLAG,
  HEADER_SIZE,
  RECORD_TYPE,
  RESPONSE_CODE,
  TCP_SIZE,
  TIME_TO_LIVE,
  UDP_SIZE,
} from './wire.ts'

export type Transport = 'udp' | 'tcp'

/** Owner (root), type, class, time to live, length of no data. */
const OPT_SIZE = 11
/** Bits of a query that its answer repeats: the operation, and what the client wishes. */
const REPEATED = 0x7800 | FLAG.recursionDesired | FLAG.checkingDisabled
const ADDRESS_OFFSET = 12

/** Bytes that an answer over this transport may have. */
export function sizeLimit(query: Query, transport: Transport): number {
  if (transport === 'tcp') return TCP_SIZE
  return query.edns === undefined ? query.udpSize : Math.min(query.udpSize, UDP_SIZE)
}

interface Counts {
  readonly answers: number
  readonly authorities: number
  readonly additionals: number
}

function optSize(query: Query): number {
  return query.edns === undefined ? 0 : OPT_SIZE
}

/** Allocates an answer with header and question; the rest is for the caller to write. */
function begin(query: Query, size: number, flags: number, code: number, counts: Counts): Buffer {
  const { question } = query
  const response = Buffer.allocUnsafe(size)
  response.writeUInt16BE(query.id, 0)
  const repeated = query.flags & REPEATED
  response.writeUInt16BE(FLAG.response | FLAG.recursionAvailable | repeated | flags | (code & 0xf), 2)
  response.writeUInt16BE(1, 4)
  response.writeUInt16BE(counts.answers, 6)
  response.writeUInt16BE(counts.authorities, 8)
  response.writeUInt16BE(counts.additionals + (query.edns === undefined ? 0 : 1), 10)
  question.copy(response, HEADER_SIZE)
  return response
}

/** Our OPT record, at the end (RFC 6891, 6.1.2). */
function writeOpt(response: Buffer, query: Query, code: number): void {
  if (query.edns === undefined) return
  const offset = response.length - OPT_SIZE
  response[offset] = 0
  response.writeUInt16BE(RECORD_TYPE.OPT, offset + 1)
  response.writeUInt16BE(UDP_SIZE, offset + 3)
  response.writeUInt32BE(((code >>> 4) << 24) >>> 0, offset + 5)
  response.writeUInt16BE(0, offset + 9)
}

/** Fisher and Yates over the addresses; what is before each address is the same in all records. */
function shuffle(response: Buffer, start: number, count: number, size: number): void {
  for (let last = count - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1))
    const left = start + last * size + ADDRESS_OFFSET
    const right = start + other * size + ADDRESS_OFFSET
    for (let at = 0; at < size - ADDRESS_OFFSET; at += 4) {
      const value = response.readUInt32BE(left + at)
      response.writeUInt32BE(response.readUInt32BE(right + at), left + at)
      response.writeUInt32BE(value, right + at)
    }
  }
}

/** The addresses of a name in random order. When not all fit, as many as do, and the client is told to ask by TCP. */
export function addressResponse(query: Query, records: EncodedRecords, transport: Transport): Buffer {
  const { bytes, size } = records
  const start = HEADER_SIZE + query.question.length
  const room = sizeLimit(query, transport) - start - optSize(query)
  const all = bytes.length / size
  const count = Math.min(all, Math.floor(room / size))
  const flags = FLAG.authoritative | (count < all ? FLAG.truncated : 0)
  const response = begin(query, start + count * size + optSize(query), flags, RESPONSE_CODE.noError, {
    answers: count,
    authorities: 0,
    additionals: 0,
  })
  if (count === all) bytes.copy(response, start)
  else copySome(records, response, start, count)
  shuffle(response, start, count, size)
  writeOpt(response, query, RESPONSE_CODE.noError)
  return response
}

/** Copies `count` records, beginning anywhere, so that none is always left out. */
function copySome({ bytes, size }: EncodedRecords, response: Buffer, start: number, count: number): void {
  const all = bytes.length / size
  const first = Math.floor(Math.random() * all)
  const behind = Math.min(count, all - first)
  bytes.copy(response, start, first * size, (first + behind) * size)
  bytes.copy(response, start + behind * size, 0, (count - behind) * size)
}

/** A record of any type. */
export interface PlainRecord {
  /** Undefined: the name that was asked for. */
  readonly owner?: string
  readonly type: number
  readonly data: Buffer
}

const QUESTION_POINTER = Buffer.from([0xc0, 0x0c])

function encodeRecord({ owner, type, data }: PlainRecord): Buffer {
  const header = Buffer.alloc(10)
  header.writeUInt16BE(type, 0)
  header.writeUInt16BE(CLASS_IN, 2)
  header.writeUInt32BE(TIME_TO_LIVE, 4)
  header.writeUInt16BE(data.length, 8)
  return Buffer.concat([owner === undefined ? QUESTION_POINTER : encodeName(owner), header, data])
}

/** As many of the records as have room, in their order. */
function fitting(records: readonly PlainRecord[], room: number): Buffer[] {
  const encoded: Buffer[] = []
  let left = room
  for (const record of records) {
    const bytes = encodeRecord(record)
    if (bytes.length > left) break
    left -= bytes.length
    encoded.push(bytes)
  }
  return encoded
}

/** Records of any type, and others that the client will ask for next as far as they fit. */
export function recordsResponse(
  query: Query,
  records: readonly PlainRecord[],
  transport: Transport,
  extra: readonly PlainRecord[] = [],
): Buffer {
  const start = HEADER_SIZE + query.question.length
  const room = sizeLimit(query, transport) - start - optSize(query)
  const answers = fitting(records, room)
  const complete = answers.length === records.length
  const used = answers.reduce((sum, { length }) => sum + length, 0)
  const additionals = complete ? fitting(extra, room - used) : []
  const body = Buffer.concat([...answers, ...additionals])
  const flags = FLAG.authoritative | (complete ? 0 : FLAG.truncated)
  const counts = { answers: answers.length, authorities: 0, additionals: additionals.length }
  const size = start + body.length + optSize(query)
  const response = begin(query, size, flags, RESPONSE_CODE.noError, counts)
  body.copy(response, start)
  writeOpt(response, query, RESPONSE_CODE.noError)
  return response
}

/** A name as it is on the wire, without compression. */
export function encodeName(name: string): Buffer {
  if (name === '') return Buffer.alloc(1)
  const labels = name.split('.').map(label => Buffer.from(`\0${label}`, 'latin1'))
  for (const label of labels) label[0] = label.length - 1
  return Buffer.concat([...labels, Buffer.alloc(1)])
}

const authorities = new Map<string, Buffer>()

/** The SOA record of a domain of ours (RFC 1035, 3.3.13): how long "no" may be remembered (RFC 2308). */
function authorityOf(domain: string): Buffer {
  const present = authorities.get(domain)
  if (present !== undefined) return present
  const owner = encodeName(domain)
  const data = Buffer.concat([owner, encodeName(`hostmaster.${domain}`), Buffer.alloc(20)])
  const numbers = data.length - 20
  const [serial, refresh, retry, expire] = [1, 60, 10, 86_400]
  for (const [index, value] of [serial, refresh, retry, expire, TIME_TO_LIVE].entries()) {
    data.writeUInt32BE(value ?? 0, numbers + index * 4)
  }
  const header = Buffer.alloc(10)
  header.writeUInt16BE(RECORD_TYPE.SOA, 0)
  header.writeUInt16BE(CLASS_IN, 2)
  header.writeUInt32BE(TIME_TO_LIVE, 4)
  header.writeUInt16BE(data.length, 8)
  const record = Buffer.concat([owner, header, data])
  authorities.set(domain, record)
  return record
}

/** "There is none": no record of that type, or with `nameError` no such name at all. */
export function negativeResponse(query: Query, domain: string, code: number): Buffer {
  const authority = authorityOf(domain)
  const start = HEADER_SIZE + query.question.length
  const size = start + authority.length + optSize(query)
  const response = begin(query, size, FLAG.authoritative, code, {
    answers: 0,
    authorities: 1,
    additionals: 0,
  })
  authority.copy(response, start)
  writeOpt(response, query, code)
  return response
}

/** An answer without records. */
export function emptyResponse(query: Query, code: number, flags = 0): Buffer {
  const size = HEADER_SIZE + query.question.length + optSize(query)
  const response = begin(query, size, flags, code, { answers: 0, authorities: 0, additionals: 0 })
  writeOpt(response, query, code)
  return response
}

/** A refusal of something that is no query: a header, never longer than what came. */
export function refusalResponse(id: number, flags: number, code: number): Buffer {
  const response = Buffer.alloc(HEADER_SIZE)
  response.writeUInt16BE(id, 0)
  response.writeUInt16BE(FLAG.response | (flags & REPEATED) | code, 2)
  return response
}
