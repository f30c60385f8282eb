/**
 * The agent's one websocket: `wss://<server>/v3/connect`, opened by the agent with its credentials.
 *
 * Text messages are JSON, one of the types below. Binary messages carry the bytes of a stream: four bytes
 * with the number of the stream (big-endian), then the data.
 */
import { type Static, type TSchema, Type, validatorOf } from '../../kit/index.ts'
import { containerProblemSchema, containerReportSchema, containerStateSchema } from '../container-report.ts'
import { HEALTH_REPORT_LIMIT, healthVerdictSchema } from '../health.ts'
import { BALANCERS_LIMIT, balancerReportSchema } from '../load-balancer.ts'
import { metadataDeltaSchema, metadataPositionSchema } from '../metadata-model.ts'
import { networkChoiceSchema } from '../network-options.ts'

/** Raised when a change of the messages makes an older partner misunderstand them. */
export const LINK_VERSION = 1

/** Both sides send a websocket ping this often (milliseconds): idle connections are cut by proxies after 60 s. */
export const LINK_PING_INTERVAL = 15_000

/** A side that heard nothing for this long (milliseconds) takes the connection for dead. */
export const LINK_SILENCE_LIMIT = 40_000

/** Largest message, in bytes. */
export const LINK_MESSAGE_LIMIT = 32 * 1024 * 1024

/** Longest code and text of an error, in characters. */
export const ERROR_CODE_LIMIT = 64
export const ERROR_MESSAGE_LIMIT = 4096

/** How often an agent sends a status packet, in milliseconds. */
export const STATUS_INTERVAL = 60_000

const text = (maximum: number) => Type.String({ maxLength: maximum })
const message = <Fields extends Record<string, TSchema>, Name extends string>(type: Name, fields: Fields) =>
  Type.Object({ type: Type.Literal(type), ...fields })

const hostFactsSchema = Type.Object({
  hostname: text(253),
  /** The address by which other hosts reach this one. */
  address: text(45),
  labels: Type.Record(Type.String(), text(1024)),
  /** Bytes of memory. */
  memory: Type.Integer({ minimum: 0 }),
  milliCpu: Type.Integer({ minimum: 0 }),
  localStorageMb: Type.Integer({ minimum: 0 }),
  kernelVersion: text(128),
  operatingSystem: text(256),
  dockerVersion: text(128),
  agentVersion: text(64),
  /** Changes with every boot and differs between machines that share a disk image. */
  bootId: text(64),
})

/** What a host says about itself when it connects. */
export type HostFacts = Static<typeof hostFactsSchema>

/** First message of the agent. */
const helloSchema = message('hello', {
  version: Type.Integer(),
  /** Random for every start of the agent. */
  session: text(64),
  host: hostFactsSchema,
  /** How far the agent's copy of the metadata is; absent when it has none. */
  metadata: Type.Optional(metadataPositionSchema),
})

/** Changes since the last one: sent on Docker events, coalesced. `full` replaces everything known of the host. */
const containersSchema = message('containers', {
  full: Type.Boolean(),
  changed: Type.Array(containerReportSchema),
  /** Identities. */
  removed: Type.Array(text(256)),
  problems: Type.Array(containerProblemSchema),
})

/** The status packet: every container with its state. The server asks for a full report when its view differs. */
const statusSchema = message('status', {
  containers: Type.Array(
    Type.Object({ identity: text(256), externalId: text(64), state: containerStateSchema }),
  ),
  /** One-minute load average of the machine. */
  load: Type.Number(),
  /** Free memory in bytes. */
  memoryFree: Type.Integer(),
})

/** The agent's copy of the metadata does not fit the deltas: send everything. */
const resyncSchema = message('metadata.resync', { reason: text(256) })

/** How the ways to the other hosts are; sent when that changes. */
const networkReportSchema = message('network.report', {
  kind: text(32),
  /** Of the IPv6 addresses that containers of this host get; absent when they get none. */
  ipv6Prefix: Type.Optional(text(43)),
  /** Peers that can be reached. */
  up: Type.Integer({ minimum: 0 }),
  /** Those that cannot, as many as fit; `down` counts all of them. */
  down: Type.Integer({ minimum: 0 }),
  problems: Type.Array(
    Type.Object({ host: text(256), address: text(45), state: text(32), reason: text(512) }),
    { maxItems: 100 },
  ),
  /** Why the host's own network is not as it should be; absent when it is. */
  failure: Type.Optional(text(1024)),
})

export type NetworkReport = Static<typeof networkReportSchema>

/** What runs the host's pods; sent when that changes. */
const runtimeReportSchema = message('runtime.report', {
  /** `builtin` or `kubelet`. */
  kind: text(32),
  /** Why it does not run as it should; absent when it does. */
  failure: Type.Optional(text(1024)),
})

