/** Numbers of the DNS protocol (RFC 1035, 3596, 6891, and the IANA registry "Domain Name System Parameters"). */

export const RECORD_TYPE = { A: 1, CNAME: 5, SOA: 6, PTR: 12, AAAA: 28, SRV: 33, OPT: 41, ANY: 255 } as const

export const CLASS_IN = 1

export const RESPONSE_CODE = {
  noError: 0,
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
  /** Extended: the low four bits go into the header, the rest into the OPT record (RFC 6891, 6.1.3). */
  badVersion: 16,
} as const

/** Bytes before the question. */
export const HEADER_SIZE = 12

/** Bits of the third and fourth byte of a message. */
export const FLAG = {
  response: 0x8000,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  checkingDisabled: 0x0010,
} as const

/** Largest answer over UDP to a query without EDNS (RFC 1035, 4.2.1). */
export const PLAIN_UDP_SIZE = 512

/** Largest answer of ours over UDP: what passes every network in one piece (DNS flag day 2020). */
export const UDP_SIZE = 1232

/** Largest message over TCP: its length has two bytes. */
export const TCP_SIZE = 65_535

/** How long a name of ours may be remembered, in seconds. */
export const TIME_TO_LIVE = 1
