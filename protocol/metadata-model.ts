/**
 * The metadata model: what the server sends of every object, so that an agent can answer for it.
 *
 * Wire names are those of the 2017 system's delta protocol (camelCase inwards). Objects are identified by uuid;
 * `infoTypeId` is the API's id, whose number grows with every object that is made.
 */
import { type Static, type TSchema, Type, validatorOf } from '../kit/index.ts'
import {
  balancerCertificateSchema,
  balancerConfigSchema,
  balancerTargetConfigSchema,
} from './load-balancer.ts'

const text = (maximum: number) => Type.String({ maxLength: maximum })
const labels = Type.Record(Type.String(), text(16_384))
const optional = <T extends TSchema>(schema: T) => Type.Optional(schema)

const identity = {
  uuid: text(64),
  infoTypeId: text(64),
  /** The environment whose containers may see it; objects of the whole cluster carry the system environment's. */
  environmentUuid: text(64),
  name: text(256),
}

const portSchema = Type.Object({
  bindIpAddress: text(45),
  /** The host's address, for those who want to reach it. */
  agentIpAddress: text(45),
  publicPort: Type.Integer(),
  privatePort: Type.Integer(),
  protocol: text(8),
})

const healthCheckSchema = Type.Object({
  port: Type.Integer(),
  requestLine: optional(text(1024)),
  interval: Type.Integer(),
  responseTimeout: Type.Integer(),
  healthyThreshold: Type.Integer(),
  unhealthyThreshold: Type.Integer(),
  initializingTimeout: Type.Integer(),
})

const linkSchema = Type.Object({
  /** What the container calls it. */
  alias: text(256),
  /** `service`, or `stack/service`. */
  name: text(512),
})

/** A container. `instance` is its name on the wire since 2015. */
const instanceInfoSchema = Type.Object({
  infoType: Type.Literal('instance'),
  ...identity,
  hostname: text(256),
  state: text(32),
  healthState: optional(text(32)),
  /**
   * What the server said of its health, while hosts have found out otherwise among themselves; never sent by a server. Empty
   * when it said nothing.
   */
  serverHealthState: optional(text(32)),
  externalId: optional(text(64)),
  primaryIp: optional(text(45)),
  primaryIpv6: optional(text(45)),
  primaryMacAddress: optional(text(17)),
  hostUuid: optional(text(64)),
  stackUuid: optional(text(64)),
  serviceUuid: optional(text(64)),
  networkUuid: optional(text(64)),
  networkFromContainerUuid: optional(text(64)),
  deploymentUnitUuid: optional(text(64)),
  serviceIndex: optional(text(16)),
  /** Name of the launch config it was made from, when that is a sidekick's. */
  sidekick: optional(text(64)),
  createIndex: Type.Integer(),
  startCount: Type.Integer(),
  exitCode: optional(Type.Integer()),
  nativeContainer: Type.Boolean(),
  system: Type.Boolean(),
  memoryReservation: optional(Type.Integer()),
  milliCpuReservation: optional(Type.Integer()),
  ports: Type.Array(portSchema),
  dns: Type.Array(text(256)),
  dnsSearch: Type.Array(text(256)),
  labels,
  links: Type.Array(linkSchema),
  healthCheck: optional(healthCheckSchema),
  /** uuids of the hosts that check it. */
  healthCheckHosts: Type.Array(text(64)),
  expose: Type.Array(text(32)),
})

const serviceInfoSchema = Type.Object({
  infoType: Type.Literal('service'),
  ...identity,
  stackUuid: text(64),
  /** `service`, `loadBalancerService`, `dnsService`, `externalService`, `selectorService`. */
  kind: text(64),
  state: text(32),
  healthState: optional(text(32)),
  scale: Type.Integer(),
  global: Type.Boolean(),
  hostname: optional(text(256)),
  vip: optional(text(45)),
  fqdn: optional(text(512)),
  /** Secret: served only below `self`. */
  token: optional(text(128)),
  selector: optional(text(1024)),
  externalIps: Type.Array(text(45)),
  sidekicks: Type.Array(text(64)),
  ports: Type.Array(text(64)),
  expose: Type.Array(text(32)),
  links: Type.Array(linkSchema),
  labels,
  metadata: Type.Record(Type.String(), Type.Unknown()),
  healthCheck: optional(healthCheckSchema),
  lbConfig: optional(balancerConfigSchema),
  /** The certificates of `lbConfig` that there are; their secrets are asked of the server. */
  lbCertificates: optional(Type.Array(balancerCertificateSchema)),
  lbTargetConfig: optional(balancerTargetConfigSchema),
  /** Milliseconds for which those that are to end are left the clients they have. */
  drainTimeout: optional(Type.Integer()),
  createIndex: Type.Integer(),
})