export type RuntimeReport = Static<typeof runtimeReportSchema>

/** What the host found out about containers that it checks: what changed, and all of it before it expires. */
const healthReportSchema = message('health.report', {
  verdicts: Type.Array(healthVerdictSchema, { maxItems: HEALTH_REPORT_LIMIT }),
})

/** All balancers of the host: sent when something changes that people want to know, and from time to time. */
const balancerReportsSchema = message('balancers.report', {
  balancers: Type.Array(balancerReportSchema, { maxItems: BALANCERS_LIMIT }),
})

const requestSchema = message('request', {
  id: Type.Integer({ minimum: 1 }),
  method: text(64),
  params: Type.Unknown(),
})

const responseSchema = message('response', {
  id: Type.Integer({ minimum: 1 }),
  result: Type.Optional(Type.Unknown()),
  error: Type.Optional(
    Type.Object({
      code: text(ERROR_CODE_LIMIT),
      message: text(ERROR_MESSAGE_LIMIT),
      status: Type.Optional(Type.Integer()),
    }),
  ),
})

/** Opens a stream on the host; the server chooses the number. */
const streamOpenSchema = message('stream.open', {
  stream: Type.Integer({ minimum: 1, maximum: 0xffffffff }),
  kind: text(64),
  params: Type.Unknown(),
})

/** The side that sends it will send no more bytes of the stream. With an error, neither side will. */
const streamEndSchema = message('stream.end', {
  stream: Type.Integer({ minimum: 1, maximum: 0xffffffff }),
  error: Type.Optional(Type.Object({ code: text(ERROR_CODE_LIMIT), message: text(ERROR_MESSAGE_LIMIT) })),
})

/** Permits the other side to send so many more bytes of the stream. */
const streamWindowSchema = message('stream.window', {
  stream: Type.Integer({ minimum: 1, maximum: 0xffffffff }),
  bytes: Type.Integer({ minimum: 1 }),
})

const networkSchema = Type.Object({
  /** All containers of the cluster have addresses in this block. */
  clusterBlock: text(18),
  /** The host hands out addresses of these blocks. */
  blocks: Type.Array(text(18), { maxItems: 1024 }),
  network: networkChoiceSchema,
  /** Secret: what hosts of this cluster prove themselves with. The previous one counts while hosts change over. */
  hostKeys: Type.Object({ current: text(128), previous: Type.Optional(text(128)) }),
  /** Labels of the host that say something of its network: `io.rancher.network.…`. */
  labels: Type.Optional(Type.Record(Type.String(), Type.String())),
})

/** What a host needs to know to build its network. */
export type NetworkAssignment = Static<typeof networkSchema>

/** The server's answer to `hello`. */
const welcomeSchema = message('welcome', {
  hostId: text(64),
  hostUuid: text(64),
  clusterId: text(64),
  nodeName: text(253),
  network: networkSchema,
})

/** The host's network assignment changed. */
const networkChangeSchema = message('network', { network: networkSchema })

const metadataSchema = message('metadata', { delta: metadataDeltaSchema })

/** Send a `containers` message with `full`. */
const reportSchema = message('report', {})

const agentMessageSchema = Type.Union([
  helloSchema,
  containersSchema,
  statusSchema,
  resyncSchema,
  networkReportSchema,
  runtimeReportSchema,
  healthReportSchema,
  balancerReportsSchema,
  requestSchema,
  responseSchema,
  streamEndSchema,
  streamWindowSchema,
])

const serverMessageSchema = Type.Union([
  welcomeSchema,
  networkChangeSchema,
  metadataSchema,
  reportSchema,
  requestSchema,
  responseSchema,
  streamOpenSchema,
  streamEndSchema,
  streamWindowSchema,
])

/** What an agent may send. */
export type AgentMessage = Static<typeof agentMessageSchema>
/** What a server may send. */
export type ServerMessage = Static<typeof serverMessageSchema>
export type MessageOfType<Message extends { type: string }, Name extends Message['type']> = Extract<
  Message,
  { type: Name }
>

export const agentMessage = validatorOf(agentMessageSchema)
export const serverMessage = validatorOf(serverMessageSchema)

/** Bytes that a stream's receiver permits before it has consumed any. */
export const STREAM_WINDOW = 256 * 1024

/** Makes the binary message that carries `data` of a stream. */
export function encodeStreamData(stream: number, data: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(4 + data.length)
  frame.writeUInt32BE(stream, 0)
  frame.set(data, 4)
  return frame
}

/** Splits a binary message; undefined when it is too short to be one. */
export function decodeStreamData(frame: Buffer): { stream: number; data: Buffer } | undefined {
  if (frame.length < 4) return undefined
  return { stream: frame.readUInt32BE(0), data: frame.subarray(4) }
}
