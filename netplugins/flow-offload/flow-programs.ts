/**
 * What the kernel does with packets of known flows, and how flows become known, as programs for links.
 *
 * A flow is known when a packet of it has passed everything that packets of its direction pass (routes, firewall rules,
 * policies) and connection tracking knows both directions of it and translates nothing. That counts for a second; then one packet
 * goes the whole way again. So whatever is changed, by whomever, counts within a second for flows that are known.
 */
import { type BpfMap, type Operand, Program } from '../bpf/index.ts'

/**
 * On packets that make their flow known, from the last rule that sees them to the link by which they leave; nobody else sees
 * it, and it is none of the bits that Kubernetes and widely used networks use.
 */
export const FLOW_MARK = 0x0800_0000

/** Nanoseconds for which a flow is known. */
const LEASE = 1_000_000_000

/** Bytes of a flow: addresses, ports, protocol. */
export const FLOW_SIZE = 16
/** Bytes of what is known of it: when and in which generation it became known, its origin, the Ethernet addresses. */
export const KNOWLEDGE_SIZE = 32

const SINCE = 0
const GENERATION = 8
const ORIGIN = 12
const ETHERNET = 16

/** Fields of struct __sk_buff (linux/bpf.h). */
const LENGTH = 0
const MARK = 8
const VLAN_PRESENT = 20
const INGRESS_LINK = 36
const LINK = 40
const DATA = 76
const DATA_END = 80
const SEGMENT_SIZE = 176

/** Where headers are in a frame (IEEE 802.3, RFC 791, RFC 9293), without options of IPv4. */
const ETHERNET_SIZE = 14
const ETHER_TYPE = 12
const VERSION_AND_LENGTH = 14
const FRAGMENT = 20
const TIME_TO_LIVE = 22
const PROTOCOL = 23
const CHECKSUM = 24
const SOURCE = 26
const DESTINATION = 30
const PORTS = 34
const DATA_OFFSET = 46
const FLAGS = 47
const UDP_END = 42
const TCP_END = 54

const IPV4 = 0x0800
const PLAIN_HEADER = 0x45
const MORE_FRAGMENTS_OR_OFFSET = 0x3fff
const TCP = 6
const UDP = 17
const IPV4_SIZE = 20
const UDP_SIZE = 8
/** FIN, SYN and RST: connection tracking must see them. */
const CHANGING_FLAGS = 0x07

/** Functions of the kernel (bpf-helpers(7)). */
const MAP_LOOKUP = 1
const MAP_UPDATE = 2
const MAP_DELETE = 3
const TIME = 5
const REDIRECT = 23

/** On the stack, seen from its end. */
const FLOW = -16
const HEADERS = -20
const KNOWLEDGE = -56

/** Goes on as if there was no program (TCX_NEXT). */
const GO_ON = -1

const context = 6
const packet = 7
/** Of TCP; 0 for UDP. */
const flags = 8
const known = 9
const stackEnd = 10

const by = (register: Extract<Operand, { register: unknown }>['register']): Operand => ({ register })

/** As a machine that puts the low byte first reads two bytes in network order. */
function swapped(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8)
}

/** Maps that all programs of a host share. */
export interface FlowMaps {
  readonly flows: BpfMap
  /** One number: what was known in another generation does not count. */
  readonly generation: BpfMap
  /** Address of a container → index of the link by which its packets come. */
  readonly senders: BpfMap
}

/** A link by which packets leave. */
export interface Exit {
  /** Its index. */
  readonly link: number
  /** In bytes. */
  readonly mtu: number
}

