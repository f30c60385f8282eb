/** Reads queries. Only what an answer needs is looked at, and nothing is believed that is not there. */
import { CLASS_IN, FLAG, HEADER_SIZE, PLAIN_UDP_SIZE, RECORD_TYPE, RESPONSE_CODE, TCP_SIZE } from './wire.ts'

export interface Query {
  readonly id: number
  readonly flags: number
  /** Lower case, as on the wire: each label after a byte with its length, the empty one at the end. */
  readonly wireName: string
  readonly type: number
  /** The question as it was asked, to be repeated in the answer. Part of the message: copy what is to be kept. */
  readonly question: Buffer
  /** Absent: the client does not speak EDNS. */
  readonly edns: { readonly version: number } | undefined
  /** Bytes of the largest answer over UDP that the client takes. */
  readonly udpSize: number
}

export type ParsedQuery =
  | { readonly kind: 'query'; readonly query: Query }
  /** Something that a server owes an answer, but not the one that was asked for. */
  | { readonly kind: 'refusal'; readonly id: number; readonly flags: number; readonly code: number }
  /** Nothing that a server may answer: too short, or an answer itself. */
  | { readonly kind: 'nothing' }

const NOTHING: ParsedQuery = { kind: 'nothing' }

/** Longest name on the wire (RFC 1035, 2.3.4). */
const LONGEST_NAME = 255
const LONGEST_LABEL = 63
const OPERATION_MASK = 0x7800
/** Records after the question that are looked through for EDNS. */
const MOST_RECORDS = 8
/** Owner (root), type, class, time to live, length of the data. */
const OPT_HEADER_SIZE = 11

/** Where the name that begins at `start` ends; undefined when it is none, or has a pointer: no question needs one. */
function endOfName(message: Buffer, start: number): number | undefined {
  let offset = start
  for (;;) {
    const length = message[offset]
    if (length === undefined || length > LONGEST_LABEL) return undefined
    offset += length + 1
    if (length === 0) return offset
    if (offset - start >= LONGEST_NAME) return undefined
  }
}

/** The OPT record that follows the question; null when the rest of the message is no list of records. */
function readEdns(
  message: Buffer,
  start: number,
  records: number,
): { size: number; version: number } | undefined | null {
  let offset = start
  for (let index = 0; index < records; index += 1) {
    if (index >= MOST_RECORDS || offset + OPT_HEADER_SIZE > message.length) return null
    // Records before an OPT record are none of our business in a query; those with names of their own are not read.
    if (message[offset] !== 0) return undefined
    const length = message.readUInt16BE(offset + 9)
    if (offset + OPT_HEADER_SIZE + length > message.length) return null
    if (message.readUInt16BE(offset + 1) === RECORD_TYPE.OPT) {
      return { size: message.readUInt16BE(offset + 3), version: message[offset + 6] ?? 0 }
    }
    offset += OPT_HEADER_SIZE + length
  }
  return undefined
}

/** Reads one message from a client. */
export function parseQuery(message: Buffer): ParsedQuery {
  if (message.length < HEADER_SIZE) return NOTHING
  const id = message.readUInt16BE(0)
  const flags = message.readUInt16BE(2)
  // Answering answers would make two servers talk to each other for ever.
  if ((flags & FLAG.response) !== 0) return NOTHING
  const refusal = (code: number): ParsedQuery => ({ kind: 'refusal', id, flags, code })
  if ((flags & OPERATION_MASK) !== 0) return refusal(RESPONSE_CODE.notImplemented)
  const otherRecords = message.readUInt16BE(6) + message.readUInt16BE(8)
  if (message.readUInt16BE(4) !== 1 || otherRecords !== 0) return refusal(RESPONSE_CODE.formatError)
  const endName = endOfName(message, HEADER_SIZE)
  if (endName === undefined || endName + 4 > message.length) return refusal(RESPONSE_CODE.formatError)
  const type = message.readUInt16BE(endName)
  const edns = readEdns(message, endName + 4, message.readUInt16BE(10))
  if (edns === null) return refusal(RESPONSE_CODE.formatError)
  if (message.readUInt16BE(endName + 2) !== CLASS_IN || type === RECORD_TYPE.ANY) {
    return refusal(RESPONSE_CODE.notImplemented)
  }
  const query: Query = {
    id,
    flags,
    // Length bytes are below the code of A: making the letters small leaves them alone.
    wireName: message.toString('latin1', HEADER_SIZE, endName).toLowerCase(),
    type,
    question: message.subarray(HEADER_SIZE, endName + 4),
    edns: edns && { version: edns.version },
    udpSize: Math.min(Math.max(edns?.size ?? PLAIN_UDP_SIZE, PLAIN_UDP_SIZE), TCP_SIZE),
  }
  return { kind: 'query', query }
}

/** `\x03web\x04shop\0` as `web.shop`; undefined when a label holds what no name of ours and no host name has. */
export function dottedName(wireName: string): string | undefined {
  let name = ''
  for (let offset = 0; ; ) {
    const length = wireName.charCodeAt(offset)
    if (length === 0) return name
    const label = wireName.slice(offset + 1, offset + 1 + length)
    // A dot inside a label must not be taken for one between two.
    if (!/^[a-z0-9_-]+$/.test(label)) return undefined
    name += name === '' ? label : `.${label}`
    offset += length + 1
  }
}