const stackInfoSchema = Type.Object({
  infoType: Type.Literal('stack'),
  ...identity,
  healthState: optional(text(32)),
  system: Type.Boolean(),
})

const hostInfoSchema = Type.Object({
  infoType: Type.Literal('host'),
  ...identity,
  agentIp: text(45),
  hostname: text(256),
  nodeName: text(253),
  state: text(32),
  agentState: text(32),
  labels,
  milliCpu: Type.Integer(),
  /** Bytes. */
  memory: Type.Integer(),
  localStorageMb: Type.Integer(),
  /** The address blocks whose addresses its containers have; for other hosts, not for containers. */
  blocks: Type.Array(text(18)),
})

const networkInfoSchema = Type.Object({
  infoType: Type.Literal('network'),
  ...identity,
  kind: text(64),
  hostPorts: Type.Boolean(),
  default: Type.Boolean(),
  metadata: Type.Record(Type.String(), Type.Unknown()),
  defaultPolicyAction: text(16),
  policy: Type.Array(Type.Unknown()),
})

const environmentInfoSchema = Type.Object({
  infoType: Type.Literal('environment'),
  ...identity,
  /** The Kubernetes namespace. */
  externalId: text(63),
  /** The cluster's own environment, to which hosts and networks belong. */
  system: Type.Boolean(),
})

const metadataObjectSchema = Type.Union([
  instanceInfoSchema,
  serviceInfoSchema,
  stackInfoSchema,
  hostInfoSchema,
  networkInfoSchema,
  environmentInfoSchema,
])

export type InstanceInfo = Static<typeof instanceInfoSchema>
export type ServiceInfo = Static<typeof serviceInfoSchema>
export type StackInfo = Static<typeof stackInfoSchema>
export type HostInfo = Static<typeof hostInfoSchema>
export type NetworkInfo = Static<typeof networkInfoSchema>
export type EnvironmentInfo = Static<typeof environmentInfoSchema>
export type MetadataObject = Static<typeof metadataObjectSchema>
export type MetadataPort = Static<typeof portSchema>
export type MetadataHealthCheck = Static<typeof healthCheckSchema>

/**
 * Raised when servers convert objects differently than before: copies of the model that were made the old way are
 * replaced then.
 */
export const METADATA_MODEL_VERSION = 5

const generation = text(128)
const sequence = Type.Integer({ minimum: 0 })

/** Where a copy of the model stands: it shows everything up to `sequence` of `generation`. */
export const metadataPositionSchema = Type.Object({
  /** Names the history that the sequence counts in. */
  generation,
  sequence,
})

export type MetadataPosition = Static<typeof metadataPositionSchema>

/**
 * Everything that changed after `from`, in its newest form: whoever stands at `from` or later, but not after `sequence`,
 * stands at `sequence` afterwards. Applying it twice does no harm. A large step comes in parts: all but the last have
 * `more`, and only the last one moves its receiver.
 */
const metadataStepSchema = Type.Object({
  full: Type.Literal(false),
  generation,
  from: sequence,
  sequence,
  more: Type.Boolean(),
  updates: Type.Array(metadataObjectSchema),
  /** uuids; of objects that the receiver may never have seen, too. */
  removes: Type.Array(text(64)),
})

/**
 * A part of the whole model, which replaces whatever the receiver has: objects that are in none of the parts are gone.
 * The receiver stands at `sequence` after the last part, and nowhere between the first and the last.
 */
const metadataPartSchema = Type.Object({
  full: Type.Literal(true),
  generation,
  sequence,
  /** Counts from 0. */
  part: Type.Integer({ minimum: 0 }),
  more: Type.Boolean(),
  updates: Type.Array(metadataObjectSchema),
})

export const metadataDeltaSchema = Type.Union([metadataStepSchema, metadataPartSchema])

export type MetadataStep = Static<typeof metadataStepSchema>
export type MetadataPart = Static<typeof metadataPartSchema>
export type MetadataDelta = Static<typeof metadataDeltaSchema>

/** One object of the model, e.g. from a file. */
export const metadataObject = validatorOf(metadataObjectSchema)
export const metadataPosition = validatorOf(metadataPositionSchema)
export const metadataStep = validatorOf(metadataStepSchema)