/** Reads flow, flags and the size of headers, or jumps to `pass` with what is no plain packet of TCP or UDP over IPv4. */
function readPacket(program: Program): void {
  program
    .compute('set', context, by(1))
    .load(4, 1, context, VLAN_PRESENT)
    .jumpIf(1, 'notEqual', 0, 'pass')
    .load(4, packet, context, DATA)
    .load(4, 8, context, DATA_END)
    .compute('set', 1, by(packet))
    .compute('add', 1, UDP_END)
    .jumpIf(1, 'above', by(8), 'pass')
    .load(2, 1, packet, ETHER_TYPE)
    .jumpIf(1, 'notEqual', swapped(IPV4), 'pass')
    .load(1, 1, packet, VERSION_AND_LENGTH)
    .jumpIf(1, 'notEqual', PLAIN_HEADER, 'pass')
    .load(2, 1, packet, FRAGMENT)
    .jumpIf(1, 'anyBit', swapped(MORE_FRAGMENTS_OR_OFFSET), 'pass')
    .load(4, 1, packet, SOURCE)
    .store(4, stackEnd, FLOW, 1)
    .load(4, 1, packet, DESTINATION)
    .store(4, stackEnd, FLOW + 4, 1)
    .load(4, 1, packet, PORTS)
    .store(4, stackEnd, FLOW + 8, 1)
    .load(1, 1, packet, PROTOCOL)
    .store(4, stackEnd, FLOW + 12, 1)
    .jumpIf(1, 'equal', UDP, 'udp')
    .jumpIf(1, 'notEqual', TCP, 'pass')
    .compute('set', 1, by(packet))
    .compute('add', 1, TCP_END)
    .jumpIf(1, 'above', by(8), 'pass')
    // The high four bits count words of four bytes.
    .load(1, 1, packet, DATA_OFFSET)
    .compute('shiftRight', 1, 2)
    .compute('and', 1, 0x3c)
    .compute('add', 1, IPV4_SIZE)
    .store(4, stackEnd, HEADERS, 1)
    .load(1, flags, packet, FLAGS)
    .jump('read')
    .label('udp')
    .compute('set', 1, IPV4_SIZE + UDP_SIZE)
    .store(4, stackEnd, HEADERS, 1)
    .compute('set', flags, 0)
    .label('read')
}

function currentGeneration(program: Program, { generation }: FlowMaps): void {
  program.mapValue(1, generation.descriptor).load(4, 1, 1, 0)
}

/** The arguments of a function that is about the flow. */
function flowArguments(program: Program, { flows }: FlowMaps): void {
  program.map(1, flows.descriptor).compute('set', 2, by(stackEnd)).compute('add', 2, FLOW)
}

/**
 * For packets that come in: those of known flows leave by `exit` at once, as a router sends them on (RFC 1812, 5.2 and 5.3.1);
 * all others go on.
 */
