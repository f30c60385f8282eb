/** The programs that lead packets of known flows, run by the kernel on packets that are made up (BPF_PROG_TEST_RUN). */
import t, { type Test } from 'tap'
import { BpfMap, closeProgram, type LoadedProgram, loadProgram } from '../../../netplugins/bpf/index.ts'
import { addressOf, bpf } from '../../../netplugins/bpf/system-call.ts'
import {
  FLOW_MARK,
  FLOW_SIZE,
  type FlowMaps,
  forwardingProgram,
  KNOWLEDGE_SIZE,
  learningProgram,
} from '../../../netplugins/flow-offload/flow-programs.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { run } from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

const PROG_TEST_RUN = 10
const GO_ON = 0xffff_ffff
const REDIRECTED = 7
const MTU = 1450

const CLIENT = [10, 42, 1, 5]
const SERVER = [10, 42, 2, 5]
const FIN = 0x01
const ACK = 0x10

interface Fields {
  readonly protocol?: 'tcp' | 'udp'
  readonly source?: readonly number[]
  readonly destination?: readonly number[]
  readonly ports?: readonly [number, number]
  readonly timeToLive?: number
  readonly identification?: number
  readonly fragment?: number
  readonly flags?: number
  readonly headerWords?: number
  readonly etherType?: number
  /** Of the whole packet, without the Ethernet header. */
  readonly length?: number
}

/** RFC 1071. */
function checksum(header: Buffer): number {
  let sum = 0
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

function frame(fields: Fields = {}): Buffer {
  const { protocol = 'tcp', source = CLIENT, destination = SERVER, ports = [40_000, 80] } = fields
  const { timeToLive = 64, identification = 1, fragment = 0, flags = ACK, headerWords = 5 } = fields
  const { etherType = 0x0800, length = 100 } = fields
  const bytes = Buffer.alloc(14 + length)
  bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], 0)
  bytes.writeUInt16BE(etherType, 12)
  const header = bytes.subarray(14, 14 + headerWords * 4)
  header.writeUInt8(0x40 | headerWords, 0)
  header.writeUInt16BE(length, 2)
  header.writeUInt16BE(identification, 4)
  header.writeUInt16BE(fragment, 6)
  header.writeUInt8(timeToLive, 8)
  header.writeUInt8(protocol === 'tcp' ? 6 : 17, 9)
  header.set(source, 12)
  header.set(destination, 16)
  header.writeUInt16BE(checksum(header), 10)
  const rest = bytes.subarray(14 + headerWords * 4)
  rest.writeUInt16BE(ports[0], 0)
  rest.writeUInt16BE(ports[1], 2)
  if (protocol === 'tcp') {
    rest.writeUInt8(5 << 4, 12)
    rest.writeUInt8(flags, 13)
  }
  return bytes
}

interface Context {
  readonly mark?: number
  readonly ingressLink?: number
  readonly link?: number
}

/** @returns what the program decided, the frame afterwards, and the mark */
function runProgram(
  { descriptor }: LoadedProgram,
  input: Buffer,
  { mark = 0, ingressLink = 0, link = 1 }: Context = {},
): { decision: number; output: Buffer; mark: number } {
  const output = Buffer.alloc(input.length + 256)
  const context = Buffer.alloc(192)
  context.writeUInt32LE(mark, 8)
  context.writeUInt32LE(ingressLink, 36)
  context.writeUInt32LE(link, 40)
  const contextAfter = Buffer.alloc(192)
  const attributes = Buffer.alloc(80)
  attributes.writeUInt32LE(descriptor, 0)
  attributes.writeUInt32LE(input.length, 8)
  attributes.writeUInt32LE(output.length, 12)
  attributes.writeBigUInt64LE(addressOf(input), 16)
  attributes.writeBigUInt64LE(addressOf(output), 24)
  attributes.writeUInt32LE(context.length, 40)
  attributes.writeUInt32LE(contextAfter.length, 44)
  attributes.writeBigUInt64LE(addressOf(context), 48)
  attributes.writeBigUInt64LE(addressOf(contextAfter), 56)
  bpf(PROG_TEST_RUN, attributes, 'BPF program', 'run')
  return {
    decision: attributes.readUInt32LE(4),
    output: output.subarray(0, attributes.readUInt32LE(12)),
    mark: contextAfter.readUInt32LE(8),
  }
}