export function forwardingProgram(maps: FlowMaps, { link, mtu }: Exit): Program {
  const program = new Program()
  readPacket(program)
  flowArguments(program, maps)
  program
    .call(MAP_LOOKUP)
    .jumpIf(0, 'equal', 0, 'pass')
    .compute('set', known, by(0))
    // Nobody may send in the name of another one.
    .load(4, 1, known, ORIGIN)
    .load(4, 2, context, LINK)
    .jumpIf(1, 'notEqual', by(2), 'pass')
    .jumpIf(flags, 'anyBit', CHANGING_FLAGS, 'forget')
  currentGeneration(program, maps)
  program
    .load(4, 2, known, GENERATION)
    .jumpIf(1, 'notEqual', by(2), 'pass')
    .call(TIME)
    .load(8, 1, known, SINCE)
    .compute('add', 1, LEASE)
    .jumpIf(0, 'above', by(1), 'pass')
    .load(1, 1, packet, TIME_TO_LIVE)
    .jumpIf(1, 'below', 2, 'pass')
    // What is too long, is for the kernel to answer. One that will be cut into segments must fit in segments.
    .load(4, 1, context, LENGTH)
    .jumpIf(1, 'below', mtu + ETHERNET_SIZE + 1, 'fits')
    .load(4, 1, context, SEGMENT_SIZE)
    .jumpIf(1, 'equal', 0, 'pass')
    .load(4, 2, stackEnd, HEADERS)
    .compute('add', 1, by(2))
    .jumpIf(1, 'above', mtu, 'pass')
    .label('fits')
  for (const part of [0, 4, 8]) program.load(4, 1, known, ETHERNET + part).store(4, packet, part, 1)
  program
    .load(1, 1, packet, TIME_TO_LIVE)
    .compute('add', 1, -1)
    .store(1, packet, TIME_TO_LIVE, 1)
    // RFC 1624: the checksum grows by what the word with the time to live became less, around the end.
    .load(2, 1, packet, CHECKSUM)
    .compute('add', 1, 1)
    .jumpIf(1, 'below', 0xffff, 'summed')
    .compute('add', 1, 1)
    .label('summed')
    .store(2, packet, CHECKSUM, 1)
    .compute('set', 1, link)
    .compute('set', 2, 0)
    .call(REDIRECT)
    .exit()
    .label('forget')
  flowArguments(program, maps)
  program
    .call(MAP_DELETE)
    .load(4, 1, stackEnd, FLOW)
    .load(4, 2, stackEnd, FLOW + 4)
    .store(4, stackEnd, FLOW, 2)
    .store(4, stackEnd, FLOW + 4, 1)
    .load(2, 1, stackEnd, FLOW + 8)
    .load(2, 2, stackEnd, FLOW + 10)
    .store(2, stackEnd, FLOW + 8, 2)
    .store(2, stackEnd, FLOW + 10, 1)
  flowArguments(program, maps)
  return program.call(MAP_DELETE).label('pass').compute('set', 0, GO_ON).exit()
}

/** Where packets come from that leave by a link: from this link, or from whichever is the sender's. */
export type Origin =
  | { readonly kind: 'link'; readonly link: number }
  | { readonly kind: 'senders'; readonly arrival: number }

/** For packets that leave: those that bear the mark make their flow known. */
export function learningProgram(maps: FlowMaps, origin: Origin): Program {
  const program = new Program()
    .load(4, 2, 1, MARK)
    .jumpIf(2, 'anyBit', FLOW_MARK, 'marked')
    .jump('pass')
    .label('marked')
    .compute('and', 2, ~FLOW_MARK)
    .store(4, 1, MARK, 2)
    .load(4, 2, 1, INGRESS_LINK)
    .jumpIf(2, 'notEqual', origin.kind === 'link' ? origin.link : origin.arrival, 'pass')
  readPacket(program)
  program.jumpIf(flags, 'anyBit', CHANGING_FLAGS, 'pass')
  for (const part of [0, 4, 8]) {
    program.load(4, 1, packet, part).store(4, stackEnd, KNOWLEDGE + ETHERNET + part, 1)
  }
  program.compute('set', 1, 0).store(4, stackEnd, KNOWLEDGE + ETHERNET + 12, 1)
  if (origin.kind === 'link') {
    program.compute('set', 1, origin.link)
  } else {
    program
      .map(1, maps.senders.descriptor)
      .compute('set', 2, by(stackEnd))
      // A flow begins with the address of its sender.
      .compute('add', 2, FLOW)
      .call(MAP_LOOKUP)
      .jumpIf(0, 'equal', 0, 'pass')
      .load(4, 1, 0, 0)
  }
  program.store(4, stackEnd, KNOWLEDGE + ORIGIN, 1)
  currentGeneration(program, maps)
  program
    .store(4, stackEnd, KNOWLEDGE + GENERATION, 1)
    .call(TIME)
    .store(8, stackEnd, KNOWLEDGE + SINCE, 0)
  flowArguments(program, maps)
  return program
    .compute('set', 3, by(stackEnd))
    .compute('add', 3, KNOWLEDGE)
    .compute('set', 4, 0)
    .call(MAP_UPDATE)
    .label('pass')
    .compute('set', 0, GO_ON)
    .exit()
}