interface World {
  readonly maps: FlowMaps
  /** Of packets from containers. */
  readonly forward: LoadedProgram
  readonly learn: LoadedProgram
  /** Of packets from the tunnel. */
  readonly forwardBack: LoadedProgram
  readonly learnBack: LoadedProgram
  /** By which the client's packets come. */
  readonly client: number
  readonly bridge: number
  readonly tunnel: number
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function linkIndex(name: string): number {
  run('ip', 'link', 'add', name, 'type', 'bridge')
  run('ip', 'link', 'set', name, 'up')
  const [link] = JSON.parse(run('ip', '-json', 'link', 'show', name)) as [{ ifindex: number }]
  return link.ifindex
}

function makeWorld(t: Test): World {
  const sizes = { keySize: 4, valueSize: 4 }
  const flows = {
    name: 'flows',
    type: 'leastRecentlyUsed',
    keySize: FLOW_SIZE,
    valueSize: KNOWLEDGE_SIZE,
  } as const
  const maps = {
    flows: new BpfMap({ ...flows, entries: 64 }),
    generation: new BpfMap({ name: 'current', type: 'array', ...sizes, entries: 1 }),
    senders: new BpfMap({ name: 'senders', type: 'hash', ...sizes, entries: 8 }),
  }
  const [client, bridge, tunnel] = ['client', 'bridge', 'tunnel'].map(linkIndex) as [number, number, number]
  maps.senders.set(Buffer.from(CLIENT), number(client))
  const programs = {
    forward: loadProgram('forward', forwardingProgram(maps, { link: tunnel, mtu: MTU })),
    learn: loadProgram('learn', learningProgram(maps, { kind: 'senders', arrival: bridge })),
    forwardBack: loadProgram('forward', forwardingProgram(maps, { link: bridge, mtu: MTU })),
    learnBack: loadProgram('learn', learningProgram(maps, { kind: 'link', link: tunnel })),
  }
  t.teardown(() => {
    for (const map of Object.values(maps)) map.close()
    for (const program of Object.values(programs)) closeProgram(program)
  })
  return { maps, ...programs, client, bridge, tunnel }
}

const BACK: Fields = { source: SERVER, destination: CLIENT, ports: [80, 40_000] }

t.test('programs for known flows', { skip }, async t => {
  const world = makeWorld(t)
  const { forward, forwardBack, learn, learnBack, client, bridge, tunnel, maps } = world
  const learned = (fields: Fields = {}, mark = FLOW_MARK) =>
    runProgram(learn, frame(fields), { mark, ingressLink: bridge })
  const learnedBack = (fields: Fields = BACK) =>
    runProgram(learnBack, frame(fields), { mark: FLOW_MARK, ingressLink: tunnel })
  const sent = (fields: Fields = {}, link = client) => runProgram(forward, frame(fields), { link })
  const goesOn = (t: Test, what: string, fields: Fields = {}, link = client) => {
    const { decision, output } = sent(fields, link)
    t.equal(decision, GO_ON, what)
    t.strictSame(output, frame(fields), `${what}: as it was`)
  }
  let generation = 0
  const forget = () => {
    generation += 1
    maps.generation.set(Buffer.alloc(4), number(generation))
  }

  t.test('nobody knows a flow that was not learnt', async t => {
    goesOn(t, 'at first')
    learned({}, 0)
    goesOn(t, 'without the mark')
    learned({}, 0x10)
    goesOn(t, 'with the mark of somebody else')
    runProgram(learn, frame(), { mark: FLOW_MARK, ingressLink: tunnel })
    goesOn(t, 'when it came from elsewhere')
    learned({ source: [10, 42, 1, 6] })
    goesOn(t, 'from nobody of ours', { source: [10, 42, 1, 6] })
    learned({ flags: FIN | ACK })
    goesOn(t, 'when it ends')
    t.equal(learned({}, FLOW_MARK | 0x10).mark, 0x10, 'the mark is taken off, others stay')
  })

  t.test('a known flow goes the short way, as a router sends it on', async t => {
    for (const identification of [0, 1, 0xfffe, 0xffff, 12_345]) {
      learned({ identification })
      const { decision, output } = sent({ identification })
      t.equal(decision, REDIRECTED)
      t.equal(output.readUInt8(22), 63, 'time to live')
      t.equal(checksum(output.subarray(14, 34)), 0, `checksum with identification ${identification}`)
    }
    // Every checksum that there is, around the end too.
    for (let identification = 0; identification <= 0xffff; identification += 251) {
      const { output } = sent({ identification, timeToLive: 2 })
      if (checksum(output.subarray(14, 34)) !== 0) t.fail(`identification ${identification}`)
    }
    const relayed = frame()
    relayed.set([2, 9, 9, 9, 9, 1, 2, 9, 9, 9, 9, 2], 0)
    runProgram(learn, relayed, { mark: FLOW_MARK, ingressLink: bridge })
    t.strictSame(sent().output.subarray(0, 12), relayed.subarray(0, 12), 'Ethernet addresses')
    learnedBack()
    t.equal(runProgram(forwardBack, frame(BACK), { link: tunnel }).decision, REDIRECTED, 'and back')
    learned({ protocol: 'udp' })
    t.equal(sent({ protocol: 'udp' }).decision, REDIRECTED, 'UDP')
  })

  t.test('what the kernel has to look at goes on', async t => {
    for (const protocol of ['tcp', 'udp'] as const) {
      learned({ protocol })
      goesOn(t, 'the end of its life', { protocol, timeToLive: 1 })
      goesOn(t, 'the first fragment', { protocol, fragment: 0x2000 })
      goesOn(t, 'the last fragment', { protocol, fragment: 100 })
      goesOn(t, 'options of IPv4', { protocol, headerWords: 6 })
      goesOn(t, 'another protocol', { protocol, etherType: 0x86dd })
      goesOn(t, 'too long', { protocol, length: MTU + 1 })
      goesOn(t, 'too short', { protocol, length: protocol === 'tcp' ? 36 : 26, headerWords: 5 })
      goesOn(t, 'by the link of somebody else', { protocol }, bridge)
      goesOn(t, 'another port', { protocol, ports: [40_001, 80] })
      t.equal(sent({ protocol, length: MTU }).decision, REDIRECTED, 'the longest that fits')
      t.equal(sent({ protocol, fragment: 0x4000 }).decision, REDIRECTED, 'not to be fragmented')
    }
    t.notOk(sent({ protocol: 'tcp' }).decision === GO_ON, 'each protocol for itself')
  })

  t.test('a connection that changes is forgotten, in both directions', async t => {
    for (const flags of [0x01, 0x02, 0x04, 0x11, 0x12]) {
      learned()
      learnedBack()
      goesOn(t, `flags ${flags}`, { flags })
      goesOn(t, 'afterwards')
      t.equal(runProgram(forwardBack, frame(BACK), { link: tunnel }).decision, GO_ON, 'the other direction')
    }
    learned()
    goesOn(t, 'the end by somebody else', { flags: FIN }, bridge)
    t.equal(sent().decision, REDIRECTED, 'changes nothing')
  })

  t.test('what is forgotten has to be learnt again', async t => {
    learned()
    forget()
    goesOn(t, 'of another generation')
    learned()
    t.equal(sent().decision, REDIRECTED, 'learnt again')
    maps.senders.delete(Buffer.from(CLIENT))
    forget()
    learned()
    goesOn(t, 'of a sender that is gone')
    maps.senders.delete(Buffer.from(CLIENT))
    maps.senders.set(Buffer.from(CLIENT), number(client))
  })
})
